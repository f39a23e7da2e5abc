"""How a budget of time is divided into trials. No torch and no optuna: one that is too short is refused at once."""

from __future__ import annotations

from charlstm.cpu import cores
from charlstm.errors import UsageError

TARGET_TRIALS = 30
"""The number of trials that a search of seven settings needs to be worth its time."""
SHORTEST_TRIAL = 20.0
"""Seconds; in a shorter trial starting the process takes longer than training. An explicit time may be shorter."""
MIN_TRIALS = 2
"""The default settings, and at least one trial to compare with them."""


def trial_seconds(budget: float, trial_time: float | None) -> float:
    """Return the training time of each trial, in seconds.

    Args:
        budget: seconds of searching.
        trial_time: seconds of training of each trial; None chooses them.

    Raises:
        UsageError: the budget is too short for two trials.
    """
    seconds = max(SHORTEST_TRIAL, budget / TARGET_TRIALS) if trial_time is None else trial_time
    shortest = MIN_TRIALS * seconds
    if budget < shortest:
        what = f"a budget of {budget:g} s is too short: the shortest is {shortest:g} s, two trials of {seconds:g} s"
        raise UsageError(what, hint="Give a longer budget or a shorter trial time; 20 minutes make a useful search.")
    return seconds


def trial_threads(jobs: int) -> int | None:
    """Return the CPU threads of each of `jobs` parallel trials; None lets a single trial choose its own."""
    return max(1, cores() // jobs) if jobs > 1 else None
