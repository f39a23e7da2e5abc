"""How far along the budget a run is: one number in [0, 1] that the schedule and the end of training follow."""

from __future__ import annotations

from dataclasses import dataclass

from charlstm.config import TrainConfig

_JUMP = 20.0


@dataclass
class Clock:
    """Seconds of training, over all sessions of a run.

    A step that takes far longer than its neighbours (a laptop that slept, a process that was stopped) counts as a few
    of them only: otherwise one nap would eat the part of the schedule in which the learning rate comes down.
    """

    seconds: float = 0.0
    _pace: float = 0.0

    def add_step(self, elapsed: float) -> None:
        """Count a step that took ``elapsed`` seconds."""
        counted = min(elapsed, _JUMP * self._pace) if self._pace else elapsed
        self._pace = 0.9 * self._pace + 0.1 * counted if self._pace else counted
        self.seconds += counted

    def add(self, elapsed: float) -> None:
        """Count an evaluation or a save."""
        self.seconds += elapsed


def progress(config: TrainConfig, *, seconds: float, steps: int, epochs: float) -> float:
    """The share of the budget used, in [0, 1]; of several budgets the one closest to its end counts.

    Args:
        config: `max_time`, `max_steps`, `epochs`.
        seconds: of training so far.
        steps: of the optimizer so far.
        epochs: passes over the training text so far.
    """
    shares = [
        used / budget
        for used, budget in ((seconds, config.max_time), (steps, config.max_steps), (epochs, config.epochs))
        if budget is not None
    ]
    return min(1.0, max(shares, default=0.0))
