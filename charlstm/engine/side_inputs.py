"""What is looked up of the last tokens, in NumPy: `nn.ngrams` and `nn.recall`, stepped.

A row's arithmetic is on a few whole numbers, so it is done with plain ones: an operation on an array, however short,
costs ten times as much. And a state is a value, of which a step changes little: the entries of recall lie in blocks,
and of those only the ones written to are made anew, all others are shared with the state before.

Letters: B rows, none when a row is stepped alone; N tokens of the longest n-gram, K memories of R entries each.
"""

from __future__ import annotations

from array import array
from collections.abc import Mapping
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from charlstm.engine.layers import Array
from charlstm.nn.shapes import NGRAM_TABLE, RECALL_TABLE, has_ngrams
from charlstm.nn.side_inputs.hashing import hashes_of
from charlstm.nn.side_inputs.match_entries import entry_of, number_in, place_of

Read: TypeAlias = tuple[NDArray[Any], ...]
"""The numbers of the last N tokens, the newest first, (B, N), and the blocks of all memories in order, (B, blocks)."""

_BLOCK = 128
"""Entries. A step copies about as many as there are blocks, which it copies the list of."""


class LookUps:
    """The embeddings of n-grams and of what followed them the last time, and how they are found.

    Args:
        weights: all tensors of the network.
        model: the settings that give its shape, as plain values.
    """

    def __init__(self, weights: Mapping[str, Array], model: Mapping[str, Any]) -> None:
        order, features = model["ngram_order"] if has_ngrams(model) else 1, model["embedding_size"]
        none = np.empty((0, features), np.float32)
        self._orders: tuple[int, ...] = tuple(model.get("recall", ()))
        self._rows: int = model["recall_rows"] if self._orders else 0
        self._ngrams, self._recall = weights.get(NGRAM_TABLE, none), weights.get(RECALL_TABLE, none)
        self._longest = max(order, *self._orders, 1)
        self._n_of_ngrams = order - 1
        self._blocks, self._numbers = -(-self._rows // _BLOCK), model["vocab_size"] + 1
        # What a step reads of both tables, one below the other.
        found = np.empty((self._n_of_ngrams + len(self._orders), features), np.float32)
        self._found, (self._of_ngrams, self._of_recall) = found, np.split(found, [self._n_of_ngrams])
        self._ones = np.ones(len(found), np.float32)

    def nothing_read(self, batch: int) -> Read:
        """The memory before any text."""
        blocks = np.empty((batch, len(self._orders) * self._blocks), object)
        blocks.fill(array("i", bytes(4 * _BLOCK)))
        return np.zeros((batch, self._longest), np.int64), blocks

    def step(self, tokens: Any, read: Read) -> tuple[Array, Read]:
        """Read a token a row, ids (B,), or one id if a row is stepped alone.

        Returns:
            The sum of the embeddings found, (B, features) or (features,), and the memory after.
        """
        if read[0].ndim == 1:
            return self._row(int(tokens), *read)
        rows = [self._row(token, *row) for token, *row in zip(tokens.tolist(), *read, strict=True)]
        found, after = zip(*rows, strict=True)
        return np.stack(found), tuple(map(np.stack, zip(*after, strict=True)))

    def _row(self, token: int, read: NDArray[Any], blocks: NDArray[Any]) -> tuple[Array, Read]:
        number, before = token + 1, read.tolist()
        last = [number, *before[:-1]]
        now = hashes_of(last)
        if self._n_of_ngrams:
            rows = [hashed % len(self._ngrams) for hashed in now[: self._n_of_ngrams]]
            self._ngrams.take(rows, 0, self._of_ngrams, "clip")
        if self._orders:
            then, blocks, rows = hashes_of(before), blocks.copy(), []
            for k, order in enumerate(self._orders):
                where, within = self._in_blocks(k, then[order - 2])
                block = blocks[where][:]
                block[within] = entry_of(then[order - 2], number, self._rows)
                blocks[where] = block
                where, within = self._in_blocks(k, now[order - 2])
                followed = number_in(blocks[where][within], now[order - 2], self._rows)
                rows.append(k * self._numbers + followed)
            self._recall.take(rows, 0, self._of_recall, "clip")
        return np.dot(self._ones, self._found), (np.array(last, np.int64), blocks)

    def _in_blocks(self, k: int, hashed: int) -> tuple[int, int]:
        """The block of an n-gram's entry in memory k, and where in the block it lies."""
        block, within = divmod(place_of(hashed, self._rows), _BLOCK)
        return k * self._blocks + block, within
