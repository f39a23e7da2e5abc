"""The laws of the filters and of the draw, each against a loop over plain Python numbers."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from charlstm.sampling import filters
from charlstm.sampling.config import SampleConfig

LOGIT = st.floats(-30, 30, width=32)
BATCHES = hnp.arrays(np.float64, hnp.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=12), elements=LOGIT)
# Few different values: ties everywhere.
TIED = hnp.arrays(
    np.float64,
    hnp.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=12),
    elements=st.sampled_from([-1.0, 0.0, 2.0]),
)


def probabilities(row: Any) -> list[float]:
    peak = max(row)
    weights = [math.exp(value - peak) for value in row]
    return [weight / math.fsum(weights) for weight in weights]


def ranking(row: Any) -> list[int]:
    return sorted(range(len(row)), key=lambda token: (-row[token], token))


def remaining(row: Any) -> set[int]:
    return {token for token, value in enumerate(row) if value > -math.inf}


FILTERS: dict[str, Callable[[Any, Any], Any]] = {
    "temperature": lambda logits, data: filters.temperature(logits, data.draw(st.floats(0, 1e6))),
    "top_k": lambda logits, data: filters.top_k(logits, data.draw(st.integers(1, logits.shape[1] + 1))),
    "top_p": lambda logits, data: filters.top_p(logits, data.draw(st.floats(0, 1, exclude_min=True))),
    "min_p": lambda logits, data: filters.min_p(logits, data.draw(st.floats(1e-300, 1))),
    "repetition_penalty": lambda logits, data: filters.repetition_penalty(
        logits,
        data.draw(hnp.arrays(np.int64, (len(logits), 5), elements=st.integers(0, logits.shape[1] - 1))),
        data.draw(st.floats(0.1, 10)),
    ),
    "ban": lambda logits, data: filters.ban(
        logits, data.draw(st.lists(st.integers(0, logits.shape[1] - 1), max_size=logits.shape[1] - 1))
    ),
}


@pytest.mark.parametrize("name", FILTERS)
@given(logits=st.one_of(BATCHES, TIED), data=st.data())
def test_a_filter_is_pure_and_leaves_a_distribution(name: str, logits: Any, data: Any) -> None:
    before = logits.copy()
    after = FILTERS[name](logits, data)
    assert np.array_equal(logits, before)
    assert after.shape == logits.shape
    for row in after:
        assert remaining(row)
        assert math.fsum(probabilities(row)) == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize("name", ["top_k", "top_p", "min_p", "temperature"])
@given(logits=st.one_of(BATCHES, TIED), data=st.data())
def test_a_removed_token_stays_removed(name: str, logits: Any, data: Any) -> None:
    removed = np.array(data.draw(st.lists(st.booleans(), min_size=logits.shape[1], max_size=logits.shape[1])))
    removed[data.draw(st.integers(0, logits.shape[1] - 1))] = False
    logits[:, removed] = -np.inf
    after = FILTERS[name](logits, data)
    assert (after[:, removed] == -np.inf).all()
    assert all(remaining(row) for row in after)


@given(logits=st.one_of(BATCHES, TIED), k=st.integers(1, 14))
def test_top_k_keeps_exactly_k_and_of_equals_the_lower_ids(logits: Any, k: int) -> None:
    for before, after in zip(logits, filters.top_k(logits, k), strict=True):
        assert remaining(after) == set(ranking(before)[:k])
        assert all(after[token] == before[token] for token in remaining(after))


@given(logits=st.one_of(BATCHES, TIED), share=st.floats(0, 1, exclude_min=True))
def test_top_p_keeps_the_fewest_that_reach_the_share(logits: Any, share: float) -> None:
    for before, after in zip(logits, filters.top_p(logits, share), strict=True):
        order, p = ranking(before), probabilities(before)
        count = len(remaining(after))
        assert remaining(after) == set(order[:count])
        assert math.fsum(p[token] for token in order[:count]) >= share - 1e-12
        assert count == 1 or math.fsum(p[token] for token in order[: count - 1]) < share + 1e-12


@given(logits=BATCHES, share=st.floats(0.001, 1))
def test_min_p_keeps_tokens_of_at_least_a_share_of_the_highest_probability(logits: Any, share: float) -> None:
    for before, after in zip(logits, filters.min_p(logits, share), strict=True):
        p = probabilities(before)
        for token, value in enumerate(p):
            if value > share * max(p) * (1 + 1e-9):
                assert token in remaining(after)
            if value < share * max(p) * (1 - 1e-9):
                assert token not in remaining(after)


def test_min_p_of_1_keeps_only_the_likeliest_and_its_equals() -> None:
    assert remaining(filters.min_p(np.array([[1.0, 3.0, 3.0, 2.9]]), 1.0)[0]) == {1, 2}


@given(logits=st.one_of(BATCHES, TIED))
def test_temperature_0_is_the_first_of_the_likeliest(logits: Any) -> None:
    for before, after in zip(logits, filters.temperature(logits, 0), strict=True):
        assert remaining(after) == {ranking(before)[0]}


@given(logits=BATCHES, value=st.floats(0, 1e-8))
def test_a_temperature_near_0_draws_the_likeliest(logits: Any, value: float) -> None:
    rows = [np.random.default_rng(1) for _ in logits]
    drawn = filters.draw(filters.temperature(logits, value), rows)
    for row, token in zip(logits, drawn, strict=True):
        assert row[token] == pytest.approx(max(row), abs=1e-6)


@given(row=st.lists(LOGIT, min_size=2, max_size=8), value=st.floats(0.05, 20))
def test_temperature_is_the_power_of_the_probabilities(row: list[float], value: float) -> None:
    powers = [p ** (1 / value) for p in probabilities(row)]
    expected = [power / math.fsum(powers) for power in powers]
    assert probabilities(filters.temperature(np.array([row]), value)[0]) == pytest.approx(expected, abs=1e-9)


def test_repetition_penalty_changes_only_recent_tokens_and_each_once() -> None:
    logits = np.array([[2.0, -2.0, 1.0, -1.0], [4.0, 4.0, 4.0, 4.0]])
    after = filters.repetition_penalty(logits, np.array([[0, 1, 0], [3, 3, 3]]), 2.0)
    assert after.tolist() == [[1.0, -4.0, 1.0, -1.0], [4.0, 4.0, 4.0, 2.0]]


def test_ban_removes_from_every_row() -> None:
    after = filters.ban(np.zeros((2, 4)), [1, 3])
    assert [remaining(row) for row in after] == [{0, 2}, {0, 2}]


@given(logits=st.one_of(BATCHES, TIED), seed=st.integers(0, 2**32), data=st.data())
def test_a_removed_token_is_never_drawn(logits: Any, seed: int, data: Any) -> None:
    banned = data.draw(st.lists(st.integers(0, logits.shape[1] - 1), max_size=logits.shape[1] - 1))
    if len(set(banned)) < logits.shape[1]:
        rows = [np.random.default_rng([seed, k]) for k in range(len(logits))]
        for _ in range(5):
            assert not set(filters.draw(filters.ban(logits, banned), rows).tolist()) & set(banned)


class Extreme:
    """A generator whose noise favours the first and the last token as much as doubles allow."""

    def gumbel(self, size: int) -> Any:
        noise = np.full(size, -math.log(-math.log(2**-53)))
        noise[[0, -1]] = -math.log(2**-53)
        return noise


@pytest.mark.parametrize("rows", [1, 3])
@given(row=st.lists(LOGIT, min_size=3, max_size=40))
def test_not_even_extreme_noise_draws_a_removed_token(rows: int, row: list[float]) -> None:
    row[0] = row[-1] = -math.inf
    drawn = filters.draw(np.array([row] * rows), [Extreme()] * rows)  # type: ignore[list-item]
    assert drawn.shape == (rows,)
    assert set(drawn.tolist()) <= remaining(row)


@given(logits=BATCHES, seed=st.integers(0, 2**32))
def test_a_row_is_drawn_the_same_alone_and_in_a_batch(logits: Any, seed: int) -> None:
    together = filters.draw(logits, [np.random.default_rng([seed, k]) for k in range(len(logits))])
    alone = [filters.draw(logits[k : k + 1], [np.random.default_rng([seed, k])])[0] for k in range(len(logits))]
    assert together.tolist() == alone


@pytest.mark.parametrize("rows", [1, 4])
def test_frequencies_are_those_of_the_softmax(rows: int) -> None:
    row = [0.3, -1.2, 2.0, 0.0, 1.1, -3.0, 0.7]
    draws = 20_000
    generators = [np.random.default_rng([5, k]) for k in range(rows)]
    logits = np.array([row] * rows)
    counts = np.zeros(len(row))
    for _ in range(draws // rows):
        np.add.at(counts, filters.draw(logits, generators), 1)
    expected = [p * draws for p in probabilities(row)]
    chi_square = sum((number - mean) ** 2 / mean for number, mean in zip(counts, expected, strict=True))
    assert chi_square < 22.46  # six degrees of freedom: passed by chance in 999 of 1000 seeds; this one is fixed


@given(logits=BATCHES, data=st.data())
def test_log_probabilities_are_those_of_the_softmax(logits: Any, data: Any) -> None:
    ids = data.draw(hnp.arrays(np.int64, len(logits), elements=st.integers(0, logits.shape[1] - 1)))
    expected = [
        row[token] - max(row) - math.log(math.fsum(math.exp(value - max(row)) for value in row))
        for row, token in zip(logits, ids, strict=True)
    ]
    assert filters.log_probabilities(logits, ids).tolist() == pytest.approx(expected, abs=1e-9)


@given(logits=BATCHES, seed=st.integers(0, 1000))
def test_filters_apply_in_the_documented_order(logits: Any, seed: int) -> None:
    random = np.random.default_rng(seed)
    size = logits.shape[1]
    recent = random.integers(size, size=(len(logits), 3))
    banned = random.permutation(size)[: size // 3].tolist()
    config = SampleConfig(temperature=0.5, top_k=4, top_p=0.8, min_p=0.3, repetition_penalty=1.7)
    for before, ids, after in zip(logits, recent, filters.apply_filters(logits, config, recent, banned), strict=True):
        row = {token: float(value) for token, value in enumerate(before) if token not in banned}
        for token in set(ids.tolist()) & row.keys():
            row[token] = row[token] / 1.7 if row[token] > 0 else row[token] * 1.7
        for rule in ("k", "p", "min"):
            order = sorted(row, key=lambda token: (-row[token], token))
            p = dict(zip(order, probabilities([row[token] for token in order]), strict=True))
            if rule == "k":
                row = {token: row[token] for token in order[:4]}
            elif rule == "p":
                count = next(k for k in range(1, len(order) + 1) if sum(p[t] for t in order[:k]) >= 0.8 - 1e-12)
                row = {token: row[token] for token in order[:count]}
            else:
                row = {token: value for token, value in row.items() if p[token] >= 0.3 * max(p.values()) - 1e-12}
        assert remaining(after) == row.keys()
        assert [after[token] for token in row] == pytest.approx([value / 0.5 for value in row.values()])


def test_a_hot_text_keeps_to_what_the_filters_left() -> None:
    logits = np.array([[5.0, 4.0, 0.0, -1.0]])
    cut = {"min_p": 0.1}
    for heat in (0.1, 1.0, 5.0, 1e9):
        after = filters.apply_filters(logits, SampleConfig(temperature=heat, **cut), np.empty((1, 0), int), ())
        assert np.isfinite(after[0]).tolist() == [True, True, False, False]
