"""Several guides as one.

Each of them can always go on, and together they may not be able to: a line has to end at its last column, and the words
of a list do not let it. So a token is allowed only if a way to an end is known after it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce

import numpy as np
from numpy.typing import NDArray

from charlstm.sampling.guides import NEVER, Guide
from charlstm.sampling.rules.ways import Ways


@dataclass(frozen=True)
class Joint:
    """What all of some guides allow, also what leads nowhere."""

    parts: tuple[Guide, ...]

    def allowed(self) -> NDArray[np.bool_]:
        """See `guides.Guide`."""
        return self.distances() < NEVER

    def distances(self) -> NDArray[np.int64]:
        """See `guides.Guide`."""
        return reduce(np.add, [part.distances() for part in self.parts])

    def may_end(self) -> bool:
        """See `guides.Guide`."""
        return all(part.may_end() for part in self.parts)

    def advance(self, token: int) -> Joint:
        """See `guides.Guide`."""
        return Joint(tuple([part.advance(token) for part in self.parts]))


@dataclass(frozen=True)
class NeverStuck:
    """A guide without what leads to no end."""

    guide: Guide
    ways: Ways

    def allowed(self) -> NDArray[np.bool_]:
        """See `guides.Guide`."""
        return self.ways.leading_on(self.guide)

    def distances(self) -> NDArray[np.int64]:
        """See `guides.Guide`."""
        return np.where(self.allowed(), self.guide.distances(), NEVER)

    def may_end(self) -> bool:
        """See `guides.Guide`."""
        return self.guide.may_end()

    def advance(self, token: int) -> NeverStuck:
        """See `guides.Guide`."""
        return NeverStuck(self.guide.advance(token), self.ways)


def all_of(guides: Sequence[Guide]) -> Guide:
    """Return one guide that keeps several.

    Args:
        guides: at least one, each of which can always go on by itself.

    Returns:
        The guide; no text may keep to all of them, and then it allows nothing where the text may not end.
    """
    return guides[0] if len(guides) == 1 else NeverStuck(Joint(tuple(guides)), Ways())
