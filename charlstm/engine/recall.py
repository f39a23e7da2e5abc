"""What followed the last time (`charlstm.recall`) in NumPy: `nn.recall`, stepped.

Letters: B rows, K orders, R entries a memory, N tokens of the longest n-gram.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from charlstm.engine.layers import Array
from charlstm.ngrams import hashes_of
from charlstm.recall import entry_of, number_in, place_of

Memory: TypeAlias = tuple[NDArray[Any], ...]
"""The numbers of the last N tokens, the newest last, (B, N), and the entries, (B, K, R); of a row alone without B."""


class RecallTable:
    """The memories, and the embeddings of what is found in them.

    Args:
        weight: (K (V + 1), features).
        orders: n of each memory.
        rows: R.
    """

    def __init__(self, weight: Array, orders: Sequence[int], rows: int) -> None:
        self._orders, self._rows = tuple(orders), rows
        self._weight = weight.reshape(len(self._orders), -1, weight.shape[1])

    def nothing_read(self, batch: int) -> Memory:
        """The memory before any text."""
        return (
            np.zeros((batch, max(self._orders)), np.int64),
            np.zeros((batch, len(self._orders), self._rows), np.int32),
        )

    def step(self, tokens: Any, memory: Memory) -> tuple[Array, Memory]:
        """Read a token a row, ids (B,), or one id if a row is stepped alone.

        Returns:
            The sum of the embeddings of what followed, (B, features) or (features,), and the memory after.
        """
        read, entries = memory[0], memory[1].copy()
        number: Any
        found: Any = 0
        row: tuple[Any, ...] = ()
        if read.ndim == 1:
            # Plain numbers: each operation on an array, however short, costs ten times as much.
            number, before = int(tokens) + 1, read[::-1].tolist()
            after = np.array([*before[-2::-1], number], np.int64)
        else:
            number, before = np.asarray(tokens, np.int64) + 1, read.T[::-1]
            row = (np.arange(len(read)),)
            after = np.column_stack((read[:, 1:], number))
        then, now = hashes_of(before), hashes_of([number, *before[:-1]])
        for k, order in enumerate(self._orders):
            h_then, h_now = then[order - 2], now[order - 2]
            entries[(*row, k, place_of(h_then, self._rows))] = entry_of(h_then, number, self._rows)
            entry = entries[(*row, k, place_of(h_now, self._rows))]
            found = found + self._weight[k, number_in(entry, h_now, self._rows)]
        return found, (after, entries)
