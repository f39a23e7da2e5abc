"""Passages that a text says again: how long each is, and a penalty on going on with them.

While a text x_1 … x_t grows, the common suffix of the text and of each of its earlier beginnings is known, token by
token. It is kept by its distance d, which stays the same while a passage is said again ::

    run_d(t) = run_d(t - 1) + 1   if x_{t-d} = x_t, else 0        the passage that ends at t - d and at t

The token after such a place is what would lengthen the repetition. With n the length that is allowed ::

    logit of x_{t-d+1} -= λ (run_d(t) - n + 1)                    where run_d(t) ≥ n; the largest such penalty counts

A word that has only one ending keeps it: the penalty decides where there is a choice. Source: the DRY ("don't repeat
yourself") sampler of p-e-w, text-generation-webui pull request 5677, there with an exponential penalty.

Shapes: B rows, W distances that are looked at, V the vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from charlstm.engine.protocol import Logits, TokenIds
from charlstm.tokenizers import Ids

WINDOW = 4096
"""W: how far back a repetition is looked for, in tokens."""
_STRENGTH = 1.0
"""λ, in nats."""


class Repeats:
    """The last tokens of some rows, and how long a passage each distance repeats.

    Args:
        rows: B.
        recent: the tokens before, the same for all rows.
    """

    def __init__(self, rows: int, recent: Sequence[int] | Ids = ()) -> None:
        self._runs = np.zeros((rows, WINDOW), np.int32)
        self._read = np.full((rows, 3 * WINDOW), -1, np.int32)
        """What was read, the newest first, from ``_newest`` on."""
        known = np.asarray(recent[-WINDOW:], np.int32)[::-1]
        self._newest = 2 * WINDOW - len(known)
        self._read[:, self._newest : 2 * WINDOW] = known
        self._runs[:] = _runs(known)

    def push(self, ids: TokenIds | NDArray[Any]) -> None:
        """Append a token to each row, (B,)."""
        if self._newest == 0:
            self._read[:, 2 * WINDOW :] = self._read[:, :WINDOW]
            self._newest = 2 * WINDOW
        ids = ids.astype(np.int32)
        self._runs += 1
        self._runs *= self._read[:, self._newest : self._newest + WINDOW] == ids[:, None]
        self._newest -= 1
        self._read[:, self._newest] = ids

    def select(self, rows: Sequence[int]) -> None:
        """Go on with some of the rows, by their numbers, in any order and with repetitions."""
        self._runs, self._read = self._runs[list(rows)], self._read[list(rows)]

    def longest(self) -> NDArray[np.int32]:
        """The longest passage that each row's end repeats, in tokens, (B,)."""
        longest: NDArray[np.int32] = self._runs.max(1)
        return longest

    def without_longer_runs(self, logits: Logits, most: int) -> Logits:
        """Remove the last token of each row that ends with so many of it, unless no other is left.

        Args:
            logits: (B, V).
            most: equal tokens in a row, at least 1.

        Returns:
            Logits, (B, V), -inf where a token is removed.
        """
        if most > WINDOW:
            return logits
        end = self._read[:, self._newest : self._newest + most]
        full = (end == end[:, :1]).all(1)
        if not full.any():
            return logits
        (rows,) = np.nonzero(full & (end[:, 0] >= 0) & (np.isfinite(logits).sum(1) > 1))
        if not len(rows):
            return logits
        removed = logits.copy()
        removed[rows, end[rows, 0]] = -np.inf
        return removed

    def penalised(self, logits: Logits, allowed: int) -> Logits:
        """Make what would lengthen a repetition less likely.

        Args:
            logits: (B, V).
            allowed: tokens that may be said again.

        Returns:
            Logits, (B, V).
        """
        if self._runs.max() < allowed:
            return logits
        rows, distances = np.nonzero(self._runs >= allowed)
        excess = self._runs[rows, distances] - (allowed - 1)
        penalty = np.zeros_like(logits)
        np.maximum.at(penalty, (rows, self._read[rows, self._newest + distances]), _STRENGTH * excess)
        return logits - penalty


def _runs(newest_first: NDArray[np.int32]) -> NDArray[np.int32]:
    """How long a passage the end of a text repeats, for each distance, (W,).

    Most are short, so this takes less time than pushing a token after the other.

    Args:
        newest_first: the text from its end, at most W tokens.
    """
    runs = np.zeros(WINDOW, np.int32)
    distances = np.arange(1, len(newest_first))  # those at which everything so far is said again
    place = 0
    while len(distances):
        runs[distances - 1] = place
        distances = distances[place + distances < len(newest_first)]
        distances = distances[newest_first[place] == newest_first[place + distances]]
        place += 1
    return runs


_READ = 1 << 23
"""Tokens in which the longest run is looked for."""
_PIECES, _PIECE, _LEAD = 8, 6144, 2048
"""Of a text so many pieces of so many tokens are looked at; in the first ones of each nothing can be repeated yet."""
_USUAL, _FEWEST, _MOST = 0.95, 6, 256
"""At this share of a text's places less is said again than is allowed; the least to allow; and where to allow all."""


def usual_repeats(ids: Ids | NDArray[Any]) -> int:
    """How long the passages are that a text says again as a matter of course.

    Args:
        ids: its tokens, (tokens,), memory-mapped or not.

    Returns:
        Tokens: 8 for a novel, 15 for names in capitals; 0, which allows everything, for a table or a very short text.
    """
    length = min(_PIECE, len(ids))
    if length < 2 * _LEAD:
        return 0
    begins = np.linspace(0, len(ids) - length, _PIECES if len(ids) >= _PIECES * length else 1).astype(np.int64)
    pieces = np.stack([ids[begin : begin + length] for begin in begins]).astype(np.int64)
    repeats, longest = Repeats(len(pieces)), []
    for place in range(length):
        repeats.push(pieces[:, place])
        if place >= _LEAD:
            longest.append(repeats.longest())
    usual = max(_FEWEST, int(np.quantile(longest, _USUAL)))
    return usual if usual <= _MOST else 0


def longest_run(ids: Ids | NDArray[Any]) -> int:
    """The largest number of equal tokens in a row.

    Args:
        ids: the tokens of a text, (tokens,), memory-mapped or not; of a long one the beginning is read.
    """
    text = np.asarray(ids[:_READ])
    borders = np.flatnonzero(text[1:] != text[:-1]) + 1
    return int(np.diff(borders, prepend=0, append=len(text)).max(initial=0))
