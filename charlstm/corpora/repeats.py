"""Passages of 64 characters and more that stand in a text twice: in all of it, or in what is trained and validated on.

Every window of 64 characters is hashed, vectorised. A short text keeps all hashes and the answer is exact. A long one
keeps only hashes below a threshold: the same windows are then kept wherever they occur, so a repetition is still seen
as one, and memory stays constant (Broder 1997; Manber 1994). Between neighbours in the sample that are both repeated,
the text counts as repeated.
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
"""Characters from which on a repetition is no chance."""

_MOST = 1 << 21
"""Hashes kept, about."""
_PIECE = 1 << 16
_ODD = np.uint64(0x9E3779B97F4A7C15)
_Places = NDArray[np.int64]


@dataclass(frozen=True)
class Passages:
    """How much of a text has stood elsewhere before."""

    share: float
    """Of its characters, in [0, 1]."""
    longest: int = 0
    """Characters of the longest such passage, at least."""
    at: int = 0
    """Where it begins, in characters from the start of the corpus."""
    earlier: int = 0
    """Where it stood before."""


@dataclass(frozen=True)
class Windows:
    """The windows of a text that were kept."""

    hashes: NDArray[np.uint64]
    places: _Places
    """Where each begins, rising, in characters."""
    characters: int
    """Of the whole text."""
    every: int
    """One window in so many was kept, on average."""


def windows(chunks: Iterable[str], characters: int) -> Windows:
    """Hash the windows of a text.

    Args:
        chunks: the text.
        characters: about how many it has.
    """
    every = 1
    while characters > every * _MOST:
        every *= 2
    hashes, places = [], []
    tail, begin = "", 0
    for piece in recut(chunks, _PIECE):
        text = tail + piece
        found = window_hashes(code_points(text))
        kept = np.flatnonzero(found <= np.uint64((1 << 64) // every - 1)) if every > 1 else np.arange(len(found))
        hashes.append(found[kept])
        places.append(kept + begin)
        tail = text[1 - WINDOW :]
        begin += len(text) - len(tail)
    return Windows(_joined(hashes, np.uint64), _joined(places, np.int64), begin + len(tail), every)


def window_hashes(points: NDArray[np.unsignedinteger[Any]]) -> NDArray[np.uint64]:
    """A hash of each run of `WINDOW` code points, (characters - WINDOW + 1,), in six doublings."""
    if len(points) < WINDOW:
        return np.empty(0, np.uint64)
    hashes = _stirred(points.astype(np.uint64) + _ODD)
    width = 1
    while width < WINDOW:
        hashes = _stirred(hashes[:-width]) + hashes[width:]
        width *= 2
    return _stirred(hashes)


def repeats(kept: Windows) -> Passages:
    """How much of a text repeats what came earlier in it."""
    order = np.argsort(kept.hashes, kind="stable")
    same = kept.hashes[order[1:]] == kept.hashes[order[:-1]]
    earlier = np.full(len(order), -1, np.int64)
    earlier[order[1:][same]] = kept.places[order[:-1][same]]
    return _passages(kept.places, earlier, kept.characters)


def leakage(kept: Windows, border: int) -> Passages:
    """How much of the text from ``border`` on stands before it too.

    Args:
        kept: the windows of the whole text.
        border: where the second part begins, in characters.
    """
    first = np.searchsorted(kept.places, border - WINDOW, side="right")
    second = np.searchsorted(kept.places, border)
    order = np.argsort(kept.hashes[:first], kind="stable")
    known = kept.hashes[:first][order]
    wanted = kept.hashes[second:]
    index = np.searchsorted(known, wanted, side="right") - 1
    earlier = np.full(len(wanted), -1, np.int64)
    if len(known):
        hit = (index >= 0) & (known[index] == wanted)
        earlier[hit] = kept.places[order[index[hit]]]
    return _passages(kept.places[second:], earlier, kept.characters - border)


def _stirred(hashes: NDArray[np.uint64]) -> NDArray[np.uint64]:
    mixed = hashes ^ (hashes >> np.uint64(29))
    mixed *= _ODD
    mixed ^= mixed >> np.uint64(32)
    return mixed


def _passages(places: _Places, earlier: _Places, characters: int) -> Passages:
    """Join windows that repeat into passages.

    Args:
        places: where the windows begin, rising.
        earlier: where each stood before; -1 for nowhere.
        characters: of the text the windows are from.
    """
    index = np.flatnonzero(earlier >= 0)
    if not len(index):
        return Passages(0.0)
    begins, before = places[index], earlier[index]
    neighbours, gaps = np.diff(index) == 1, np.diff(begins)
    covered = int(np.where(neighbours, gaps, np.minimum(gaps, WINDOW)).sum()) + WINDOW
    # A passage goes on while its windows are neighbours and so are the places they repeat.
    breaks = np.flatnonzero(~neighbours | (gaps != np.diff(before))) + 1
    first, last = np.r_[0, breaks], np.r_[breaks, len(index)] - 1
    lengths = begins[last] - begins[first] + WINDOW
    best = int(np.argmax(lengths))
    start = first[best]
    return Passages(covered / characters, int(lengths[best]), int(begins[start]), int(before[start]))


def _joined(arrays: list[NDArray[Any]], dtype: Any) -> NDArray[Any]:
    return np.concatenate(arrays) if arrays else np.empty(0, dtype)
