"""The longest match of every place of a short text in a long one: exact, in one pass over the long one.

With x the short text and y the long one ::

    m_i = max { n : x_i … x_{i+n-1} stands in y }          0 where that is less than `SHORTEST`

These are the matching statistics of Chang and Lawler 1994 ("Sublinear approximate string matching and biological
applications"). They are found in two steps:

1. y passes in chunks. A window of eight characters of y that stands in x as well is a hit. Whatever longer the two
   texts share is made of hits side by side; so only runs of hits are kept, and of equal runs one.
2. The suffixes of x and of all runs are sorted together, by prefix doubling (Manber and Myers 1990, "Suffix arrays").
   The longest match of a suffix of x is then with one of its two neighbours among the suffixes of runs.

Nothing is decided by a hash alone. Memory does not grow with y: runs are sorted in batches.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

SHORTEST = 8
"""Characters of the shortest match that counts: as many as fit into one number of 64 bits."""

_CHUNK = 1 << 19
"""Characters searched at a time: their windows fit the processor's cache."""
_BATCH = 1 << 19
"""Characters of runs that are sorted at a time."""
_CACHE_SHIFT = np.uint64(64 - 19)
"""Half a million short runs are remembered, so that each is looked at about once."""
_ODD = np.uint64(0x9E3779B97F4A7C15)

Codes = NDArray[np.unsignedinteger[Any]]
"""A text as numbers, (characters,): code points, or bytes."""
_Places = NDArray[np.int64]


@dataclass(frozen=True)
class Matches:
    """The longest match that begins at each place of a text."""

    lengths: _Places
    """(characters,), 0 where the longest match is shorter than `SHORTEST`."""
    places: _Places
    """(characters,), where in the long text such a match begins; -1 where there is none."""


def longest_matches(texts: Sequence[Codes], chunks: Iterable[Codes]) -> list[Matches]:
    """Find the longest match of every place of some short texts in a long one.

    Args:
        texts: the short texts, at least one; no match reaches from one to the next.
        chunks: the long text, in pieces of any length.

    Returns:
        The matches of each text.
    """
    search = _Search(texts)
    for chunk in chunks:
        for begin in range(0, len(chunk), _CHUNK):
            search.push(chunk[begin : begin + _CHUNK])
    lengths, places = search.finish()
    borders = np.cumsum([len(text) + 1 for text in texts])[:-1]
    parts = zip(texts, np.split(lengths, borders), np.split(places, borders), strict=True)
    return [Matches(length[: len(text)], place[: len(text)]) for text, length, place in parts]


class _Search:
    """The matches found so far in the chunks that were pushed."""

    def __init__(self, texts: Sequence[Codes]) -> None:
        characters = np.unique(np.concatenate(texts))
        self._alphabet = _Alphabet(characters)
        border = np.array([len(characters) + 1], np.uint32)  # follows each text, and is no character
        coded = [np.concatenate((self._alphabet.codes(text).astype(np.uint32), border)) for text in texts]
        self._text = np.concatenate(coded)
        self._longest = max(map(len, texts))
        folded = [self._alphabet.folded(text) for text in texts]
        self._windows = _Windows(folded, remembers=self._alphabet.type == np.uint8)
        self._lengths = np.zeros(len(self._text), np.int64)
        self._places = np.full(len(self._text), -1, np.int64)
        self._tail: Codes = np.empty(0, np.uint32)
        self._begin = 0
        """Where in the long text the tail begins."""
        self._runs: dict[bytes, int] = {}
        """The codes of each run, and where it begins."""
        self._size = 0

    def push(self, chunk: Codes) -> None:
        """Search the next piece of the long text."""
        text = np.concatenate((self._tail, chunk)) if len(self._tail) else chunk
        begins, ends = self._windows.runs_in(self._alphabet.folded(text))
        self._collect(text, begins, ends)
        # What reaches the end may go on; no match is longer than the longest text.
        reaches = len(text) - int(begins[-1]) if len(ends) and ends[-1] == len(text) else 0
        kept = min(len(text), max(SHORTEST - 1, min(reaches, self._longest)))
        self._tail, self._begin = text[len(text) - kept :], self._begin + len(text) - kept

    def finish(self) -> tuple[_Places, _Places]:
        """The length and place of the longest match at each place of the texts, each text followed by a border."""
        self._sort()
        return self._lengths, self._places

    def _collect(self, text: Codes, begins: _Places, ends: _Places) -> None:
        codes = self._alphabet.codes(text)
        for begin, end in zip(begins.tolist(), ends.tolist(), strict=True):
            run = codes[begin:end].tobytes()
            if run not in self._runs:
                self._runs[run] = self._begin + begin
                self._size += end - begin + 1
                if self._size >= _BATCH:
                    self._sort()

    def _sort(self) -> None:
        """Find what matches the runs collected so far, and drop them."""
        if not self._runs:
            return
        runs = [np.frombuffer(run, self._alphabet.type) for run in self._runs]
        joined = np.zeros(self._size, np.uint32)  # a zero follows each run, and is no character of the texts
        ends = np.cumsum([len(run) + 1 for run in runs])
        for run, end in zip(runs, ends.tolist(), strict=True):
            joined[end - 1 - len(run) : end - 1] = run
        lengths, places = _neighbours(self._text, joined, min(self._longest, max(map(len, runs))))
        number = np.searchsorted(ends, places, side="right")
        starts = np.fromiter(self._runs.values(), np.int64)
        first = ends - [len(run) + 1 for run in runs]
        better = lengths > np.maximum(self._lengths, SHORTEST - 1)
        self._lengths[better] = lengths[better]
        self._places[better] = (starts[number] + places - first[number])[better]
        self._runs, self._size = {}, 0


class _Alphabet:
    """The characters of the short texts as small numbers from 1; every other character is 0."""

    def __init__(self, characters: Codes) -> None:
        self.type: np.dtype[Any] = np.dtype(np.uint8 if len(characters) <= 255 else np.uint32)
        self._table = np.zeros(int(characters.max(initial=0)) + 2, self.type)
        self._table[characters] = np.arange(1, len(characters) + 1)

    def codes(self, text: Codes) -> Codes:
        """The number of each character."""
        codes: Codes = self._table.take(text, mode="clip")  # the last entry serves every character beyond
        return codes

    def folded(self, text: Codes) -> NDArray[np.uint8]:
        """The number of each character in one byte: equal characters are equal, and in a large alphabet others too."""
        codes = self.codes(text)
        if codes.dtype == np.uint8:
            return codes
        return np.where(codes == 0, 0, (codes - 1) % 255 + 1).astype(np.uint8)


class _Windows:
    """The windows of the short texts, and runs of them in another text.

    Args:
        texts: the short texts.
        remembers: whether equal runs are found once, which needs that different characters are different bytes.
    """

    def __init__(self, texts: Sequence[NDArray[np.uint8]], *, remembers: bool) -> None:
        self._known = np.unique(np.concatenate([_windows(text) for text in texts]))
        bits = min(24, max(16, (32 * len(self._known)).bit_length()))
        self._shift = np.uint64(64 - bits)
        self._table = np.zeros(1 << bits, bool)
        self._table[self._hashed(self._known)] = True
        self._remembers = remembers
        self._seen = np.full(1 << 64 - int(_CACHE_SHIFT), -1, np.int64).view(np.uint64)

    def runs_in(self, text: NDArray[np.uint8]) -> tuple[_Places, _Places]:
        """Where the runs of known windows begin and end, in order; without most of those that were seen before."""
        windows = _windows(text)
        if not len(windows) or not len(self._known):
            return np.empty(0, np.int64), np.empty(0, np.int64)
        places = np.flatnonzero(self._table.take(self._hashed(windows)))
        found = windows[places]
        numbers = np.searchsorted(self._known, found)
        hits = self._known.take(numbers, mode="clip") == found
        places, numbers = places[hits], numbers[hits]
        if not len(places):
            return places, places
        breaks = np.flatnonzero(np.diff(places) > 1)
        first, last = np.append(0, breaks + 1), np.append(breaks, len(places) - 1)
        begins, ends = places[first], places[last] + SHORTEST
        if not self._remembers:
            return begins, ends
        new = self._are_new(numbers[first], numbers[last], ends - begins) | (ends == len(text))
        return begins[new], ends[new]

    def _are_new(self, first: _Places, last: _Places, lengths: _Places) -> NDArray[np.bool_]:
        """Which runs were perhaps never seen: a cache without chains, in which a newer run replaces an older one.

        A run of at most two windows' length is known by its first and its last window.
        """
        keys = (first << 36 | last << 8 | np.minimum(lengths, 2 * SHORTEST + 1)).view(np.uint64)
        slots = (keys * _ODD >> _CACHE_SHIFT).view(np.int64)
        new: NDArray[np.bool_] = (self._seen[slots] != keys) | (lengths > 2 * SHORTEST)
        self._seen[slots] = keys
        return new

    def _hashed(self, windows: NDArray[np.uint64]) -> _Places:
        """Multiplicative hashing (Knuth, "The art of computer programming", section 6.4)."""
        return (windows * _ODD >> self._shift).view(np.int64)


def _windows(text: NDArray[np.uint8]) -> NDArray[np.uint64]:
    """Each eight characters as one number, (characters - 7,), a view."""
    count = max(0, len(text) - SHORTEST + 1)
    return np.ndarray(count, np.uint64, np.ascontiguousarray(text), strides=(1,))


def _neighbours(text: Codes, runs: Codes, longest: int) -> tuple[_Places, _Places]:
    """The longest match in ``runs`` of every place of a text, and where it begins there.

    Args:
        text: codes, none of them 0.
        runs: codes, with a 0 after each run, and without the text's borders.
        longest: no match is longer.
    """
    ranks = list(_ranks(np.concatenate((text, runs)).astype(np.int64), longest))
    order = np.argsort(ranks[-1][1], kind="stable")
    of_runs = order >= len(text)
    number = np.arange(len(order))
    before = np.maximum.accumulate(np.where(of_runs, number, -1))
    after = np.minimum.accumulate(np.where(of_runs, number, len(order))[::-1])[::-1]
    lengths, places = np.zeros(len(text), np.int64), np.zeros(len(text), np.int64)
    for neighbour in (before, after):
        sorted_places = np.flatnonzero(~of_runs & (neighbour >= 0) & (neighbour < len(order)))
        own, other = order[sorted_places], order[neighbour[sorted_places]]
        common = _common(ranks, own, other)
        better = common > lengths[own]
        lengths[own[better]], places[own[better]] = common[better], other[better] - len(text)
    return lengths, places


def _ranks(codes: _Places, longest: int) -> Iterator[tuple[int, _Places]]:
    """Yield the ranks of all windows of 1, 2, 4, … codes, up to the first width that is at least ``longest``."""
    width, rank = 1, codes
    yield width, rank
    while width < longest:
        pair = rank * (len(codes) + int(codes.max()) + 2)
        pair[:-width] += rank[width:] + 1
        rank = np.unique(pair, return_inverse=True)[1]
        width *= 2
        yield width, rank


def _common(ranks: Sequence[tuple[int, _Places]], own: _Places, other: _Places) -> _Places:
    """The length of the common beginning of the suffixes at some pairs of places."""
    length = np.zeros(len(own), np.int64)
    last = len(ranks[0][1]) - 1
    for width, rank in reversed(ranks):
        inside = (own + length <= last) & (other + length <= last)
        equal = rank.take(own + length, mode="clip") == rank.take(other + length, mode="clip")
        length += width * (inside & equal)
    return length
