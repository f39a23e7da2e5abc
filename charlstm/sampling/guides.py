"""Guides: rules of what a text may go on with. A guide removes tokens from the network's distribution, never adds any.

A guide is an immutable value that stands after a text, as a position does. So rows that share a beginning share a
guide, what was found out about one can be remembered, and going back costs nothing::

    guide.allowed()          which tokens may come next, (V,) of bool; none where the text is over, and only there
    guide.distances()        how far the end is after each of them, (V,)
    guide.may_end()          whether the text may end here
    guide.advance(token)     the guide after one more token, which was allowed

Every token allowed can be followed by an end: a text never gets stuck, so nothing has to be taken back once it is
drawn. Where rules together could lead to a dead end, the way to an end is searched in the guides' own states, before
the token is allowed (`rules.ways`). For that guides can be hashed and compared.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from charlstm.engine.protocol import Logits

NEVER = 1 << 40
"""The distance of an end that there is not."""


class Guide(Protocol):
    """A rule of what a text may go on with, after a text."""

    def allowed(self) -> NDArray[np.bool_]:
        """Which tokens may come next, (V,); none where the text is over, which then may end."""

    def distances(self) -> NDArray[np.int64]:
        """About how many tokens would have to follow each token before the text may end, (V,).

        0 exactly where it may end after the token; `NEVER` or more where that token never leads to an end. One that is
        not allowed may have a distance: it ends the text too early, and is kept for when it has to end.
        """

    def may_end(self) -> bool:
        """Whether the text may end here."""

    def advance(self, token: int) -> Guide:
        """The guide after one more token.

        Args:
            token: its id, one of those allowed.
        """


def keep_allowed(logits: Logits, allowed: NDArray[np.bool_]) -> Logits:
    """Remove what guides do not allow.

    Args:
        logits: (B, V).
        allowed: by the guide of each row, (B, V); a row without any is over, and stays as it is.

    Returns:
        Logits, (B, V), -inf where a token is removed.
    """
    return np.where(allowed | ~allowed.any(axis=1, keepdims=True), logits, -np.inf)
