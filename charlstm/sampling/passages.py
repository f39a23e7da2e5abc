"""Where passages stand in a long text: an index of a few bytes for each place in several, and exact answers.

Windows of K tokens are indexed at every s-th place of the text, by hash. A passage of K + s - 1 tokens or more has
exactly one such window at each place where it stands, so each of its first s windows is looked up, and what is found
is compared with the text itself, token by token. A hash alone decides nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from charlstm.tokenizers import Ids

_LONGEST_WINDOW = 16
"""K, at most: a longer window tells no more."""
_BATCH = 1 << 20
_BASE, _ODD = np.uint64(0x100000001B3), np.uint64(0x9E3779B97F4A7C15)
_HALF = np.uint64(32)
_Places = NDArray[np.int64]


class Passages:
    """An index of a text, for passages of a length or longer.

    Args:
        ids: the text, (tokens,), memory-mapped or not.
        shortest: tokens of the shortest passage that is looked up, at least 1.
    """

    def __init__(self, ids: Ids | NDArray[Any], shortest: int) -> None:
        self.ids, self.shortest = np.asarray(ids), shortest  # a map as an array: each look-up of a map costs more
        self._window = max(1, min(_LONGEST_WINDOW, shortest - shortest // 3))
        self._step = shortest - self._window + 1
        powers = [_BASE]
        with np.errstate(over="ignore"):
            while len(powers) < self._window:
                powers.append(powers[-1] * _BASE)
        self._powers = np.array(powers, np.uint64)
        self._entries = self._indexed()
        """The hash of each indexed window, and in the lower half its number, sorted."""

    def find(self, passage: Sequence[int]) -> tuple[_Places, _Places]:
        """Find where the end of a passage stands, and how much of the passage before it stands there, too.

        Args:
            passage: at least `shortest` tokens.

        Returns:
            The places after each occurrence of its last `shortest` tokens, and for each the length of the common
            suffix, at most the whole passage.
        """
        tokens = np.array(passage, np.int64)
        end = tokens[-self.shortest :]
        begins = self._candidates(end)
        begins = begins[(begins >= 0) & (begins <= len(self.ids) - self.shortest)]
        for offset, token in enumerate(end.tolist()):
            if not len(begins):
                break
            begins = begins[self.ids[begins + offset] == token]
        lengths = np.full(len(begins), self.shortest)
        open_ones = np.arange(len(begins))
        for length in range(self.shortest, len(tokens)):
            places = begins[open_ones] - (length - self.shortest) - 1
            same = (places >= 0) & (self.ids[np.maximum(places, 0)] == tokens[-length - 1])
            open_ones = open_ones[same]
            if not len(open_ones):
                break
            lengths[open_ones] += 1
        return begins + self.shortest, lengths

    def _candidates(self, end: _Places) -> _Places:
        """Places where a passage of `shortest` tokens may begin: those whose indexed window has the hash of its own."""
        windows = np.lib.stride_tricks.sliding_window_view(end, self._window)
        hashes = self._hashes([windows[:, place] for place in range(self._window)])
        first = np.searchsorted(self._entries, hashes)
        last = np.searchsorted(self._entries, hashes + ((np.uint64(1) << _HALF) - np.uint64(1)), side="right")
        found = [
            (self._entries[begin:until] & np.uint64(0xFFFFFFFF)).astype(np.int64) * self._step - offset
            for offset, (begin, until) in enumerate(zip(first.tolist(), last.tolist(), strict=True))
            if begin < until
        ]
        return np.concatenate(found) if found else np.empty(0, np.int64)

    def _indexed(self) -> NDArray[np.uint64]:
        count = max(0, (len(self.ids) - self._window) // self._step + 1)
        entries = np.empty(count, np.uint64)
        for begin in range(0, count, _BATCH):
            end = min(begin + _BATCH, count)
            text = self.ids[begin * self._step : (end - 1) * self._step + self._window]
            places = [text[offset :: self._step][: end - begin] for offset in range(self._window)]
            entries[begin:end] = self._hashes(places) | np.arange(begin, end, dtype=np.uint64)
        entries.sort()
        return entries

    def _hashes(self, columns: Sequence[NDArray[Any]]) -> NDArray[np.uint64]:
        """A hash of each window in the upper half of a number; column j has the j-th token of each."""
        total = np.zeros(len(columns[0]), np.uint64)
        for power, column in zip(self._powers, columns, strict=True):
            total += (column.astype(np.uint64) + np.uint64(1)) * power
        return (total * _ODD >> _HALF) << _HALF


def longest_runs(ids: Ids | NDArray[Any], vocab_size: int) -> _Places:
    """The largest number of times that each token stands in a row in a text, (vocab_size,).

    Args:
        ids: the text, (tokens,), memory-mapped or not.
        vocab_size: V.
    """
    longest = np.zeros(vocab_size, np.int64)
    last, carried = -1, 0
    for begin in range(0, len(ids), _BATCH):
        text = np.asarray(ids[begin : begin + _BATCH])
        borders = np.flatnonzero(text[1:] != text[:-1]) + 1
        starts = np.concatenate(([0], borders))
        lengths = np.diff(starts, append=len(text))
        if int(text[0]) == last:
            lengths[0] += carried
        np.maximum.at(longest, text[starts], lengths)
        last, carried = int(text[-1]), int(lengths[-1])
    return longest
