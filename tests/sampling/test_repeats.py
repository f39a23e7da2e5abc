"""Passages said again: their length at every place, and a penalty that ends circles and spares what has no choice."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from charlstm.sampling import repeats as module
from charlstm.sampling.config import SampleConfig
from charlstm.sampling.generate import generate, row_generators
from charlstm.sampling.position import prefill
from charlstm.sampling.repeats import Repeats, longest_run, usual_repeats
from tests.fake_models import Markov

texts = st.lists(st.integers(0, 2), min_size=1, max_size=60)


def said_again(text, window=1000):
    """The longest suffix of a text that occurs earlier in it, and ends there among so many tokens before its last."""
    ends = range(max(1, len(text) - window), len(text))
    lengths = range(len(text) - 1, 0, -1)
    return next((n for n in lengths if any(text[max(0, end - n) : end] == text[-n:] for end in ends)), 0)


@given(texts, st.integers(1, 9))
def test_the_longest_passage_that_is_said_again(text, window):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "WINDOW", window)
        repeats = Repeats(1)
        for end, token in enumerate(text, 1):
            repeats.push(np.array([token]))
            assert repeats.longest()[0] == said_again(text[:end], window)


@given(texts, texts, st.integers(1, 70))
def test_what_came_before_is_known_as_if_it_had_been_pushed(before, text, window):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "WINDOW", window)
        known, pushed = Repeats(2, before), Repeats(2)
        for token in before[-window:]:
            pushed.push(np.full(2, token))
        for token in text:
            np.testing.assert_array_equal(known._runs, pushed._runs)
            assert known.longest().tolist() == pushed.longest().tolist()
            for each in (known, pushed):
                each.push(np.array([token, 0]))
        np.testing.assert_array_equal(
            known.without_longer_runs(np.zeros((2, 3)), 2), pushed.without_longer_runs(np.zeros((2, 3)), 2)
        )


def test_rows_do_not_disturb_each_other_and_share_what_came_before():
    both = Repeats(2, [1, 2, 3])
    for tokens in ([1, 0], [2, 1], [3, 2]):
        both.push(np.array(tokens))
    assert both.longest().tolist() == [3, 2]


def test_the_penalty_grows_with_the_passage_and_falls_on_what_would_lengthen_it():
    repeats = Repeats(1, [0, 1, 2, 3, 0, 1, 2])
    logits = np.zeros((1, 5))
    assert repeats.penalised(logits, 4) is logits
    assert repeats.penalised(logits, 3).tolist() == [[0, 0, 0, -1, 0]]
    assert repeats.penalised(logits, 1).tolist() == [[0, 0, 0, -3, 0]]
    assert not logits.any()


def drawn(no_repeat, length=300, spread=3.0):
    """A network that goes in circles of ten tokens, with a little chance of another."""
    table = np.zeros((10, 10))
    table[np.arange(10), (np.arange(10) + 1) % 10] = spread
    model = Markov(table)
    config = SampleConfig(length=length, temperature=0.3, no_repeat=no_repeat)
    draws = generate(model, prefill(model, [0]), config, row_generators(1, 2))
    return np.array([draw.ids for draw in draws]).T


def test_circles_end():
    circling, free = (np.mean([said_again(row[:200].tolist()) for row in drawn(n)]) for n in (0, 6))
    assert circling > 50
    assert free < 25


def test_what_has_no_choice_is_said_again():
    assert (np.diff(drawn(4, spread=400.0), axis=1) % 10 == 1).all()


def test_how_much_a_text_repeats_as_a_matter_of_course():
    random = np.random.default_rng(0)
    noise = random.integers(0, 40, 20_000)
    assert usual_repeats(noise) == module._FEWEST
    phrases = random.integers(0, 40, (30, 25))
    assert 20 < usual_repeats(phrases[random.integers(0, 30, 1000)].ravel()) < 100
    assert usual_repeats(np.tile(np.arange(40), 500)) == 0, "all of it is one repetition"
    assert usual_repeats(noise[:100]) == 0


@pytest.mark.parametrize(("text", "longest"), [([], 0), ([4], 1), ([4, 4, 1, 1, 1, 2], 3), ([7] * 9, 9)])
def test_the_longest_run_of_a_text(text, longest):
    assert longest_run(np.array(text, np.uint8)) == longest


@pytest.mark.parametrize("most", [1, 3, 40])
def test_no_run_is_longer_than_the_limit(most):
    """A network that loves blanks, as one of a table does."""
    table = np.zeros((5, 5))
    table[:, 0] = 8.0
    model = Markov(table)
    config = SampleConfig(length=400, temperature=0.8, longest_run=most)
    draws = generate(model, prefill(model, [0]), config, row_generators(1, 3), recent=[0])
    rows = np.array([draw.ids for draw in draws]).T
    assert {longest_run(np.append(0, row)) for row in rows} == {most}


def test_a_run_goes_on_where_nothing_else_is_left():
    repeats = Repeats(1, [1, 1])
    only = np.array([[-np.inf, 2.0]])
    assert repeats.without_longer_runs(only, 2) is only
    assert repeats.without_longer_runs(np.zeros((1, 2)), 2).tolist() == [[0, -np.inf]]
