"""Min-p is the least with which the words are as real as those of the text, found in three draws or fewer."""

import numpy as np
import pytest

from charlstm.checkpoint.writing import Writing
from charlstm.sampling import choose_min_p as module
from charlstm.sampling.choose_min_p import MIN_P, choose_min_p
from charlstm.tokenizers import CharTokenizer
from tests.fake_models import Markov, cycle

KNOWN = {"abc"}
UNSEEN = "abc " * 300
TOKENIZER = CharTokenizer("abc ")


def network(error: float) -> Markov:
    """It writes ``abc abc …``, but each letter is wrong so often: any of three, equally likely."""
    table = np.log(np.full((4, 4), error / 3))
    for token in range(4):
        table[TOKENIZER.encode("abc ")[token], TOKENIZER.encode("bc a")[token]] = np.log(1 - error)
    return Markov(table, TOKENIZER)


def choose(error, unseen=UNSEEN, stop=lambda: False, least=0.0):
    return choose_min_p(network(error), Writing(), KNOWN, unseen, seed=1, stop=stop, least=least)


@pytest.mark.parametrize("error", [1e-9, 0.03, 0.08, 0.2, 0.3, 0.6])
def test_it_is_the_least_that_removes_the_errors(error):
    ratio = error / 3 / (1 - error)
    enough = [value for value in MIN_P if value > ratio]
    assert choose(error) == (enough[-1] if enough else MIN_P[0])


def test_the_held_out_text_is_the_measure(monkeypatch):
    """One word in twelve is wrong unless min-p removes it: too many if all are known, not if half are."""
    monkeypatch.setattr(module, "MIN_P", (0.1, 1e-9))
    assert choose(0.03) == 0.1
    assert choose(0.03, "abc xyz " * 200) == 1e-9
    assert choose(0.3, "abc xyz " * 200) == 0.1


def test_a_least_share_counts_where_the_held_out_text_has_less(monkeypatch):
    monkeypatch.setattr(module, "MIN_P", (0.1, 1e-9))
    half_unknown = "abc xyz " * 200
    assert choose(0.03, half_unknown, least=0.8) == 1e-9  # one word in twelve is wrong
    assert choose(0.03, half_unknown, least=0.97) == 0.1


def test_a_short_text_without_an_unknown_word_does_not_ask_for_perfection(monkeypatch):
    monkeypatch.setattr(module, "MIN_P", (0.1, 1e-9))
    assert choose(0.002) == 1e-9


def test_where_words_cannot_tell_nothing_is_chosen():
    assert choose(0.1, "漢字仮名交じり文" * 3) is None
    assert choose(0.1, "abc " * 20) is None


def test_stopped_at_once_nothing_is_chosen_and_stopped_later_what_was_tried_counts():
    tokens = module._ROWS * module._LENGTH
    for error, after, chosen in (
        (1e-9, 1, None),
        (1e-9, tokens - 1, None),
        (1e-9, tokens + 1, 0.07),  # enough, if not the least
        (1e-9, 2 * tokens + 1, 0.03),
        (0.25, tokens + 1, 0.15),  # 0.07 is not enough: the middle of the rest
    ):
        left = iter(range(after))
        assert choose(error, stop=lambda left=left: next(left, None) is None) == chosen


def test_less_by_a_standard_error_is_as_good(monkeypatch):
    """One word in ten is unknown, as in the held-out text: half of what is drawn has more of them, by chance."""
    monkeypatch.setattr(module, "MIN_P", (0.3, 0.02))
    tokenizer = CharTokenizer("abcxyz ")
    table = np.full((7, 7), -50.0)
    for before, after in zip("abcxyz", "bc yz ", strict=True):
        table[tokenizer.encode(before)[0], tokenizer.encode(after)[0]] = 0
    blank, a, x = tokenizer.encode(" ax")
    table[blank, [a, x]] = np.log([0.9, 0.1])
    model, unseen = Markov(table, tokenizer), ("abc " * 9 + "xyz ") * 100
    chosen = [choose_min_p(model, Writing(), KNOWN, unseen, seed=seed, stop=lambda: False) for seed in range(30)]
    assert 20 <= chosen.count(0.02) <= 29


def test_a_word_cut_by_the_end_is_not_counted(monkeypatch):
    monkeypatch.setattr(module, "_REAL", 1.0)
    for length in range(400, 407):
        monkeypatch.setattr(module, "_LENGTH", length)
        model, unseen = cycle("abcdef "), "abcdef " * 200
        assert choose_min_p(model, Writing(), {"abcdef"}, unseen, seed=1, stop=lambda: False) == MIN_P[-1]
