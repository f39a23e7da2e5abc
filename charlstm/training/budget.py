"""The share of its budget that a run has used, in [0, 1]: it drives the schedule and ends the training."""

from __future__ import annotations

from dataclasses import dataclass

from charlstm.config import TrainConfig

_LONGEST_STEP = 20.0
"""In mean step times: a longer step counts as this many."""


@dataclass
class TrainingClock:
    """Counts the seconds of training, over all sessions of a run.

    A step that takes far longer than the previous ones (because the laptop slept or the process was stopped) counts as
    only a few of them: otherwise one pause would use up the part of the schedule in which the learning rate falls.

    Args:
        seconds: seconds of training so far.
    """

    seconds: float = 0.0
    _mean_step: float = 0.0

    def add_step(self, elapsed: float) -> None:
        """Add a step that took ``elapsed`` seconds."""
        counted = min(elapsed, _LONGEST_STEP * self._mean_step) if self._mean_step else elapsed
        self._mean_step = 0.9 * self._mean_step + 0.1 * counted if self._mean_step else counted
        self.seconds += counted

    def add(self, elapsed: float) -> None:
        """Add an evaluation or a save that took ``elapsed`` seconds."""
        self.seconds += elapsed


def progress(config: TrainConfig, *, seconds: float, steps: int, epochs: float, reserve: float = 0.0) -> float:
    """Return the share of the budget used, in [0, 1]; of several budgets that of the one closest to its end.

    Args:
        config: `max_time`, `max_steps`, `epochs`.
        seconds: seconds of training so far.
        steps: optimizer steps so far.
        epochs: passes over the training text so far.
        reserve: seconds of a time budget that are not for training; at most half of it.
    """
    max_time = config.max_time and max(config.max_time - reserve, config.max_time / 2)
    shares = [
        used / budget
        for used, budget in ((seconds, max_time), (steps, config.max_steps), (epochs, config.epochs))
        if budget is not None
    ]
    return min(1.0, max(shares, default=0.0))
