"""Ways to an end, searched in the states of a guide, whatever the network thinks of them.

From a state the search goes on with the one that is nearest to an end as far as its guides can say, and among those
with the deepest: so it follows a word to its last letter before it tries another. What it finds is remembered, also of
the states on the way.
"""

from __future__ import annotations

import heapq
import itertools
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from charlstm.sampling.guides import Guide

_MOST = 20_000
"""States in which one search looks for an end."""
_MOST_REMEMBERED = 300_000


class _Way(NamedTuple):
    """A way from a state to an end."""

    steps: int
    token: int | None
    """The first; None if it has no steps."""


class Ways:
    """What is known of the ways from a guide's states to an end.

    Args:
        order: all tokens in the order in which they are tried, (V,); None is that of their ids.

    Attributes:
        farthest: the tokens of the longest text that the last search in vain has tried.
    """

    def __init__(self, order: NDArray[np.integer[Any]] | None = None) -> None:
        self.farthest: tuple[int, ...] = ()
        self._order = order
        self._known: dict[Guide, _Way | None] = {}

    def steps(self, guide: Guide) -> int | None:
        """Return the tokens of a way to a place where the text may end, not always of the shortest.

        Args:
            guide: where the way begins. It may allow tokens that lead to no end.

        Returns:
            Their number, 0 if it may end here; None if there is no way, or none was found in 20,000 states.
        """
        way = self._way(guide)
        return None if way is None else way.steps

    def first(self, guide: Guide) -> int | None:
        """Return the first token of that way; None if it may end here, or no way is known.

        Args:
            guide: where the way begins.
        """
        way = self._way(guide)
        return None if way is None else way.token

    def leading_on(self, guide: Guide) -> NDArray[np.bool_]:
        """Which of the tokens allowed lead to an end, (V,)."""
        leading = guide.allowed().copy()
        for token in np.flatnonzero(leading).tolist():
            leading[token] = self.steps(guide.advance(token)) is not None
        return leading

    def nearer(self, guide: Guide) -> NDArray[np.bool_]:
        """Which of the tokens allowed lead to an end in fewer tokens than are known from here, (V,); all at an end."""
        allowed, most = guide.allowed(), self.steps(guide)
        if not most:
            return allowed
        nearer = allowed.copy()
        for token in np.flatnonzero(allowed).tolist():
            steps = self.steps(guide.advance(token))
            nearer[token] = steps is not None and steps < most
        return nearer

    def _way(self, guide: Guide) -> _Way | None:
        if guide.may_end():
            return _Way(0, None)
        if guide not in self._known:
            if len(self._known) > _MOST_REMEMBERED:
                self._known.clear()
            self._search(guide)
        return self._known[guide]

    def _search(self, start: Guide) -> None:
        before: dict[Guide, tuple[Guide, int] | None] = {start: None}
        numbers = itertools.count()
        waiting = [(start.distance(), 0, next(numbers), start)]
        deepest, most = start, 0
        while waiting and len(before) < _MOST:
            _, depth, _, guide = heapq.heappop(waiting)
            for token in self._in_order(guide.allowed()):
                following = guide.advance(token)
                if following in before:
                    continue
                before[following] = guide, token
                way = _Way(0, None) if following.may_end() else self._known.get(following)
                if way is not None:
                    self._remember(following, way.steps, before)
                    return
                if following not in self._known:  # else it is known to lead nowhere
                    heapq.heappush(waiting, (following.distance(), depth - 1, next(numbers), following))
                if 1 - depth > most:
                    deepest, most = following, 1 - depth
        self._known.update(dict.fromkeys((start,) if waiting else before))
        self.farthest = _tokens_to(deepest, before)

    def _remember(self, guide: Guide, steps: int, before: dict[Guide, tuple[Guide, int] | None]) -> None:
        """Remember the way that was found, from every state on it."""
        link = before[guide]
        while link is not None:
            steps += 1
            self._known[link[0]] = _Way(steps, link[1])
            link = before[link[0]]

    def _in_order(self, allowed: NDArray[np.bool_]) -> list[int]:
        if self._order is None:
            return np.flatnonzero(allowed).tolist()
        tokens: list[int] = self._order[allowed[self._order]].tolist()
        return tokens


def _tokens_to(guide: Guide, before: dict[Guide, tuple[Guide, int] | None]) -> tuple[int, ...]:
    tokens = []
    link = before[guide]
    while link is not None:
        tokens.append(link[1])
        link = before[link[0]]
    return tuple(reversed(tokens))
