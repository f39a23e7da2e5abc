"""Ways to an end, searched in the states of a guide, whatever the network thinks of them.

The search goes on from each state with the token after which the end is nearest, as far as its guides can say, and back
where that leads nowhere. So it completes a word with its next letters before it tries another. What it finds is
remembered, also of the states on the way.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from charlstm.sampling.guides import NEVER, Guide

_MOST, _MOST_BESIDE = 20_000, 500
"""Tokens that one search tries; and one for a way that only has to be better than another, or may be hard to find."""
_MOST_REMEMBERED = 300_000


class _Way(NamedTuple):
    """A way from a state to an end."""

    steps: int
    token: int | None
    """The first; None if it has no steps."""


_Link: TypeAlias = "tuple[Guide, int]"
"""How a state was reached: the state before it, and the token that led on."""


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
            Their number, 0 if it may end here; None if there is no way, or none was found with 20,000 tokens tried.
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
        """Which of the tokens allowed lead to an end, (V,).

        After each of them a few tokens are tried; after those where that was in vain, as many together as otherwise
        after one. So what no text can keep is soon told.
        """
        self._make_room(guide)
        distances = guide.distances()
        leading = distances < NEVER
        following = {token: guide.advance(token) for token in np.flatnonzero(leading & (distances > 0)).tolist()}
        for after in dict.fromkeys(following.values()):  # many lead to the same state
            self._way(after, _MOST_BESIDE)
        left = _MOST
        for token, after in following.items():
            if after not in self._known and not after.may_end():
                left -= self._search(after, left)
                self._known.setdefault(after, None)
            leading[token] = self._way(after) is not None
        return leading

    def nearer(self, guide: Guide) -> NDArray[np.bool_]:
        """Tokens that lead to an end in fewer tokens than are known from here, (V,); at an end all those allowed.

        Others that do may be missing: those after which the end seems farther, or is hard to find.
        """
        self._make_room(guide)
        way = self._way(guide)
        if way is None or way.token is None:
            return guide.allowed()
        distances = guide.distances()
        nearer: NDArray[np.bool_] = distances <= min(distances[way.token], NEVER - 1)
        for token in np.flatnonzero(nearer).tolist():
            other = self._way(guide.advance(token), _MOST_BESIDE)
            nearer[token] = other is not None and other.steps < way.steps
        return nearer

    def _way(self, guide: Guide, most: int = _MOST) -> _Way | None:
        """The way from a state, found with so many tokens tried; None if there is none, or none was found."""
        if guide.may_end():
            return _Way(0, None)
        if guide not in self._known:
            self._search(guide, most)
            if most == _MOST:
                self._known.setdefault(guide, None)
        return self._known.get(guide)

    def _search(self, start: Guide, most: int) -> int:
        """Look for a way with so many tokens tried, at most; return how many were."""
        links: dict[Guide, _Link | None] = {start: None}
        waiting = [(start, self._nearest_first(start))]
        deepest, depth, tried = None, 0, 0
        while waiting and tried < most:
            tried += 1
            guide, tokens = waiting[-1]
            token = next(tokens, None)
            if token is None:
                waiting.pop()
                continue
            following, link = guide.advance(token), (guide, token)
            way = _Way(0, None) if following.may_end() else self._known.get(following)
            if way is not None:
                self._remember(link, links, way.steps)
                return tried
            if len(waiting) > depth:
                deepest, depth = link, len(waiting)
            if following not in links and following not in self._known:  # else it leads nowhere, or is on the path
                links[following] = link
                waiting.append((following, self._nearest_first(following)))
        self.farthest = tuple(reversed([token for _, token in _back(deepest, links)]))
        if not waiting:
            self._known.update(dict.fromkeys(links))
        return tried

    def _remember(self, link: _Link, links: dict[Guide, _Link | None], steps: int) -> None:
        """Remember the way that was found, from every state on it."""
        for number, (guide, token) in enumerate(_back(link, links), steps + 1):
            self._known[guide] = _Way(number, token)

    def _make_room(self, guide: Guide) -> None:
        """Forget everything but the way from a state, if too much is remembered."""
        if len(self._known) > _MOST_REMEMBERED:
            known, self._known = self._known, {}
            while (way := known.get(guide)) is not None and way.token is not None:
                self._known[guide] = way
                guide = guide.advance(way.token)

    def _nearest_first(self, guide: Guide) -> Iterator[int]:
        distances = guide.distances()
        tokens = np.arange(len(distances)) if self._order is None else self._order
        distances = distances[tokens]
        nearest = int(distances.argmin())
        if distances[nearest] < NEVER:
            yield int(tokens[nearest])  # mostly it leads to an end, and the order of the others is not needed
            sorted_places = np.argsort(distances, kind="stable")
            others = sorted_places[distances[sorted_places] < NEVER][1:]
            yield from tokens[others].tolist()


def _back(link: _Link | None, links: dict[Guide, _Link | None]) -> Iterator[_Link]:
    """A link and all those before it, the last one first."""
    while link is not None:
        yield link
        link = links[link[0]]
