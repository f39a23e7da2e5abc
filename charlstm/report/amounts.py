"""Amounts as a person reads them: lengths of time, large numbers, sizes of files."""

from __future__ import annotations

_LARGE = 1e4
"""A loss from here on is of a network that has diverged: no digit behind the point says anything."""


def measured(value: float, digits: int) -> str:
    """Format a loss: ``1.3872``, and ``3.4e+29`` of a network that has diverged.

    Args:
        value: the loss, in any unit.
        digits: behind the decimal point.

    Returns:
        Its digits, three of them with an exponent from 10,000 on.
    """
    return f"{value:.{digits}f}" if value < _LARGE else f"{value:.3g}"


def duration(seconds: float) -> str:
    """Format seconds: ``45 s``, ``3 min 20 s``, ``2 h 5 min``, ``1 d 4 h``."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s" if whole % 60 else f"{whole // 60} min"
    if whole < 86400:
        return f"{whole // 3600} h {whole % 3600 // 60} min"
    return f"{whole // 86400} d {whole % 86400 // 3600} h"


def count(number: float) -> str:
    """Format a number with three digits and a letter: ``812``, ``1.3 M``."""
    for unit, scale in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if number >= scale:
            return f"{number / scale:.3g} {unit}"
    return f"{number:.0f}"


def counted(number: float, thing: str) -> str:
    """Format a number of things: ``1 step``, ``1.3 M characters``.

    Args:
        number: how many.
        thing: the noun, in the singular.

    Returns:
        The number and the noun, in the plural unless the number is 1.
    """
    return f"{count(number)} {thing}{'s' * (number != 1)}"


def size(octets: float) -> str:
    """Format bytes with three digits and a unit: ``2.6 MB``."""
    return f"{count(octets)}B" if octets >= 1000 else f"{octets:.0f} B"
