"""Reading a text: how well each of its tokens was expected, and where the network stands after it.

What was read is kept, in blocks of 64 tokens: a text that begins like an earlier one costs only the tokens from the
last full block on.

Letters: T tokens, V vocabulary, K alternatives.
"""

from __future__ import annotations

import hashlib
import threading
from array import array
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from charlstm.engine.bidirectional import BidirectionalEngine
from charlstm.engine.mix import MixedEngine
from charlstm.engine.protocol import Logits, TextModel
from charlstm.engine.softmax import log_softmax
from charlstm.sampling.position import Position, advance, check_finite, prefill
from charlstm.tokenizers import Tokenizer
from charlstm.web.turns import Job

AnyIds = Sequence[int] | NDArray[np.integer[Any]]
"""Token ids, (T,)."""
BLOCK = 64
"""Tokens of a block."""
ALTERNATIVES = 20
"""K: as many as OpenAI's interface lets a client ask for."""
SHOWN = 8
"""Of them, those that the page shows."""
LOWEST = -9999.0
"""The least log-probability that JSON gets."""
_MOST_BYTES = 64 << 20
_PIECE = 256
"""Tokens for which a network that reads both ways reads what comes after them."""


class Scored(NamedTuple):
    """Tokens as the network expected them; NaN where nothing was predicted."""

    ids: NDArray[np.int64]
    """(T,)"""
    nats: NDArray[np.float64]
    """The loss of each, (T,)."""
    ranks: NDArray[np.int64]
    """How many tokens were thought likelier, (T,)."""
    entropy: NDArray[np.float64]
    """The loss that was to be expected, (T,)."""
    likeliest: NDArray[np.int64]
    """The likeliest tokens, (T, K), the likeliest first."""
    likeliest_nats: NDArray[np.float64]
    """What each of them would have lost, (T, K)."""

    def columns_from(self, begin: int, texts: Sequence[str]) -> dict[str, Any]:
        """The columns of those tokens that begin at a character or after it, and where the first of them begins.

        Args:
            begin: the character, from 0.
            texts: what each token adds to the text, (T,).

        Returns:
            As `columns`, with ``at``.
        """
        places = np.cumsum([0, *map(len, texts)])
        first = min(int(np.searchsorted(places, begin)), len(texts))
        rest: Iterator[Any] = (each[first:] for each in self)
        return {"at": int(places[first]), **Scored(*rest).columns(texts[first:])}

    def columns(self, texts: Sequence[str]) -> dict[str, Any]:
        """The columns that the page gets.

        Args:
            texts: what each token adds to the text.

        Returns:
            Lists of equal length, by name.
        """
        nats, likeliest = rounded(self.nats), rounded(self.likeliest_nats[:, :SHOWN])
        predicted = (~np.isnan(self.nats)).tolist()
        ranks, entropy, ids = self.ranks.tolist(), rounded(self.entropy), self.likeliest[:, :SHOWN].tolist()
        return {
            "texts": list(texts),
            "ids": self.ids.tolist(),
            "nats": [value if known else None for value, known in zip(nats, predicted, strict=True)],
            "ranks": [value if known else None for value, known in zip(ranks, predicted, strict=True)],
            "entropy": [value if known else None for value, known in zip(entropy, predicted, strict=True)],
            "alternatives": [
                [*map(list, zip(*pair, strict=True))] if known else []
                for *pair, known in zip(ids, likeliest, predicted, strict=True)
            ],
        }


def rounded(nats: NDArray[np.float64], digits: int = 4) -> list[Any]:
    """Losses as JSON gets them: short, and finite.

    Args:
        nats: of any shape.
        digits: after the point.

    Returns:
        Nested lists of that shape.
    """
    values: list[Any] = np.minimum(np.round(nats, digits), -LOWEST).tolist()
    return values


def score(logits: Logits, ids: AnyIds) -> Scored:
    """Compare tokens with what the network expected.

    Args:
        logits: (T, V), of each token before it was read; NaN where there are none.
        ids: (T,).

    Returns:
        Each token's score.
    """
    log_probs, tokens = log_softmax(logits), np.asarray(ids, np.int64)
    chosen = log_probs[np.arange(len(tokens)), tokens]
    count = min(ALTERNATIVES, logits.shape[1])
    best = np.sort(np.argpartition(-log_probs, count - 1, axis=1)[:, :count], axis=1)
    order = np.argsort(-np.take_along_axis(log_probs, best, 1), axis=1, kind="stable")
    likeliest = np.take_along_axis(best, order, 1)
    entropy = -(np.exp(log_probs) * np.maximum(log_probs, LOWEST)).sum(1)
    ranks = (log_probs > chosen[:, None]).sum(1)
    return Scored(tokens, -chosen, ranks, entropy, likeliest, -np.take_along_axis(log_probs, likeliest, 1))


def joined(parts: Iterable[Scored], vocab_size: int) -> Scored:
    """The scores of parts that follow each other, as one.

    Args:
        parts: any number.
        vocab_size: V, for none.
    """
    return Scored(*map(np.concatenate, zip(score(np.empty((0, vocab_size)), ()), *parts, strict=True)))


class Block(NamedTuple):
    """A part of a text that was read."""

    position: Position
    """After it."""
    scored: Scored
    weights: tuple[float, ...]
    """Of the mix that read it."""


class Memory:
    """The blocks that were read lately; threads may share it."""

    def __init__(self) -> None:
        self._blocks: OrderedDict[bytes, Block] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()

    def find(self, key: bytes) -> Block | None:
        """The block of a key, if it is still there."""
        with self._lock:
            if key in self._blocks:
                self._blocks.move_to_end(key)
            return self._blocks.get(key)

    def keep(self, key: bytes, block: Block) -> None:
        """Keep a block, and forget those that were of no use for longest.

        Args:
            key: of the block.
            block: what to keep.
        """
        with self._lock:
            if key in self._blocks:
                self._bytes -= _size(self._blocks.pop(key))
            self._blocks[key] = block
            self._bytes += _size(block)
            while self._bytes > _MOST_BYTES:
                _, forgotten = self._blocks.popitem(last=False)
                self._bytes -= _size(forgotten)


def _size(value: Any) -> int:
    """Bytes of the arrays in a value, which may share some of them with others."""
    if isinstance(value, np.ndarray):
        return value.nbytes
    if isinstance(value, array):
        return len(value) * value.itemsize
    if isinstance(value, Mapping):
        value = value.values()
    return 64 + sum(map(_size, value)) if isinstance(value, tuple | list) else 64


class Reader:
    """Reads texts with one causal network, or with a mix.

    Args:
        memory: of all networks.
        key: distinguishes the network.
        network: itself.
        model: the same, as the request steps it.
        record: what ends a record, if it has read a list: each record is read from the state before any text.
    """

    def __init__(self, memory: Memory, key: bytes, network: TextModel, model: TextModel, record: str = "") -> None:
        self._memory, self._key, self._model = memory, key + b"\0", model
        self._mix = network if isinstance(network, MixedEngine) else None
        self._weights = () if self._mix is None else self._mix.weights
        self._record = tuple(model.tokenizer.encode(record).tolist()) if record else ()

    def read(self, ids: AnyIds, *, again: bool = True) -> tuple[Position | None, Scored]:
        """Read a text.

        Args:
            ids: its tokens, (T,).
            again: whether to read again what a mix of other weights has read: only the scores depend on them.

        Returns:
            The position after it, None after no text at all, and how each token was expected.
        """
        first = position = prefill(self._model, self._record[-1:]) if self._record else None
        tokens, parts = np.asarray(ids, np.int64), []
        digest = hashlib.blake2b(self._key)
        for begin in range(0, len(tokens), BLOCK):
            digest.update(tokens[begin : begin + BLOCK].tobytes())
            key, block = digest.digest(), self._memory.find(digest.digest())
            if block is None or (again and block.weights != self._weights):
                block = self._read_block(tokens, begin, position, first)
                if begin + BLOCK <= len(tokens):
                    self._memory.keep(key, block)
            position = block.position
            if self._mix is not None:
                position = position._replace(logits=self._mix.logits(position.state))
            parts.append(block.scored)
        return position, joined(parts, self._model.vocab_size)

    def beginning(self, ids: AnyIds) -> int:
        """Where the last record of a text begins; 0 if it is no list."""
        length = len(self._record)
        places = range(len(ids), length - 1, -1) if length else ()
        return next((place for place in places if self._ends_record(ids, place)), 0)

    def _ends_record(self, ids: AnyIds, place: int) -> bool:
        return bool(self._record) and tuple(map(int, ids[max(0, place - len(self._record)) : place])) == self._record

    def _read_block(
        self, tokens: NDArray[np.int64], begin: int, position: Position | None, first: Position | None
    ) -> Block:
        nothing, rows = np.full(self._model.vocab_size, np.nan), []
        piece = tokens[begin : begin + BLOCK]
        for place, token in enumerate(piece, begin + 1):
            rows.append(nothing if position is None else position.logits[0])
            position = advance(self._model, position, np.array([token]))
            if self._ends_record(tokens, place):
                position = first
        assert position is not None
        return Block(position, score(np.stack(rows), piece), self._weights)


def read_both_ways(engine: BidirectionalEngine, ids: AnyIds, job: Job) -> Scored:
    """Score each token of a text from all those around it, as far as the network reads.

    Args:
        engine: the network.
        ids: the text, (T,).
        job: asked before every step.

    Returns:
        Each token's score.
    """
    left, tokens, parts = engine.begin(()), np.asarray(ids, np.int64).tolist(), []
    for begin in range(0, len(tokens), _PIECE):
        piece, after, rows = tokens[begin : begin + _PIECE], tokens[begin + _PIECE :], []
        layout = (*piece, *engine.layout(after))
        for place, token in enumerate(piece):
            job.breathe()
            rows.append(engine.predict(left, layout, place)[0].astype(np.float64))
            left = engine.advance(left, np.array([token]))
        check_finite(np.stack(rows))
        parts.append(score(np.stack(rows), piece))
    return joined(parts, engine.vocab_size)


def texts_of(tokenizer: Tokenizer, ids: Iterable[int]) -> list[str]:
    """The text that each token adds: none where it ends inside a character.

    Args:
        tokenizer: the network's.
        ids: the text.
    """
    decoder = tokenizer.decoder()
    texts = [decoder.push(int(token)) for token in ids]
    rest = decoder.flush()
    return [*texts[:-1], texts[-1] + rest] if texts else []
