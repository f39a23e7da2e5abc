"""Embeddings of n-grams in NumPy: `nn.ngrams`, stepped."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from charlstm.engine.layers import Array
from charlstm.ngrams import rows_of

Read: TypeAlias = tuple[NDArray[np.int64], ...]
"""The numbers of the N - 1 tokens read last, the newest last, (B, N - 1) or, of a row alone, (N - 1,)."""


class NGramTable:
    """The table, and how it is read.

    Args:
        weight: (rows, features).
        order: N, tokens of the longest n-gram.
    """

    def __init__(self, weight: Array, order: int) -> None:
        self._weight, self._order = weight, order

    def nothing_read(self, batch: int) -> Read:
        """The memory before any text."""
        return (np.zeros((batch, self._order - 1), np.int64),)

    def step(self, tokens: Any, read: Read) -> tuple[Array, Read]:
        """Read a token a row, ids (B,), or one id if a row is stepped alone.

        Returns:
            The sum of the embeddings of the n-grams that end here, (B, features) or (features,), and the memory after.
        """
        (before,) = read
        if before.ndim == 1:
            # Plain numbers: each operation on an array, however short, costs ten times as much.
            last = [int(tokens) + 1, *before[::-1].tolist()]
            found = self._weight[rows_of(last, len(self._weight))].sum(0)
            return found, (np.array(last[-2::-1], np.int64),)
        numbers = np.asarray(tokens, np.int64) + 1
        rows = rows_of([numbers, *before.T[::-1]], len(self._weight))
        return self._weight[np.stack(rows)].sum(0), (np.column_stack((before[:, 1:], numbers)),)
