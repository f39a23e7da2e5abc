"""The learning-rate schedule, a pure function of progress."""

from __future__ import annotations

import math

_MIN_WARMUP = 0.01
"""Share of the peak at which the warm-up starts: at a rate of 0 the first step would be wasted."""


def schedule(progress: float, warmup: float) -> float:
    """Return the learning rate at a point of the budget, as a share of the peak.

    Linear warm-up, then half a cosine down to zero at the end (Loshchilov & Hutter 2017).

    Args:
        progress: share of the budget used, in [0, 1].
        warmup: share of the budget in which the rate rises, in [0, 1).

    Returns:
        The share of the peak learning rate, in [0, 1].
    """
    if progress < warmup:
        return max(_MIN_WARMUP, progress / warmup)
    return 0.5 + 0.5 * math.cos(math.pi * min(1.0, (progress - warmup) / (1.0 - warmup)))
