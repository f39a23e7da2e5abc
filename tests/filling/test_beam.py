"""A beam keeps the best, or draws without replacement with the probabilities of whole texts."""

import itertools
import math
from collections import Counter

import numpy as np
import pytest

from charlstm.engine.softmax import log_softmax
from charlstm.filling.beam import Beam

FIRST = np.array([[0.3, -0.7, 0.2]])
SECOND = np.array([[0.5, -1.0], [0.0, 2.0], [-0.3, 0.4]])


def grown(temperature, random):
    """All six texts of two tokens."""
    return Beam.start(temperature, random).branch(FIRST, random).branch(SECOND, random)


def exact_probabilities(temperature):
    first, second = np.exp(log_softmax(FIRST / temperature))[0], np.exp(log_softmax(SECOND / temperature))
    return (first[:, None] * second).ravel()


def test_without_temperature_the_likeliest_come_first():
    beam = grown(0.0, np.random.default_rng(0))
    nats = np.log(exact_probabilities(1.0))
    np.testing.assert_allclose(beam.nats, nats)
    assert beam.best(4).tolist() == np.argsort(-nats)[:4].tolist()
    np.testing.assert_allclose(beam.key, beam.nats)


@pytest.mark.parametrize("temperature", [0.6, 1.0, 1.7])
def test_pairs_are_drawn_without_replacement_with_exact_frequencies(temperature):
    random, runs = np.random.default_rng(1), 4000
    counts = Counter(tuple(grown(temperature, random).best(2).tolist()) for _ in range(runs))
    p = exact_probabilities(temperature)
    for one, other in itertools.permutations(range(6), 2):
        want = p[one] * p[other] / (1 - p[one])
        assert counts[one, other] / runs == pytest.approx(want, abs=4.5 * math.sqrt(want / runs))


def test_an_added_likelihood_shifts_the_draw_by_bayes_rule():
    random, runs = np.random.default_rng(2), 4000
    gained = np.array([0.0, -2.0, 1.0, -1.0, 0.5, -0.5])
    for temperature in (1.0, 2.0):
        counts = Counter(int(grown(temperature, random).add(gained).best(1)[0]) for _ in range(runs))
        p = exact_probabilities(temperature) * np.exp(gained / temperature)
        for row, want in enumerate(p / p.sum()):
            assert counts[row] / runs == pytest.approx(want, abs=4.5 * math.sqrt(want / runs))


def test_the_key_of_a_parent_is_that_of_its_highest_child():
    random = np.random.default_rng(3)
    parent = Beam.start(1.0, random)
    children = parent.branch(FIRST, random)
    assert children.key.max() == pytest.approx(parent.key[0])
    grandchildren = children.branch(SECOND, random)
    np.testing.assert_allclose(grandchildren.key.reshape(3, 2).max(1), children.key)


def test_an_impossible_child_is_never_among_the_best():
    for temperature in (0.0, 1.0):
        random = np.random.default_rng(4)
        with np.errstate(invalid="ignore"):
            beam = Beam.start(temperature, random).branch(np.array([[0.0, -np.inf, 1.0]]), random)
        assert sorted(beam.best(3).tolist()) == [0, 2]


def test_selected_and_joined_candidates_keep_their_scores():
    random = np.random.default_rng(5)
    beam = grown(1.0, random)
    joined = Beam.join([beam.select(np.array([4, 1])), beam.select(np.array([0]))])
    np.testing.assert_array_equal(joined.key, beam.key[[4, 1, 0]])
    np.testing.assert_array_equal(joined.nats, beam.nats[[4, 1, 0]])


def test_at_any_temperature_the_numbers_stay_finite():
    random = np.random.default_rng(6)
    logits = np.array([[3.0, -4.0, 0.5]], np.float32)
    firsts = Counter(int(Beam.start(1e300, random).branch(logits, random).best(1)[0]) for _ in range(600))
    assert min(firsts.values()) > 140, "all are equally likely"
    assert int(Beam.start(1e-90, random).branch(logits, random).best(1)[0]) == 0
