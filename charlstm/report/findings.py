"""Sentences about measured values: a claim is supported only if every seed of one beats every seed of the other."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal, TypeAlias

Verdict: TypeAlias = Literal["Supported", "Refuted", "Inconclusive"]

TOO_SHORT = "too short to tell"
"""The reason of a verdict after too short an experiment."""

NamedValues: TypeAlias = tuple[str, Sequence[float]]
"""A name, and its value for each seed."""


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


def verdict(greater: Sequence[float], smaller: Sequence[float], *, too_short: bool = False) -> tuple[Verdict, str]:
    """The verdict on a claim that some values are greater than others, and its reason.

    Args:
        greater: those that should be greater, one for each seed.
        smaller: those that should be smaller, one for each seed.
        too_short: whether the experiment was too short for any verdict.

    Returns:
        The verdict, and a phrase that says what it rests on.
    """
    seeds = min(len(greater), len(smaller))
    basis = f"in all {seeds} seeds" if seeds > 1 else "from one seed only, so it may be chance"
    if too_short:
        return "Inconclusive", TOO_SHORT
    if min(greater) > max(smaller):
        return "Supported", basis
    if max(greater) < min(smaller):
        return "Refuted", basis
    return "Inconclusive", "no difference" if len({*greater, *smaller}) == 1 else "the seeds overlap"


def format_figures(*sides: NamedValues, number_format: str = "{:.3g}", unit: str = "", limit: float = math.inf) -> str:
    """The ranges of several, each with its name: ``lstm 12 (8 to 16), rnn 4 characters``.

    Args:
        sides: the name and the values of each.
        number_format: the format string of a value.
        unit: what follows the values, such as their unit.
        limit: as in `format_range`.

    Returns:
        The text.
    """
    ranges = ", ".join(f"{name} {format_range(values, number_format, limit)}" for name, values in sides)
    return f"{ranges}{unit and ' ' + unit}"


def judge(
    claim: str,
    greater: NamedValues,
    smaller: NamedValues,
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
    word, reason = verdict(greater[1], smaller[1], too_short=too_short)
    figures = format_figures(greater, smaller, number_format=number_format, unit=unit, limit=limit)
    return f"{word}: {claim} ({figures}; {reason})."
