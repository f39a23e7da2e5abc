"""Reading and scoring a text, compared with a plain loop; and what is not read again."""

from __future__ import annotations

import asyncio
import math
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from charlstm.engine.mix import MixedEngine
from charlstm.engine.network import Engine
from charlstm.tokenizers import ByteTokenizer
from charlstm.web import reading
from charlstm.web.reading import BLOCK, Memory, Reader, Scored, joined, read_both_ways, score, texts_of
from charlstm.web.turns import Job, Turns
from tests.fake_models import Markov, random_markov
from tests.web.running import served

ALPHABET = "\n abcdefgh"


def ids(length: int, seed: int = 0) -> list[int]:
    chosen: list[int] = np.random.default_rng(seed).integers(0, len(ALPHABET), length).tolist()
    return chosen


def plain_nats(model: Any, tokens: list[int]) -> list[float]:
    """The loss of each token but the first, one step after another, with Python's own logarithm."""
    state, losses = None, []
    for token, following in pairwise(tokens):
        logits, state = model.step(np.array([token]), state)
        weights = [math.exp(float(each)) for each in logits[0]]
        losses.append(-math.log(weights[following] / sum(weights)))
    return losses


@pytest.mark.parametrize("length", [0, 1, 2, BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK + 5])
def test_scores_are_those_of_a_plain_loop(length: int) -> None:
    engine = served().engine
    assert isinstance(engine, Engine)
    tokens = ids(length)
    position, found = Reader(Memory(), b"", engine, engine).read(tokens)
    assert found.ids.tolist() == tokens
    assert (position is None) == (length == 0)
    if not length:
        return
    assert math.isnan(found.nats[0])
    np.testing.assert_allclose(found.nats[1:], plain_nats(engine, tokens), rtol=1e-5, atol=1e-6)
    state = None
    for token in tokens:
        logits, state = engine.step(np.array([token]), state)
    assert position is not None
    np.testing.assert_array_equal(position.logits, logits.astype(np.float64))


def test_ranks_entropy_and_alternatives_are_what_they_say() -> None:
    logits = np.log(np.array([[0.5, 0.25, 0.125, 0.125], [0.1, 0.2, 0.3, 0.4]]))
    found = score(logits, [2, 3])
    assert found.ranks.tolist() == [2, 0]
    np.testing.assert_allclose(found.nats, [-math.log(0.125), -math.log(0.4)])
    np.testing.assert_allclose(found.entropy[0], 1.75 * math.log(2))
    assert found.likeliest.tolist() == [[0, 1, 2, 3], [3, 2, 1, 0]]
    np.testing.assert_allclose(found.likeliest_nats[1], -np.log([0.4, 0.3, 0.2, 0.1]))


def test_of_a_large_vocabulary_the_twenty_likeliest_are_kept() -> None:
    logits = np.random.default_rng(3).normal(size=(5, 500))
    found = score(logits, [0] * 5)
    np.testing.assert_array_equal(found.likeliest, np.argsort(-logits, axis=1)[:, :20])


def test_columns_hold_nothing_that_json_cannot() -> None:
    logits = np.array([[np.nan] * 3, [0.0, 30_000.0, -30_000.0]])
    with np.errstate(invalid="ignore"):
        columns = score(logits, [0, 2]).columns(["a", "c"])
    assert columns["nats"] == [None, 9999.0]
    assert columns["ranks"] == [None, 2]
    assert columns["entropy"] == [None, 0.0]
    assert columns["alternatives"] == [[], [[1, 0.0], [0, 9999.0], [2, 9999.0]]]
    assert {name: len(each) for name, each in columns.items()} == dict.fromkeys(columns, 2)


def test_parts_join() -> None:
    whole = score(np.random.default_rng(0).normal(size=(9, 5)), [0, 1, 2, 3, 4, 0, 1, 2, 3])
    parts = [Scored(*(each[begin : begin + 4] for each in whole)) for begin in (0, 4, 8)]
    for one, other in zip(joined(parts, 5), whole, strict=True):
        np.testing.assert_array_equal(one, other)
    assert [len(each) for each in joined([], 5)] == [0] * 6


# ---- what is not read again -----------------------------------------------------------------------------------------


def markov() -> Markov:
    return random_markov(ALPHABET, seed=1)


def test_a_branch_reads_64_tokens_at_most() -> None:
    memory, text = Memory(), ids(1000)
    first = markov()
    Reader(memory, b"one", first, first).read(text)
    assert len(first.steps) == 1000
    for cut, new in ((1000, []), (700, ids(30, 1)), (640, ids(20, 2)), (999, [])):
        model, fresh, tokens = markov(), markov(), text[:cut] + new
        position, found = Reader(memory, b"one", model, model).read(tokens)
        assert len(model.steps) == cut % BLOCK + len(new)
        alone, scored = Reader(Memory(), b"", fresh, fresh).read(tokens)
        np.testing.assert_array_equal(found.nats, scored.nats)
        assert position is not None
        assert alone is not None
        assert position.state == alone.state


def test_one_network_does_not_take_anothers_memories_for_its_own() -> None:
    memory, text = Memory(), ids(200)
    results = []
    for key, seed in ((b"one", 1), (b"two", 2), (b"one", 1)):
        model = random_markov(ALPHABET, seed=seed)
        results.append(Reader(memory, key, model, model).read(text)[1].nats)
    np.testing.assert_array_equal(results[0], results[2])
    assert not np.allclose(results[0][1:], results[1][1:])


def test_what_is_kept_is_limited_in_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "_MOST_BYTES", 200_000)
    memory, model = Memory(), markov()
    for seed in range(30):
        Reader(memory, b"one", model, model).read(ids(640, seed))
        assert 0 < memory._bytes <= 200_000
        assert memory._bytes == sum(map(reading._size, memory._blocks.values()))
    model.steps.clear()
    Reader(memory, b"one", model, model).read(ids(128, 29))
    assert len(model.steps) in (0, 64, 128)


def test_records_are_each_read_from_the_beginning() -> None:
    """What a list's network thinks of a record does not depend on the records before it."""
    engine = served().engine
    assert isinstance(engine, Engine)
    encode = engine.tokenizer.encode
    reader = Reader(Memory(), b"", engine, engine, "\n")
    together, alone = reader.read(encode("abc\nfed\ngah"))[1], reader.read(encode("gah"))[1]
    np.testing.assert_array_equal(together.nats[-3:], alone.nats)
    assert not np.isnan(together.nats).any()
    assert reader.beginning(encode("abc\nfed\ngah")) == 8
    assert reader.beginning(encode("abc\n")) == 4
    assert reader.beginning(encode("abc")) == 0


def test_a_record_that_ends_with_a_block_ends_there_too() -> None:
    engine = served().engine
    assert isinstance(engine, Engine)
    encode, memory = engine.tokenizer.encode, Memory()
    text = "a" * (BLOCK - 1) + "\n" + "fed"
    for _ in range(2):  # the second time from memory
        scored = Reader(memory, b"", engine, engine, "\n").read(encode(text))[1]
        alone = Reader(Memory(), b"", engine, engine, "\n").read(encode("fed"))[1]
        np.testing.assert_array_equal(scored.nats[-3:], alone.nats)


def test_a_mix_of_other_weights_reads_nothing_to_write_on_and_everything_to_score() -> None:
    engines = [served(hidden_size=size).engine for size in (12, 9)]
    memory, text = Memory(), ids(130)
    for weights in ((0.7, 0.3), (0.2, 0.8)):
        mix = MixedEngine([*zip(engines, weights, strict=True)])  # type: ignore[list-item]
        position, _ = Reader(memory, b"mix", mix, mix).read(text, again=False)
        alone, scored = Reader(Memory(), b"", mix, mix).read(text)
        assert position is not None
        assert alone is not None
        np.testing.assert_allclose(position.logits, alone.logits, rtol=1e-12)
        again = Reader(memory, b"mix", mix, mix).read(text)[1]
        np.testing.assert_allclose(again.nats, scored.nats, rtol=1e-12)


def test_a_network_that_reads_both_ways_scores_as_far_as_it_reads() -> None:
    both = served("both", bidirectional=True).engine
    tokens = ids(40)

    async def scored() -> Scored:
        return read_both_ways(both, tokens, Job(Turns(), 1, print))  # type: ignore[arg-type]

    found = asyncio.run(scored())
    logits = both.logits(tokens).astype(np.float64)  # type: ignore[union-attr]
    expected = np.log(np.exp(logits).sum(1)) - logits[np.arange(40), tokens]
    np.testing.assert_allclose(found.nats[: 40 - 32], expected[: 40 - 32], rtol=1e-5)
    assert not np.isnan(found.nats).any()


def test_the_texts_of_tokens_join_to_the_text() -> None:
    tokenizer = ByteTokenizer()
    data = "aé漢".encode()
    assert texts_of(tokenizer, data) == ["a", "", "é", "", "", "漢"]
    assert texts_of(tokenizer, data[:-1]) == ["a", "", "é", "", "�"]
    assert texts_of(tokenizer, b"") == []
