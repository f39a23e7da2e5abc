"""Drawing text from models whose every number is known: seeds, batches, stop rules, decoding."""

from __future__ import annotations

import math
from collections import Counter
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from charlstm.errors import UsageError
from charlstm.sampling.config import SampleConfig
from charlstm.sampling.position import prefill
from charlstm.sampling.sampler import preview, sample
from charlstm.tokenizers import ByteTokenizer, CharTokenizer
from tests.fake_models import Markov, cycle, random_markov

GREEDY = SampleConfig(length=8, temperature=0)
ABC = "ab\ncdefg "


def texts(model: Any, config: SampleConfig, rows: int = 1, prompt: str = "a") -> list[str]:
    joined = [""] * rows
    for fragment in sample(model, model.tokenizer.encode(prompt), config, rows=rows):
        joined[fragment.row] += fragment.text
    return joined


@pytest.mark.parametrize(
    ("prompt", "options", "message"),
    [
        ([0], {"rows": 0}, "`rows=0` must be 1 or more"),
        ([0, 3], {}, "token id 3 is not in the vocabulary of 3 tokens"),
        ([-1, 0], {}, "token id -1 is not in the vocabulary"),
    ],
)
def test_a_wrong_argument_is_an_error_at_the_call(prompt: Any, options: Any, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        sample(random_markov("abc"), prompt, GREEDY, **options)


def test_a_vocabulary_of_the_unknown_symbol_alone_is_an_error_at_the_call() -> None:
    with pytest.raises(UsageError, match="every token is banned"):
        sample(random_markov("", unknown=True), [], GREEDY)


def test_nothing_is_computed_before_the_first_fragment_is_requested() -> None:
    model = cycle("abc")
    fragments = sample(model, [0, 1], GREEDY)
    assert model.steps == []
    assert next(fragments).text == "c"


def test_row_k_is_the_same_however_many_rows_there_are() -> None:
    model = random_markov(ABC)
    config = SampleConfig(length=60, temperature=1.0, seed=11)
    many = texts(model, config, rows=5)
    assert len(set(many)) == 5
    for rows in (1, 2, 4):
        assert texts(model, config, rows) == many[:rows]


def test_a_seed_repeats_a_draw_and_no_seed_does_not() -> None:
    model = random_markov(ABC)
    assert texts(model, SampleConfig(length=50, seed=3)) == texts(model, SampleConfig(length=50, seed=3))
    assert texts(model, SampleConfig(length=50, seed=3)) != texts(model, SampleConfig(length=50, seed=4))
    assert texts(model, SampleConfig(length=50)) != texts(model, SampleConfig(length=50))


def test_pairs_of_characters_have_the_models_frequencies() -> None:
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


def test_length_counts_tokens_and_ends_the_row() -> None:
    fragments = list(sample(cycle("abc"), [0], GREEDY))
    assert "".join(fragment.text for fragment in fragments) == "bcabcabc"
    assert [fragment.finish_reason for fragment in fragments] == [None] * 7 + ["length"]
    assert all(math.isnan(fragment.log_probability) for fragment in fragments)


def test_length_0_is_endless_and_costs_a_step_per_token() -> None:
    model = cycle("abc")
    endless = sample(model, [0], SampleConfig(length=0, temperature=0))
    assert "".join(next(endless).text for _ in range(1000)) == ("bca" * 334)[:1000]
    assert len(model.steps) == 1000


def test_a_stop_text_may_span_tokens_and_is_not_returned() -> None:
    fragments = list(sample(cycle("abcdef"), [0], SampleConfig(length=50, temperature=0, stop=("efa",))))
    assert [fragment.text for fragment in fragments] == ["b", "c", "d", "", "", ""]
    assert fragments[-1].finish_reason == "stop"


def test_text_that_was_held_back_is_returned_at_the_end() -> None:
    assert texts(cycle("abcdef"), SampleConfig(length=5, temperature=0, stop=("efz",))) == ["bcdef"]


def test_only_drawn_lines_are_counted() -> None:
    assert texts(cycle("ab\n"), SampleConfig(length=50, temperature=0, lines=3), prompt="a") == ["b\nab\nab\n"]


def test_each_row_ends_by_itself() -> None:
    model = random_markov("ab\n", spread=1.0)
    config = SampleConfig(length=40, lines=1, temperature=1.0, seed=8)
    fragments = list(sample(model, [0], config, rows=4))
    by_row = [[fragment for fragment in fragments if fragment.row == row] for row in range(4)]
    assert len({len(row) for row in by_row}) > 1
    for row in by_row:
        assert row[-1].text.endswith("\n")
        assert [fragment.finish_reason for fragment in row] == [None] * (len(row) - 1) + ["lines"]


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


@pytest.mark.parametrize("length", range(1, 9))
def test_a_text_never_ends_inside_a_character(length: int) -> None:
    # a, é, €, 😀: one to four bytes.
    data = "aé€😀".encode()
    table = np.full((256, 256), -50.0)
    for before, after in zip(data, data[1:] + data[:1], strict=True):
        table[before, after] = 50.0
    model = Markov(table, ByteTokenizer())
    config = SampleConfig(length=length, temperature=0)
    (text,) = texts(model, config, prompt="a")
    assert "\ufffd" not in text
    assert length <= len(text.encode()) <= length + 3
    assert len(text[:-1].encode()) < length
    raw = list(sample(model, [97], config, raw=True))
    assert [fragment.token for fragment in raw] == list((data[1:] + data)[:length])


def test_a_character_that_is_never_completed_ends_all_the_same() -> None:
    model = Markov(np.where(np.arange(256) == 0xE2, 50.0, 0.0)[None], ByteTokenizer())
    fragments = list(sample(model, [97], SampleConfig(length=3, temperature=0)))
    assert len(fragments) == 6
    assert fragments[-1].finish_reason == "length"


def test_log_probabilities_are_the_models_own_at_temperature_1() -> None:
    model = random_markov("abcde")
    config = SampleConfig(length=30, temperature=0.3, top_k=2, repetition_penalty=1.5, seed=4)
    last = 0
    for fragment in sample(model, [0], config, with_log_probabilities=True):
        row = model.table[last].astype(float)
        expected = row[fragment.token] - math.log(math.fsum(math.exp(value) for value in row))
        assert fragment.log_probability == pytest.approx(expected, abs=1e-9)
        last = fragment.token


def test_an_empty_prompt_starts_after_a_newline() -> None:
    model = cycle("\nabc")
    assert texts(model, SampleConfig(length=4, temperature=0), prompt="") == ["abc\n"]
    assert model.steps[0] == [model.tokenizer.encode("\n")[0]]


def test_without_a_prompt_each_text_begins_after_a_start_of_its_own() -> None:
    # After "a\n" comes x, after "b\n" comes y: which of the two a row has read shows in its first character.
    class Remembering(Markov):
        def step(self, tokens: Any, state: Any) -> tuple[Any, Any]:
            logits, state = super().step(tokens, state)
            first = np.asarray([self.tokenizer.encode("x" if past[0] == 0 else "y")[0] for past in state])
            logits = np.zeros_like(logits)
            logits[np.arange(len(first)), first] = 50.0
            return logits, state

    model = Remembering(np.zeros((5, 5)), CharTokenizer("ab\nxy"))
    config = SampleConfig(length=3, temperature=0, seed=3)
    drawn = [""] * 40
    for fragment in sample(model, (), config, rows=40, starts=("a\n", "b\n")):
        drawn[fragment.row] += fragment.text
    assert set(drawn) == {"xxx", "yyy"}
    assert len(model.steps) == 2 * 2 + 2  # each start is read once
    few = [fragment.text for fragment in sample(model, (), config, rows=3, starts=("a\n", "b\n"))][:3]
    assert few == [text[0] for text in drawn[:3]]
    prompted = list(sample(model, model.tokenizer.encode("b"), config, rows=4, starts=("a\n",)))
    assert {fragment.text for fragment in prompted} == {"y"}


def test_an_alphabet_may_have_one_character() -> None:
    assert texts(Markov([[0.0]]), SampleConfig(length=5, seed=1), prompt="") == ["aaaaa"]


def test_a_preview_has_its_length_and_is_always_the_same() -> None:
    model = random_markov(ABC)
    config = SampleConfig(seed=1)
    assert len(preview(model, 77, config)) == 77
    assert preview(model, 77, config) == preview(model, 77, config)


def test_a_position_that_is_known_is_not_read_again() -> None:
    model = random_markov("abcd")
    config = SampleConfig(length=30, seed=4, repetition_penalty=1.3, no_repeat=2)
    whole = [*sample(model, [0, 1, 2, 3], config, rows=2)]
    start = prefill(model, [0, 1, 2, 3])
    model.steps.clear()
    assert [each[:3] for each in sample(model, [0, 1, 2, 3], config, rows=2, start=start)] == [e[:3] for e in whole]
    assert len(model.steps) == 29


def test_a_fragment_has_the_logits_it_was_drawn_from() -> None:
    model = random_markov("abcd")
    last = [0, 0]
    for fragment in sample(model, [0], SampleConfig(length=9, seed=4, temperature=3, top_k=3), rows=2):
        np.testing.assert_array_equal(fragment.logits, model.table[last[fragment.row]])
        last[fragment.row] = fragment.token


def test_a_long_prompt_costs_one_step_per_token() -> None:
    model = random_markov("ab")
    list(sample(model, [0, 1] * 500, SampleConfig(length=3, seed=1), rows=3))
    assert len(model.steps) == 1002
    assert {len(step) for step in model.steps[:1000]} == {1}
