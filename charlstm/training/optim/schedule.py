"""The learning rate as a pure function of progress."""

from __future__ import annotations

import math

_LEAST = 0.01
"""Share of the peak with which the warm-up begins: at a rate of 0 the first step would be wasted."""


def schedule(progress: float, warmup: float) -> float:
    """The share of the highest learning rate at a point of the budget.

    A straight rise over the warm-up, then half a cosine down to zero at the end (Loshchilov & Hutter 2017).

    Args:
        progress: share of the budget used, in [0, 1].
        warmup: share of the budget in which the rate rises.
    """
    if progress < warmup:
        return max(_LEAST, progress / warmup)
    return 0.5 + 0.5 * math.cos(math.pi * min(1.0, (progress - warmup) / (1.0 - warmup)))
