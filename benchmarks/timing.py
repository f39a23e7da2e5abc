"""Programs measured in turn, so that whatever else the machine does affects all of them alike."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any

PAUSE = 0.05
"""Seconds between two measurements: torch's threads keep spinning for a while after their work."""


def interleaved(runs: Mapping[str, Callable[[], float]], rounds: int, pause: float = PAUSE) -> dict[str, list[float]]:
    """Measure each run once in every round; a first round warms up and is not counted.

    Args:
        runs: name → measures once and returns the figure, NaN where it cannot run.
        rounds: rounds that count.
        pause: seconds to wait before each measurement.

    Returns:
        Name → one value per round; without the runs that cannot run.
    """
    values: dict[str, list[float]] = {name: [] for name in runs}
    for number in range(rounds + 1):
        for name, run in runs.items():
            time.sleep(pause)
            value = run()
            if number:
                values[name].append(value)
    return {name: measured for name, measured in values.items() if not any(map(math.isnan, measured))}


def autocast(precision: str) -> AbstractContextManager[Any]:
    """The context in which a CPU computes in ``fp32`` or ``bf16``."""
    import torch

    return torch.autocast("cpu", torch.bfloat16) if precision == "bf16" else nullcontext()
