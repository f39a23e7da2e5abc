"""Drawing from models whose every number is known: positions, batches, stop rules, text, seeds."""

from __future__ import annotations

import ast
import math
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from charlstm.errors import CheckpointError, UsageError
from charlstm.sampling import filters
from charlstm.sampling import sampler as sampling
from charlstm.sampling.position import advance, pick, read
from charlstm.sampling.sampler import SampleConfig, generate, generators, preview, sample
from charlstm.tokenizers import ByteTokenizer
from tests.fake_models import Markov, cycle, random_markov

GREEDY = SampleConfig(length=8, temperature=0)
ABC = "ab\ncdefg "


def texts(model: Any, config: SampleConfig, rows: int = 1, prompt: str = "a") -> list[str]:
    joined = [""] * rows
    for fragment in sample(model, model.tokenizer.encode(prompt), config, rows=rows):
        joined[fragment.row] += fragment.text
    return joined


# ---- settings ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "wrong",
    [
        {"length": -1},
        {"temperature": -0.1},
        {"temperature": math.nan},
        {"temperature": math.inf},
        {"top_k": -1},
        {"top_p": 0.0},
        {"top_p": 1.1},
        {"top_p": math.nan},
        {"min_p": -0.1},
        {"min_p": 1.1},
        {"repetition_penalty": 0.0},
        {"repetition_penalty": math.inf},
        {"stop": ("end", "")},
        {"lines": -1},
        {"seed": -1},
    ],
)
def test_a_value_out_of_range_is_named(wrong: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=next(iter(wrong)).replace("_", "-")):
        SampleConfig(**wrong)


# ---- token ids --------------------------------------------------------------------------------------------------


def test_a_position_can_be_gone_on_from_many_times() -> None:
    model = random_markov("abcdef")
    start = read(model, [0, 1, 2])
    ways = [
        [int(draw.ids[0]) for draw in generate(model, start, SampleConfig(length=20), generators(7, 1))]
        for _ in range(2)
    ]
    assert ways[0] == ways[1]
    assert start.state == [(0, 1, 2)]


def test_each_token_is_read_once_and_the_last_draw_not_at_all() -> None:
    model = cycle("abcd")
    draws = list(generate(model, read(model, [0, 1]), SampleConfig(length=3, temperature=0), generators(0, 2)))
    assert model.steps == [[0], [1], [2, 2], [3, 3]]
    assert [draw.ids.tolist() for draw in draws] == [[2, 2], [3, 3], [0, 0]]
    assert draws[-1].position.state == [(0, 1, 2, 3)] * 2


def test_one_row_of_a_batch_goes_on_alone() -> None:
    model = random_markov("abcdefgh")
    for draw in generate(model, read(model, [0]), SampleConfig(length=5), generators(3, 4)):
        last = draw
    after = advance(model, last.position, last.ids)
    alone = pick(model, after, 2)
    assert alone.state == [after.state[2]]
    assert np.array_equal(alone.logits, after.logits[2:3])
    assert np.array_equal(alone.logits, read(model, after.state[2]).logits)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_number_that_is_not_finite_is_an_error(bad: float) -> None:
    model = random_markov("abc")
    model.table[1, 2] = bad
    with pytest.raises(CheckpointError, match="not finite"):
        read(model, [0, 1])


def test_the_largest_finite_logits_are_none() -> None:
    model = Markov(np.full((3, 3), np.finfo(np.float32).max))
    assert read(model, [0]).logits.tolist() == [[float(np.finfo(np.float32).max)] * 3]


def test_nothing_read_is_an_error() -> None:
    with pytest.raises(UsageError, match="nothing to go on from"):
        read(random_markov("ab"), [])


def test_when_everything_is_banned_it_says_so() -> None:
    model = random_markov("ab")
    with pytest.raises(UsageError, match="banned"):
        next(generate(model, read(model, [0]), SampleConfig(), generators(0, 1), banned=[0, 1]))


@given(
    prompt=st.lists(st.integers(0, 5), min_size=1, max_size=80),
    length=st.integers(1, 90),
    penalty=st.sampled_from([0.5, 1.3, 4.0]),
)
@settings(max_examples=30)
def test_the_penalty_sees_the_last_64_ids_of_each_row(prompt: list[int], length: int, penalty: float) -> None:
    model = random_markov("abcdef")
    config = SampleConfig(length=length, temperature=0, repetition_penalty=penalty)
    draws = list(generate(model, read(model, prompt), config, generators(0, 2), recent=prompt))
    text = list(prompt)
    for draw in draws:
        row = model.table[text[-1]].astype(float)
        for token in set(text[-64:]):
            row[token] = row[token] / penalty if row[token] > 0 else row[token] * penalty
        text.append(int(row.argmax()))
        assert draw.ids.tolist() == [text[-1]] * 2


def test_row_k_is_the_same_however_many_rows_there_are() -> None:
    model = random_markov(ABC)
    config = SampleConfig(length=60, temperature=1.0, seed=11)
    many = texts(model, config, rows=5)
    assert len(set(many)) == 5
    for rows in (1, 2, 4):
        assert texts(model, config, rows) == many[:rows]


def test_a_seed_decides_and_no_seed_does_not() -> None:
    model = random_markov(ABC)
    assert texts(model, SampleConfig(length=50, seed=3)) == texts(model, SampleConfig(length=50, seed=3))
    assert texts(model, SampleConfig(length=50, seed=3)) != texts(model, SampleConfig(length=50, seed=4))
    assert texts(model, SampleConfig(length=50)) != texts(model, SampleConfig(length=50))


def test_pairs_of_characters_come_as_often_as_the_model_says() -> None:
    model = random_markov("abcd", spread=1.0)
    text = texts(model, SampleConfig(length=30_000, temperature=1.0, seed=2))[0]
    pairs = Counter(pairwise(text))
    chi_square = 0.0
    for before in "abcd":
        row = np.exp(model.table[ord(before) - 97].astype(float))
        number = sum(count for (first, _), count in pairs.items() if first == before)
        for after, share in zip("abcd", row / row.sum(), strict=True):
            chi_square += (pairs[before, after] - number * share) ** 2 / (number * share)
    assert chi_square < 32.9  # twelve degrees of freedom: passed by chance in 999 of 1000 seeds; this one is fixed


# ---- text -------------------------------------------------------------------------------------------------------


def test_length_counts_tokens_and_ends_the_row() -> None:
    fragments = list(sample(cycle("abc"), [0], GREEDY))
    assert "".join(fragment.text for fragment in fragments) == "bcabcabc"
    assert [fragment.ending for fragment in fragments] == [""] * 7 + ["length"]
    assert all(math.isnan(fragment.log_probability) for fragment in fragments)


def test_endless_goes_on_until_nobody_asks() -> None:
    model = cycle("abc")
    endless = sample(model, [0], SampleConfig(length=0, temperature=0))
    assert "".join(next(endless).text for _ in range(1000)) == ("bca" * 334)[:1000]
    assert len(model.steps) == 1000


def test_a_stop_text_across_tokens_ends_it_and_is_not_given_out() -> None:
    fragments = list(sample(cycle("abcdef"), [0], SampleConfig(length=50, temperature=0, stop=("efa",))))
    assert [fragment.text for fragment in fragments] == ["b", "c", "d", "", "", ""]
    assert fragments[-1].ending == "stop"


def test_what_is_held_back_comes_out_when_the_length_ends_it() -> None:
    assert texts(cycle("abcdef"), SampleConfig(length=5, temperature=0, stop=("efz",))) == ["bcdef"]


def test_lines_are_counted_in_what_is_drawn() -> None:
    assert texts(cycle("ab\n"), SampleConfig(length=50, temperature=0, lines=3), prompt="a") == ["b\nab\nab\n"]


def test_rows_end_each_for_itself() -> None:
    model = random_markov("ab\n", spread=1.0)
    config = SampleConfig(length=40, lines=1, temperature=1.0, seed=8)
    fragments = list(sample(model, [0], config, rows=4))
    by_row = [[fragment for fragment in fragments if fragment.row == row] for row in range(4)]
    assert len({len(row) for row in by_row}) > 1
    for row in by_row:
        assert row[-1].text.endswith("\n")
        assert [fragment.ending for fragment in row] == [""] * (len(row) - 1) + ["lines"]


def test_the_unknown_symbol_is_never_drawn() -> None:
    model = random_markov("abc", unknown=True)
    model.table[:, 3] = 40.0
    assert set(texts(model, SampleConfig(length=200, seed=1))[0]) <= set("abc")


@given(seed=st.integers(0, 1000), length=st.integers(1, 60))
@settings(max_examples=40)
def test_joined_fragments_are_the_decoded_ids(seed: int, length: int) -> None:
    # Bytes at random: halves of characters everywhere.
    table = np.random.default_rng(0).normal(size=(1, 256)) + np.where(np.arange(256) >= 128, 2.0, 0.0)
    model = Markov(table, ByteTokenizer())
    fragments = list(sample(model, [65], SampleConfig(length=length, temperature=1.0, seed=seed), rows=2))
    for row in range(2):
        mine = [fragment for fragment in fragments if fragment.row == row]
        assert "".join(f.text for f in mine) == bytes(f.token for f in mine).decode("utf-8", "replace")


def test_log_probabilities_are_the_models_own_at_temperature_1() -> None:
    model = random_markov("abcde")
    config = SampleConfig(length=30, temperature=0.3, top_k=2, repetition_penalty=1.5, seed=4)
    last = 0
    for fragment in sample(model, [0], config, with_log_probabilities=True):
        row = model.table[last].astype(float)
        expected = row[fragment.token] - math.log(math.fsum(math.exp(value) for value in row))
        assert fragment.log_probability == pytest.approx(expected, abs=1e-9)
        last = fragment.token


def test_an_empty_prompt_begins_behind_a_newline() -> None:
    model = cycle("\nabc")
    assert texts(model, SampleConfig(length=4, temperature=0), prompt="") == ["abc\n"]
    assert model.steps[0] == [model.tokenizer.encode("\n")[0]]


def test_one_character_is_alphabet_enough() -> None:
    assert texts(Markov([[0.0]]), SampleConfig(length=5, seed=1), prompt="") == ["aaaaa"]


def test_a_preview_is_as_long_as_asked_and_always_the_same() -> None:
    model = random_markov(ABC)
    assert len(preview(model, 77, seed=1)) == 77
    assert preview(model, 77, seed=1) == preview(model, 77, seed=1)


def test_a_long_prompt_costs_one_step_a_token() -> None:
    model = random_markov("ab")
    list(sample(model, [0, 1] * 500, SampleConfig(length=3, seed=1), rows=3))
    assert len(model.steps) == 1002
    assert {len(step) for step in model.steps[:1000]} == {1}


def test_the_sampler_imports_no_torch() -> None:
    for module in (sampling, filters):
        for node in ast.walk(ast.parse(Path(module.__file__).read_text("utf-8"))):
            if isinstance(node, ast.Import | ast.ImportFrom):
                names = [node.module] if isinstance(node, ast.ImportFrom) else [alias.name for alias in node.names]
                assert not any(str(name).startswith("torch") for name in names)
