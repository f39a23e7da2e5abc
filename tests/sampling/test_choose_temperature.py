"""The temperature is the highest at which the words are as real as those of the text, found in three draws or fewer."""

import numpy as np
import pytest

from charlstm.checkpoint.writing import Writing
from charlstm.sampling import choose_temperature as module
from charlstm.sampling.choose_temperature import TEMPERATURES, choose_temperature
from charlstm.tokenizers import CharTokenizer
from tests.fake_models import Markov

KNOWN = {"abc"}
UNSEEN = "abc " * 300
TOKENIZER = CharTokenizer("abc ")


def network(error: float) -> Markov:
    """It writes ``abc abc …``; before the temperature each letter is wrong so often."""
    table = np.log(np.full((4, 4), error / 3))
    for token in range(4):
        table[TOKENIZER.encode("abc ")[token], TOKENIZER.encode("bc a")[token]] = np.log(1 - error)
    return Markov(table, TOKENIZER)


def choose(error, unseen=UNSEEN, seconds=60.0):
    return choose_temperature(network(error), Writing(), KNOWN, unseen, seconds=seconds, seed=1)


def test_a_perfect_network_needs_no_cooling_and_a_bad_one_all_of_it():
    assert choose(1e-9) == TEMPERATURES[-1]
    assert choose(0.6) == TEMPERATURES[0]
    between = [choose(error) for error in (0.002, 0.01, 0.03, 0.1)]
    assert between == sorted(between, reverse=True)
    assert len(set(between)) > 1


def test_the_held_out_text_is_the_measure():
    half_known = "abc xyz " * 200
    assert choose(0.3) < choose(0.3, half_known)


def test_where_words_cannot_tell_nothing_is_chosen():
    assert choose(0.1, "漢字仮名交じり文" * 3) is None
    assert choose(0.1, "abc " * 20) is None


def test_without_time_nothing_is_chosen_and_with_little_the_first_step_counts(monkeypatch):
    now = iter(range(100))
    monkeypatch.setattr(module.time, "monotonic", lambda: next(now))
    assert choose(1e-9, seconds=0.5) is None
    assert choose(1e-9, seconds=1.0) == pytest.approx(0.8)
