"""Sentences about measured values: a claim is supported only if every seed of one beats every seed of the other."""

from __future__ import annotations

import math
from collections.abc import Sequence


def format_range(values: Sequence[float], number_format: str = "{:.3g}", limit: float = math.inf) -> str:
    """The mean of the seeds with their range: ``12 (8 to 16)``, or ``12`` when all agree.

    Args:
        values: one for each seed.
        number_format: the format string of a value.
        limit: the largest value that could be measured; one that reaches it is followed by ``+``, as it may be more.

    Returns:
        The text.
    """
    low, high = min(values), max(values)
    ends = [number_format.format(value) + "+" * (value >= limit) for value in (low, high)]
    mean = number_format.format(sum(values) / len(values)) + "+" * (high >= limit)
    return mean if ends[0] == ends[1] else f"{mean} ({ends[0]} to {ends[1]})"


def judge(
    claim: str,
    greater: tuple[str, Sequence[float]],
    smaller: tuple[str, Sequence[float]],
    *,
    number_format: str = "{:.3g}",
    unit: str = "",
    limit: float = math.inf,
    too_short: bool = False,
) -> str:
    """The verdict on a claim that the values of one are greater than those of another.

    Args:
        claim: a clause without a full stop.
        greater: the name of the one that should be greater, and its value for each seed.
        smaller: the name of the one that should be smaller, and its value for each seed.
        number_format: the format string of a value.
        unit: what follows the values, such as their unit.
        limit: as in `format_range`.
        too_short: whether the experiment was too short for any verdict.

    Returns:
        One sentence that begins with Supported, Refuted or Inconclusive.
    """
    (name, values), (other, others) = greater, smaller
    ranges = [format_range(each, number_format, limit) for each in (values, others)]
    figures = f"{name} {ranges[0]}, {other} {ranges[1]}{unit and ' ' + unit}"
    seeds = min(len(values), len(others))
    basis = f"in all {seeds} seeds" if seeds > 1 else "from one seed only, so it may be chance"
    if too_short:
        return f"Inconclusive: {claim} ({figures}; too short to tell)."
    if min(values) > max(others):
        return f"Supported: {claim} ({figures}; {basis})."
    if max(values) < min(others):
        return f"Refuted: {claim} ({figures}; {basis})."
    reason = "no difference" if len({*values, *others}) == 1 else "the seeds overlap"
    return f"Inconclusive: {claim} ({figures}; {reason})."
