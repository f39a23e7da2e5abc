"""How a budget is cut into trials. No torch and no optuna: a budget too short is told of at once."""

from __future__ import annotations

import os

from charlstm.errors import UsageError

TRIALS = 30
"""As many as a search of seven settings needs to be worth its time, each with as much of it as that leaves."""
SHORTEST = 20.0
"""Seconds of a trial that chooses its own time: below it a process spends more on starting than on learning."""
LEAST = 2
"""Trials of any search: with fewer there is nothing to compare."""


def trial_seconds(budget: float, asked: float | None) -> float:
    """The time of each trial.

    Args:
        budget: seconds of searching.
        asked: seconds of training of each trial; None chooses them.

    Raises:
        UsageError: the budget has no room for two.
    """
    seconds = max(SHORTEST, budget / TRIALS) if asked is None else asked
    if budget < LEAST * seconds:
        raise UsageError(
            f"a budget of {budget:g} s has no room for two trials of {seconds:g} s",
            hint="Give a longer --budget or a shorter --trial-time.",
        )
    return seconds


def trial_threads(jobs: int) -> int | None:
    """Threads of each of so many trials at once; None leaves a trial that is alone its choice."""
    return max(1, (os.cpu_count() or 1) // jobs) if jobs > 1 else None
