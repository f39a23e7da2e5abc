"""Axes: places are monotone and in range, ticks are round, and none stands outside."""

from __future__ import annotations

import itertools
import math
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from charlstm.report.axes import FLOOR, Axis, axes, number
from charlstm.report.charts import COLORS, Chart, Curve, Level

POSITIVE = st.floats(1e-7, 1e12)


def chart(*values: float, log: bool = False, **more) -> Chart:
    x = tuple(map(float, range(len(values))))
    return Chart("", "x", "y", (Curve("a", x, values, values, values, 0),), log_y=log, **more)


@given(POSITIVE, st.floats(1.001, 1e6), st.integers(2, 12), st.booleans())
def test_ticks_are_few_round_rising_and_on_the_axis(low: float, factor: float, most: int, log: bool) -> None:
    axis = Axis(low, low * factor, log)
    found = axis.ticks(most)
    assert len(found) <= most
    assert list(found) == sorted(set(found))
    slack = 1e-6 * (axis.high - axis.low)
    assert all(axis.low - slack <= value <= axis.high + slack for value in found)
    if log and factor > 100:
        mantissas = {f"{value:e}"[0] for value in found}
        assert mantissas <= set("1235")
        assert all(float(f"{value:.0e}") == value for value in found)
    elif not log and most > 4:
        assert len(found) >= 2
        steps = {Fraction(str(b)) - Fraction(str(a)) for a, b in itertools.pairwise(found)}
        assert len(steps) == 1
        assert f"{float(steps.pop()):e}".rstrip("0123456789").rstrip("e+-").strip("0.") in {"1", "2", "5"}


def test_ticks_as_a_person_would_choose_them() -> None:
    assert Axis(0, 1).ticks(6) == (0, 0.2, 0.4, 0.6, 0.8, 1)
    assert Axis(1.47, 4.4).ticks(6) == (1.5, 2, 2.5, 3, 3.5, 4)
    assert Axis(-3, 3).ticks(4) == (-2, 0, 2)
    assert Axis(30, 90_000, log=True).ticks(5) == (100, 1000, 10_000)
    assert Axis(1, 10, log=True).ticks(5) == (1, 2, 5, 10)
    assert Axis(2.2, 4.4, log=True).ticks(5) == (2.5, 3, 3.5, 4)
    assert len(Axis(1e-8, 1e12, log=True).ticks(5)) <= 5


@given(POSITIVE, st.floats(1.01, 1e6), st.floats(0, 1), st.floats(0, 1))
def test_equal_distances_are_equal_differences_or_equal_ratios(low, factor, a, b) -> None:
    linear, log = Axis(low, low * factor), Axis(low, low * factor, log=True)
    assert linear.share(low + a * (linear.high - low)) == pytest.approx(a, abs=1e-6)
    assert log.share(low * factor**b) == pytest.approx(b, abs=1e-6)
    assert 0 <= linear.share(low / 3) <= linear.share(low * factor * 3) <= 1


def test_the_axes_of_a_chart_hold_curves_bands_levels_and_the_mark() -> None:
    curve = Curve("a", (0, 10), (2, 3), (1, 3), (2, 4), 0)
    across, upwards = axes(Chart("", "x", "y", (curve,), levels=(Level(6),), mark=12))
    assert (across.low, across.high) == (0, 12)
    assert upwards.low == pytest.approx(1 - 0.04 * 5)
    assert upwards.high == pytest.approx(6 + 0.04 * 5)


@pytest.mark.parametrize("values", [(), (math.nan,), (3.0,), (3.0, 3.0), (0.0, 0.0), (math.inf, -math.inf), (-1.0,)])
@pytest.mark.parametrize("log", [False, True])
def test_any_values_have_axes(values: tuple[float, ...], log: bool) -> None:
    for axis in axes(chart(*values, log=log)):
        assert axis.low < axis.high
        assert axis.ticks(5)
        assert axis.low >= (FLOOR if axis.log else -math.inf)


def test_what_a_logarithm_lacks_does_not_stretch_the_axis() -> None:
    _, upwards = axes(chart(-5, 0, 1, 100, math.inf, log=True))
    assert 0.5 < upwards.low < 1
    assert 100 < upwards.high < 200


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (0.25, "0.25"), (1.23456, "1.235"), (1000, "1000"), (20_000, "20k"), (1.5e6, "1.5M"), (-3e9, "-3G")],
)
def test_numbers_are_short(value: float, text: str) -> None:
    assert number(value) == text


def test_colours_of_curves_stand_out_on_white_and_on_black() -> None:
    assert len(set(COLORS)) == len(COLORS)
    for color in COLORS:
        red, green, blue = (int(color[at : at + 2], 16) / 255 for at in (1, 3, 5))
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in (red, green, blue)]
        luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
        assert 1.05 / (luminance + 0.05) >= 3, "on white"
        assert (luminance + 0.05) / (0.012 + 0.05) >= 3, "on the dark grey of pages"
