"""Drawing token ids from models whose every number is known: positions, batches, the repetition penalty."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from charlstm.errors import CheckpointError, UsageError
from charlstm.sampling.config import SampleConfig
from charlstm.sampling.generate import generate, row_generators
from charlstm.sampling.position import advance, prefill, select_row
from tests.fake_models import Markov, cycle, random_markov


def test_a_position_can_be_continued_many_times() -> None:
    model = random_markov("abcdef")
    start = prefill(model, [0, 1, 2])
    continuations = [
        [int(draw.ids[0]) for draw in generate(model, start, SampleConfig(length=20), row_generators(7, 1))]
        for _ in range(2)
    ]
    assert continuations[0] == continuations[1]
    assert start.state == [(0, 1, 2)]


def test_the_network_is_fed_each_token_once_and_the_last_draw_not_at_all() -> None:
    model = cycle("abcd")
    draws = list(generate(model, prefill(model, [0, 1]), SampleConfig(length=3, temperature=0), row_generators(0, 2)))
    assert model.steps == [[0], [1], [2, 2], [3, 3]]
    assert [draw.ids.tolist() for draw in draws] == [[2, 2], [3, 3], [0, 0]]
    assert draws[-1].position.state == [(0, 1, 2, 3)] * 2


def test_one_row_of_a_batch_continues_alone() -> None:
    model = random_markov("abcdefgh")
    for draw in generate(model, prefill(model, [0]), SampleConfig(length=5), row_generators(3, 4)):
        last = draw
    after = advance(model, last.position, last.ids)
    alone = select_row(model, after, 2)
    assert alone.state == [after.state[2]]
    assert np.array_equal(alone.logits, after.logits[2:3])
    assert np.array_equal(alone.logits, prefill(model, after.state[2]).logits)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_number_that_is_not_finite_is_an_error(bad: float) -> None:
    model = random_markov("abc")
    model.table[1, 2] = bad
    with pytest.raises(CheckpointError, match="not finite"):
        prefill(model, [0, 1])


def test_the_largest_finite_logits_are_no_error() -> None:
    model = Markov(np.full((3, 3), np.finfo(np.float32).max))
    assert prefill(model, [0]).logits.tolist() == [[float(np.finfo(np.float32).max)] * 3]


def test_a_position_needs_a_token() -> None:
    with pytest.raises(UsageError, match="at least one token"):
        prefill(random_markov("ab"), [])


def test_banning_every_token_is_an_error_at_the_call() -> None:
    model = random_markov("ab")
    with pytest.raises(UsageError, match="banned"):
        generate(model, prefill(model, [0]), SampleConfig(), row_generators(0, 1), banned=[0, 1])


@given(
    prompt=st.lists(st.integers(0, 5), min_size=1, max_size=80),
    length=st.integers(1, 90),
    penalty=st.sampled_from([0.5, 1.3, 4.0]),
)
@settings(max_examples=30)
def test_the_penalty_applies_to_the_last_64_ids_of_each_row(prompt: list[int], length: int, penalty: float) -> None:
    model = random_markov("abcdef")
    config = SampleConfig(length=length, temperature=0, repetition_penalty=penalty)
    draws = list(generate(model, prefill(model, prompt), config, row_generators(0, 2), recent=prompt))
    text = list(prompt)
    for draw in draws:
        row = model.table[text[-1]].astype(float)
        for token in set(text[-64:]):
            row[token] = row[token] / penalty if row[token] > 0 else row[token] * penalty
        text.append(int(row.argmax()))
        assert draw.ids.tolist() == [text[-1]] * 2
