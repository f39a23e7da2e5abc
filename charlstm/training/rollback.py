"""Going back to the last good state of a training whose loss is no longer finite."""

from __future__ import annotations

import copy
from dataclasses import dataclass

import msgspec

from charlstm.training import snapshot
from charlstm.training.snapshot import Arrays, Cursor, TrainState

_LEAST_SCALE = 2.0**-10
"""The smallest share of the learning rate: what still diverges then has another cause."""


@dataclass(frozen=True)
class LastGood:
    """A state that a training can go back to, held in memory."""

    arrays: Arrays
    cursor: Cursor

    @classmethod
    def of(cls, state: TrainState, cursor: Cursor) -> LastGood:
        """Return a copy of a state and its position.

        Args:
            state: of the training.
            cursor: its position.
        """
        return cls(snapshot.capture(state), copy.copy(cursor))

    def go_back(self, state: TrainState, cursor: Cursor) -> Cursor | None:
        """Restore the state, with half the learning rate.

        The time that was used, and the best model that was found, are not taken back.

        Args:
            state: what has diverged; it is replaced.
            cursor: the position at which it did.

        Returns:
            The new position; None, and nothing is changed, if the learning rate was halved ten times already.
        """
        if cursor.lr_scale / 2 < _LEAST_SCALE:
            return None
        state.states[:] = [None] * len(state.states)
        snapshot.restore(self.arrays, state)
        now = {name: getattr(cursor, name) for name in ("seconds", "reserve", "val_tokens", "best_val_loss")}
        return msgspec.structs.replace(self.cursor, **now, lr_scale=cursor.lr_scale / 2)
