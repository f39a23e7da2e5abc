"""A position in a text: the recurrent state after all of it, and the logits of the next token."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from charlstm.engine.protocol import Logits, Stepper, TokenIds
from charlstm.errors import OUT_OF_RANGE, CheckpointError, UsageError
from charlstm.tokenizers import Ids


class Position(NamedTuple):
    """The network after a text. A value: any number of continuations can start from it."""

    logits: Logits
    """(B, V) float64, of the next token, before any filter."""
    state: Any
    """The stepper's state of B rows."""


def freeze(stepper: Stepper, position: Position) -> Position:
    """Return a position to draw from: the memories of side inputs store nothing that is read after it.

    Args:
        stepper: the network.
        position: of any number of rows.
    """
    return position._replace(state=stepper.freeze(position.state))


def advance(stepper: Stepper, position: Position | None, ids: TokenIds) -> Position:
    """Feed the network one token per row.

    Args:
        stepper: the network.
        position: the position before; None is the zero state.
        ids: (B,), one token id per row.

    Returns:
        The position after these tokens.

    Raises:
        CheckpointError: a logit is not finite.
    """
    logits, state = stepper.step(ids, None if position is None else position.state)
    wide = logits.astype(np.float64)
    check_finite(wide)
    return Position(wide, state)


def check_finite(logits: Logits) -> None:
    """Check that a network's weights are not out of range.

    Args:
        logits: (B, V) float64.

    Raises:
        CheckpointError: a logit is not finite.
    """
    # One sum of squares finds every NaN and infinity: the square of a float32 is far from overflowing a float64.
    if not math.isfinite(np.vdot(logits, logits)):
        raise CheckpointError("the network's logits are not finite", hint=OUT_OF_RANGE)


def prefill(stepper: Stepper, ids: Iterable[int] | Ids, position: Position | None = None) -> Position:
    """Feed the network a text, one row, token by token; the memories of side inputs store it.

    Args:
        stepper: the network.
        ids: the token ids of the text.
        position: the position before; None is the zero state.

    Returns:
        The position after the text.

    Raises:
        UsageError: there is neither a token nor a position, so the next token has no distribution.
        CheckpointError: a logit is not finite.
    """
    if position is not None:
        position = position._replace(state=stepper.freeze(position.state, False))
    for token in ids:
        position = advance(stepper, position, np.array([token]))
    if position is None:
        raise UsageError("the network needs at least one token to predict the next")
    return position


def join_rows(stepper: Stepper, positions: Sequence[Position]) -> Position:
    """Return positions of one row each as one position.

    Args:
        stepper: the network.
        positions: at least one.
    """
    logits = np.concatenate([position.logits for position in positions])
    return Position(logits, stepper.join([position.state for position in positions]))


def select_row(stepper: Stepper, position: Position, row: int) -> Position:
    """Return one row of a position, as a position of one row.

    Args:
        stepper: the network.
        position: of B rows.
        row: 0 to B - 1.
    """
    return Position(position.logits[row : row + 1], stepper.select(position.state, [row]))


def repeat_row(stepper: Stepper, position: Position, rows: int) -> Position:
    """Return a position of one row, repeated for several rows that will differ from here on.

    Args:
        stepper: the network.
        position: of one row; one of as many rows as wanted is returned as it is.
        rows: B, how many.
    """
    if len(position.logits) == rows:
        return position
    return Position(position.logits.repeat(rows, axis=0), stepper.expand(position.state, rows))
