"""The temperature is the highest at which the words are as real as those of the text, found in three draws or fewer."""

import numpy as np

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


def choose(error, unseen=UNSEEN, stop=lambda: False):
    return choose_temperature(network(error), Writing(), KNOWN, unseen, seed=1, stop=stop)


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


def test_stopped_at_once_nothing_is_chosen_and_stopped_later_what_was_tried_counts():
    tokens = module._ROWS * module._LENGTH
    for after, chosen in ((1, None), (tokens - 1, None), (tokens + 1, 0.8), (2 * tokens + 1, 0.9)):
        left = iter(range(after))
        assert choose(1e-9, stop=lambda left=left: next(left, None) is None) == chosen
