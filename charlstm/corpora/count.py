"""Count the characters of a text of any size, chunk by chunk, vectorised."""

from __future__ import annotations

import sys

import numpy as np
from numpy.typing import NDArray

from charlstm.tokenizers.char import code_points

_CODE_POINTS = sys.maxunicode + 1


class CharacterCounter:
    """How often each character occurs: one table for all of Unicode, 9 MB whatever the text."""

    def __init__(self) -> None:
        self._counts = np.zeros(_CODE_POINTS, np.int64)

    def push(self, text: str) -> None:
        """Count one chunk."""
        if text.isascii():
            self._counts[:256] += byte_counts(text.encode("ascii"))
        else:
            counts = np.bincount(code_points(text))
            self._counts[: len(counts)] += counts

    def counts(self) -> dict[str, int]:
        """The characters that occur, by code point, with their counts."""
        points = np.flatnonzero(self._counts)
        return dict(zip(map(chr, points.tolist()), self._counts[points].tolist(), strict=True))


def byte_counts(data: bytes) -> NDArray[np.int64]:
    """How often each byte occurs, (256,)."""
    if len(data) < 1 << 14:
        return np.bincount(np.frombuffer(data, np.uint8), minlength=256)
    even = len(data) & ~1
    # In pairs: each count waits for the previous one to be stored, so half as many counts take half the time.
    pairs = np.bincount(np.frombuffer(data, np.uint16, even // 2), minlength=1 << 16).reshape(256, 256)
    counts: NDArray[np.int64] = pairs.sum(0) + pairs.sum(1)
    if even < len(data):
        counts[data[-1]] += 1
    return counts
