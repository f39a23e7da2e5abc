"""Sentences that say what was measured, no more: a claim holds only if every seed of one beats every of the other."""

from __future__ import annotations

import math
from collections.abc import Sequence


def spread(values: Sequence[float], form: str = "{:.3g}", cap: float = math.inf) -> str:
    """The mean of the seeds, and from the least to the greatest: ``12 (8 to 16)``; ``12`` when they agree.

    Args:
        values: one for each seed.
        form: how a value is written.
        cap: the end of what was measured; a value that reaches it is written with a ``+``, it may be more.
    """
    low, high = min(values), max(values)
    ends = [form.format(value) + "+" * (value >= cap) for value in (low, high)]
    mean = form.format(sum(values) / len(values)) + "+" * (high >= cap)
    return mean if ends[0] == ends[1] else f"{mean} ({ends[0]} to {ends[1]})"


def judge(
    claim: str,
    more: tuple[str, Sequence[float]],
    less: tuple[str, Sequence[float]],
    *,
    form: str = "{:.3g}",
    unit: str = "",
    cap: float = math.inf,
) -> str:
    """Whether a claim held that one is more than another.

    Args:
        claim: the claim, a clause without a full stop.
        more: the name of what should be more, and its value for each seed.
        less: the name of what should be less, and its values.
        form: how a value is written.
        unit: what is counted.
        cap: as in `spread`.
    """
    (a, above), (b, below) = more, less
    figures = f"{a} {spread(above, form, cap)} against {b} {spread(below, form, cap)}{unit and ' ' + unit}"
    seeds = min(len(above), len(below))
    basis = f"in all {seeds} seeds" if seeds > 1 else "in the only seed, so it may be chance"
    if min(above) > max(below):
        return f"Held: {claim}; {figures}, {basis}."
    if max(above) < min(below):
        return f"Did not hold: {claim}; {figures}, {basis}."
    reason = "no difference" if len({*above, *below}) == 1 else "the seeds overlap"
    return f"Not decided: {claim}; {figures}: {reason}."
