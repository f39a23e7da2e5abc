"""Axes: from a value to its place, and the round numbers that stand beside it, the same in a page and in a terminal."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from charlstm.report.charts import Chart

FLOOR = 1e-8
"""The least value shown on a logarithmic axis: about the relative precision of fp32."""
LARGEST = 1e100
"""What is larger is taken for infinite, as the loss of a run that diverged."""
_MARGIN = 0.04
"""Share of an axis that stays free at either end, so that no line runs along the frame."""
_MANTISSAS = ((1, 2, 5), (1, 3), (1,))
"""The ticks of a decade, from many to few."""
_UNITS = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))


@dataclass(frozen=True)
class Axis:
    """A range of values, ``low`` at 0 and ``high`` at 1."""

    low: float
    high: float
    log: bool = False

    def share(self, value: float) -> float:
        """The place of a value, 0 at ``low`` and 1 at ``high``; one outside stands at the end, NaN is NaN."""
        if math.isnan(value):
            return math.nan
        low, high, value = self.low, self.high, min(max(value, self.low), self.high)
        if self.log:
            return math.log(value / low) / math.log(high / low)
        return (value - low) / (high - low)

    def ticks(self, most: int) -> tuple[float, ...]:
        """Round values on the axis, rising.

        Args:
            most: how many there may be, at least 2.
        """
        if self.log:
            decades = _decades(self.low, self.high, most)
            if len(decades) >= 2:
                return decades
        power = math.floor(math.log10((self.high - self.low) / most))
        steps = ((factor, exponent) for exponent in (power, power + 1) for factor in (1, 2, 5))
        return next(found for step in steps if len(found := self._multiples(*step)) <= most)

    def can_show(self, value: float) -> bool:
        """Whether a value has a place: it is finite, and on a logarithmic axis above 0."""
        return abs(value) <= LARGEST and (value > 0 or not self.log)  # NaN is not

    def _multiples(self, factor: int, exponent: int) -> tuple[float, ...]:
        """The multiples of ``factor`` times a power of ten on the axis."""
        step = factor * 10.0**exponent
        first, last = math.ceil(self.low / step - 1e-9), math.floor(self.high / step + 1e-9)
        return tuple(float(f"{number * factor}e{exponent}") for number in range(first, last + 1))


def axes(chart: Chart) -> tuple[Axis, Axis]:
    """The axes on which everything in a chart has its place.

    Args:
        chart: the chart; values that are not finite have no place, nor have those below 0 on a logarithmic axis.

    Returns:
        The x axis, which ends with the data, and the y axis, which has a margin.
    """
    x = [value for curve in chart.curves for value in curve.x]
    y = [value for curve in chart.curves for values in (curve.mean, curve.low, curve.high) for value in values]
    across = _axis([*x, *_given(chart.mark)], chart.log_x, 0.0)
    upwards = _axis([*y, *(level.y for level in chart.levels)], chart.log_y, _MARGIN)
    return across, upwards


def number(value: float) -> str:
    """A value in at most four digits: ``0.25``, ``1.234``, ``20k``, ``1.5M``, ``3e-05``."""
    for scale, letter in _UNITS:
        if abs(value) >= scale * (10 if letter == "k" else 1):
            return f"{value / scale:.4g}{letter}"
    return f"{value:.4g}"


def _given(value: float | None) -> Iterator[float]:
    if value is not None:
        yield value


def _axis(values: Iterable[float], log: bool, margin: float) -> Axis:
    """An axis over all values that can stand on it."""
    shown = [value for value in values if abs(value) <= LARGEST]
    if log:
        shown = [max(value, FLOOR) for value in shown if value > 0]
    low, high = min(shown, default=1.0), max(shown, default=1.0)
    if log:
        low, high = (low, high) if high > low * (1 + 1e-9) else (low / 2, high * 2)
        room = (high / low) ** margin
        return Axis(max(low / room, FLOOR), high * room, log)
    if high - low <= 1e-9 * max(abs(low), abs(high), 1e-100):  # also of numbers too small to divide
        low, high = low - (abs(low) / 2 or 0.5), high + (abs(high) / 2 or 0.5)
    room = (high - low) * margin
    return Axis(low - room, high + room)


def _decades(low: float, high: float, most: int) -> tuple[float, ...]:
    """Ticks at 1, 2 and 5 times the powers of ten, or at fewer of them."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for mantissas in _MANTISSAS:
        found = [float(f"{mantissa}e{power}") for power in powers for mantissa in mantissas]
        found = [value for value in found if low * (1 - 1e-9) <= value <= high * (1 + 1e-9)]
        if len(found) <= most:
            return tuple(found)
    return tuple(found[:: math.ceil(len(found) / most)])
