"""Ways to an end, searched in the states of a guide, whatever the network thinks of them.

The search goes on from each state with the token after which the end is nearest, as far as its guides can say, and back
where that leads nowhere. So it completes a word with its next letters before it tries another. What it finds is
remembered, also of the states on the way.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from charlstm.sampling.guides import NEVER, Guide

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
        order: all tokens in the order in which they are tried where the end is equally near, (V,); None is that of
            their ids.

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
        distances = guide.distances()
        leading = distances < NEVER
        for token in np.flatnonzero(leading & (distances > 0)).tolist():
            leading[token] = self._way(guide.advance(token)) is not None
        return leading

    def nearer(self, guide: Guide) -> NDArray[np.bool_]:
        """Which tokens lead to an end in fewer tokens than are known from here, (V,); at an end all those allowed."""
        most = self.steps(guide)
        if not most:
            return guide.allowed()
        nearer = guide.distances() < NEVER
        for token in np.flatnonzero(nearer).tolist():
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
        seen = {start}
        path: list[tuple[Guide, int]] = []  # the states before, each with the token that leads on
        waiting = [(start, self._nearest_first(start))]
        self.farthest = ()
        while waiting and len(seen) < _MOST:
            guide, tokens = waiting[-1]
            token = next(tokens, None)
            if token is None:
                waiting.pop()
                del path[len(waiting) - 1 :]
                continue
            following = guide.advance(token)
            path[len(waiting) - 1 :] = [(guide, token)]
            way = _Way(0, None) if following.may_end() else self._known.get(following)
            if way is not None:
                self._remember(path, way.steps)
                return
            if len(path) > len(self.farthest):
                self.farthest = tuple(token for _, token in path)
            if following not in seen and following not in self._known:  # else it leads nowhere, or is on the path
                seen.add(following)
                waiting.append((following, self._nearest_first(following)))
        self._known.update(dict.fromkeys((start,) if waiting else seen))

    def _remember(self, path: list[tuple[Guide, int]], steps: int) -> None:
        """Remember the way that was found, from every state on it."""
        for guide, token in reversed(path):
            steps += 1
            self._known[guide] = _Way(steps, token)

    def _nearest_first(self, guide: Guide) -> Iterator[int]:
        distances = guide.distances()
        tokens = np.arange(len(distances)) if self._order is None else self._order
        tokens = tokens[distances[tokens] < NEVER]
        nearest: list[int] = tokens[np.argsort(distances[tokens], kind="stable")].tolist()
        return iter(nearest)
