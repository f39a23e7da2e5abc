"""Where a text stands: the logits of the next token, and the state of the network that has read all of it."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np

from charlstm.engine.protocol import Logits, Stepper, TokenIds
from charlstm.errors import CheckpointError, UsageError
from charlstm.tokenizers import Ids

# ---- token ids --------------------------------------------------------------------------------------------------


class Position(NamedTuple):
    """Where a text stands: the network has read all of it. A value: go on from it as often as you like."""

    logits: Logits
    """(B, V) float64: of the token that follows, as the network gave them."""
    state: Any
    """The stepper's own state of B rows."""


def advance(stepper: Stepper, position: Position | None, ids: TokenIds) -> Position:
    """Read one token a row, ids (B,); from a zero state if ``position`` is None.

    Raises:
        CheckpointError: the network gave a number that is not finite.
    """
    logits, state = stepper.step(ids, None if position is None else position.state)
    wide = logits.astype(np.float64)
    # One sum of squares sees every NaN and infinity: a float32's square is far from overflowing a float64.
    if not math.isfinite(np.vdot(wide, wide)):
        raise CheckpointError(
            "its network gives numbers that are not finite", hint="The weights are damaged, or training diverged."
        )
    return Position(wide, state)


def read(stepper: Stepper, ids: Iterable[int] | Ids, position: Position | None = None) -> Position:
    """Read a text's ids at batch 1, going on from ``position``; None is the zero state.

    Raises:
        UsageError: there is neither an id nor a position, so nothing says what could follow.
        CheckpointError: the network gave a number that is not finite.
    """
    for token in ids:
        position = advance(stepper, position, np.array([token]))
    if position is None:
        raise UsageError("nothing to go on from", hint="Give at least one token.")
    return position


def pick(stepper: Stepper, position: Position, row: int) -> Position:
    """One row of a position, as a position of one row."""
    return Position(position.logits[row : row + 1], stepper.select(position.state, [row]))
