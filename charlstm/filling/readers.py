"""What a search asks of a network, causal or bidirectional."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np

from charlstm.engine.bidirectional import BidirectionalEngine
from charlstm.engine.network import Engine
from charlstm.engine.protocol import Logits, Stepper, TokenIds
from charlstm.sampling.position import Position, advance, read

HIDDEN = -1
"""Stands in a layout for a token that nobody has seen yet."""


class Reader(Protocol):
    """A network that knows what may stand at a place, from what stands to the left and perhaps to the right.

    ``left`` is a value of its own: B rows, each having read what stands left of the place.
    """

    def begin(self, left: Sequence[int]) -> Any:
        """Read what stands before the first blank, at least a token; gives a left of one row."""

    def layout(self, tokens: Sequence[int]) -> Any:
        """Look at all that stands from a blank on, `HIDDEN` where it is not known."""

    def predict(self, left: Any, layout: Any, place: int) -> Logits:
        """What may stand at a place of the layout that is hidden, (B, V); left has read all before it."""

    def advance(self, left: Any, ids: TokenIds) -> Any:
        """Read one token a row, ids (B,)."""

    def select(self, left: Any, rows: Sequence[int]) -> Any:
        """Some rows, in the order given, any number of times."""

    def join(self, lefts: Sequence[Any]) -> Any:
        """All rows of several, one below the other."""

    def weighs(self, free: bool) -> int | None:
        """How many of the tokens behind a blank have to be weighed; None is all."""


class WritesOn:
    """A network that writes on, as a `Reader`: what stands to the right it has not seen.

    Args:
        stepper: the network.
    """

    def __init__(self, stepper: Stepper) -> None:
        self._stepper = stepper

    def begin(self, left: Sequence[int]) -> Position:
        """See `Reader`."""
        return read(self._stepper, left)

    def layout(self, tokens: Sequence[int]) -> None:
        """Nothing: it is not looked at."""

    def predict(self, left: Position, layout: Any, place: int) -> Logits:
        """See `Reader`."""
        return left.logits

    def advance(self, left: Position, ids: TokenIds) -> Position:
        """See `Reader`."""
        return advance(self._stepper, left, ids)

    def select(self, left: Position, rows: Sequence[int]) -> Position:
        """See `Reader`."""
        return Position(left.logits[rows], self._stepper.select(left.state, rows))

    def join(self, lefts: Sequence[Position]) -> Position:
        """See `Reader`."""
        logits = np.concatenate([left.logits for left in lefts])
        return Position(logits, self._stepper.join([left.state for left in lefts]))

    def weighs(self, free: bool) -> None:
        """All: of what follows it knows nothing else."""


def reader_of(engine: Engine | BidirectionalEngine) -> Reader:
    """A network of either kind, ready to fill."""
    return engine if isinstance(engine, BidirectionalEngine) else WritesOn(engine)
