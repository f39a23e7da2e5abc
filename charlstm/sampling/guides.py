"""Guides: rules of what a text may go on with. A guide removes tokens from the network's distribution, never adds any.

A guide is an immutable value that stands after a text, as a position does. So rows that share a beginning share a
guide, and going back costs nothing::

    guide.allowed()          which tokens may come next, (V,) of bool; at least one
    guide.may_end()          whether the text may end here
    guide.advance(token)     the guide after one more token, which was allowed
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from charlstm.engine.protocol import Logits


class Guide(Protocol):
    """A rule of what a text may go on with, after a text."""

    def allowed(self) -> NDArray[np.bool_]:
        """Which tokens may come next, (V,); at least one."""

    def may_end(self) -> bool:
        """Whether the text may end here."""

    def advance(self, token: int) -> Guide:
        """The guide after one more token.

        Args:
            token: its id, one of those allowed.
        """


def keep_allowed(logits: Logits, guides: Sequence[Guide]) -> Logits:
    """Remove what the guides do not allow.

    Args:
        logits: (B, V).
        guides: one for each row.

    Returns:
        Logits, (B, V), -inf where a token is removed.
    """
    return np.where(np.stack([guide.allowed() for guide in guides]), logits, -np.inf)
