"""Passages of 64 characters or more that occur twice: anywhere in a text, or in its training and validation parts.

Every window of 64 characters is hashed, vectorised. Of a short text all hashes are stored, and the answer is exact. Of
a long one only hashes below a threshold are stored: equal windows are then stored wherever they occur, so repetitions
are still found, and memory stays constant (Broder 1997; Manber 1994). Between neighbours in the sample that are both
repeated, the text counts as repeated.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from charlstm.corpora.chunks import recut
from charlstm.tokenizers.char import code_points

WINDOW = 64
"""The shortest repetition, in characters, that cannot be chance."""

MAX_HASHES = 1 << 21
"""About the most hashes stored."""
CHUNK = 1 << 16
"""Characters hashed at a time."""
_ODD = np.uint64(0x9E3779B97F4A7C15)
_Places = NDArray[np.int64]


@dataclass(frozen=True)
class Passages:
    """How much of a text occurs earlier as well."""

    share: float
    """Share of its characters, in [0, 1]."""
    longest: int = 0
    """Characters of the longest such passage, at least."""
    at: int = 0
    """Its start, in characters from the start of the corpus."""
    earlier: int = 0
    """The start of its earlier occurrence."""


@dataclass(frozen=True)
class HashedWindows:
    """The windows of a text whose hashes were stored."""

    hashes: NDArray[np.uint64]
    places: _Places
    """Where each begins, ascending, in characters."""
    characters: int
    """Of the whole text."""
    every: int
    """On average one window in ``every`` was stored."""


def hash_windows(chunks: Iterable[str], characters: int) -> HashedWindows:
    """Hash the windows of a text.

    Args:
        chunks: the text.
        characters: its approximate length.

    Returns:
        The hash of each window, in the order of the text.
    """
    every = 1
    while characters > every * MAX_HASHES:
        every *= 2
    hashes, places = [], []
    tail, begin = "", 0
    for piece in recut(chunks, CHUNK):
        text = tail + piece
        every_hash = window_hashes(code_points(text))
        limit = np.uint64((1 << 64) // every - 1)
        index = np.flatnonzero(every_hash <= limit) if every > 1 else np.arange(len(every_hash))
        hashes.append(every_hash[index])
        places.append(index + begin)
        tail = text[1 - WINDOW :]
        begin += len(text) - len(tail)
    return HashedWindows(_concatenated(hashes, np.uint64), _concatenated(places, np.int64), begin + len(tail), every)


def window_hashes(points: NDArray[np.unsignedinteger[Any]]) -> NDArray[np.uint64]:
    """A hash of each window of `WINDOW` code points, (characters - WINDOW + 1,), in six doublings."""
    if len(points) < WINDOW:
        return np.empty(0, np.uint64)
    hashes = _mixed(points.astype(np.uint64) + _ODD)
    width = 1
    while width < WINDOW:
        hashes = _mixed(hashes[:-width]) + hashes[width:]
        width *= 2
    return _mixed(hashes)


def repeats(windows: HashedWindows) -> Passages:
    """Find how much of a text repeats an earlier part of it."""
    order = np.argsort(windows.hashes, kind="stable")
    same = windows.hashes[order[1:]] == windows.hashes[order[:-1]]
    earlier = np.full(len(order), -1, np.int64)
    earlier[order[1:][same]] = windows.places[order[:-1][same]]
    return _passages(windows.places, earlier, windows.characters)


def leakage(windows: HashedWindows, border: int) -> Passages:
    """Find how much of the text after ``border`` occurs before it too.

    Args:
        windows: those of the whole text.
        border: the start of the second part, in characters.

    Returns:
        Their share of the second part, and the longest of them.
    """
    first = np.searchsorted(windows.places, border - WINDOW, side="right")
    second = np.searchsorted(windows.places, border)
    order = np.argsort(windows.hashes[:first], kind="stable")
    known = windows.hashes[:first][order]
    second_hashes = windows.hashes[second:]
    index = np.searchsorted(known, second_hashes, side="right") - 1
    earlier = np.full(len(second_hashes), -1, np.int64)
    if len(known):
        hit = (index >= 0) & (known[index] == second_hashes)
        earlier[hit] = windows.places[order[index[hit]]]
    return _passages(windows.places[second:], earlier, windows.characters - border)


def _mixed(hashes: NDArray[np.uint64]) -> NDArray[np.uint64]:
    mixed = hashes ^ (hashes >> np.uint64(29))
    mixed *= _ODD
    mixed ^= mixed >> np.uint64(32)
    return mixed


def _passages(places: _Places, earlier: _Places, characters: int) -> Passages:
    """Join windows that repeat into passages.

    Args:
        places: where the windows begin, ascending.
        earlier: where each occurs earlier; -1 for nowhere.
        characters: the length of the text they are from.
    """
    index = np.flatnonzero(earlier >= 0)
    if not len(index):
        return Passages(0.0)
    begins, earlier = places[index], earlier[index]
    neighbours, gaps = np.diff(index) == 1, np.diff(begins)
    covered = int(np.where(neighbours, gaps, np.minimum(gaps, WINDOW)).sum()) + WINDOW
    # A passage continues while its windows are neighbours and so are the windows they repeat.
    breaks = np.flatnonzero(~neighbours | (gaps != np.diff(earlier))) + 1
    first, last = np.r_[0, breaks], np.r_[breaks, len(index)] - 1
    lengths = begins[last] - begins[first] + WINDOW
    best = int(np.argmax(lengths))
    start = first[best]
    return Passages(covered / characters, int(lengths[best]), int(begins[start]), int(earlier[start]))


def _concatenated(arrays: list[NDArray[Any]], dtype: Any) -> NDArray[Any]:
    return np.concatenate(arrays) if arrays else np.empty(0, dtype)
