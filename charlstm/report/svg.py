"""A chart as inline SVG: no scripts, no fonts of its own, readable on a phone, in the dark and in print.

Across, everything stands in percent of the width, so that lines stretch with the page while text keeps its size; only
what must bend, the curves, is in an inner picture of its own, stretched to fill. Upwards, units are pixels. What stands
around the curves (title, legend, labels) is drawn outside the picture's box, in its margin.

Colours are attributes, which any style sheet overrides: text is ``currentColor``, a curve has the class ``curve-0`` to
``curve-4``, its band and its dots ``band-0`` to ``band-4``, and a label on lines ``halo``, whose
stroke is the background.
"""

from __future__ import annotations

import html
import itertools
import math
import textwrap
from collections.abc import Iterator, Sequence

from charlstm.report.axes import Axis, axes, number
from charlstm.report.charts import COLORS, Chart, Curve
from charlstm.report.visible import visible

WIDTH, HEIGHT = 1000, 240
"""Of the inner picture: units across, and pixels upwards."""
_LEFT, _RIGHT, _BELOW, _LINE = 54, 16, 40, 18
"""Pixels left, right and below for labels, and for each line above."""
_MOST_X, _MOST_Y = 5, 6
"""Ticks: as many as have room on a phone."""
_SHORT, _LONG = 12, 36
"""Characters of a legend's label that leave room for another beside it, and of the longest one that is shown."""
_TITLE_LINE = 44
"""Characters of a line of the title."""
_DOTS, _HOVERS = 24, 48
"""A curve of no more points has a dot at each, unless it is dashed; and points that tell their values, at most."""
_HALO = 'class="halo" paint-order="stroke" stroke="Canvas" stroke-width="4" stroke-linejoin="round"'
_FAINT = 'stroke="currentColor" stroke-opacity=".6"'
_NOT_XML = str.maketrans(dict.fromkeys((0xFFFE, 0xFFFF), "\ufffd") | dict.fromkeys((0x09, 0x0A), " "))


def chart(chart: Chart) -> str:
    """Draw a chart.

    Args:
        chart: what it shows; markup and control characters in its texts are made harmless.

    Returns:
        One ``<svg>`` element.
    """
    across, upwards = axes(chart)
    title = textwrap.wrap(_clean(chart.title), _TITLE_LINE)
    legend = _legend(chart)
    above = _LINE * (len(title) + len(legend) + 1) + 8
    label = _escape(f"{chart.title or chart.y_label}, against {chart.x_label}")
    style = (
        f"display:block;overflow:visible;break-inside:avoid;font:12px/1 system-ui,sans-serif;"
        f"width:calc(100% - {_LEFT + _RIGHT}px);height:{HEIGHT}px;margin:{above}px {_RIGHT}px {_BELOW}px {_LEFT}px"
    )
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" class="chart" role="img" aria-label="{label}" fill="currentColor" '
        f'style="{style}">',
        *_headings(chart, title, legend, above),
        *_frame(chart, across, upwards),
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" width="100%" height="{HEIGHT}" preserveAspectRatio="none" '
        'overflow="visible">',
        *(_band(curve, across, upwards) for curve in chart.curves if curve.low != curve.high),
        *_diagonal(chart, across, upwards),
        *(_line(curve, across, upwards) for curve in chart.curves),
        "</svg>",
        *_references(chart, across, upwards),
        *itertools.chain.from_iterable(_points(chart, curve, across, upwards) for curve in chart.curves),
        "</svg>",
    ]
    return "".join(parts)


def _legend(chart: Chart) -> list[list[Curve]]:
    """The curves by lines of the legend; none for a curve that the title names well enough."""
    if len(chart.curves) < 2:
        return []
    beside = 2 if all(len(curve.label) <= _SHORT for curve in chart.curves) else 1
    return [list(chart.curves[first : first + beside]) for first in range(0, len(chart.curves), beside)]


def _headings(chart: Chart, title: Sequence[str], legend: Sequence[Sequence[Curve]], above: int) -> Iterator[str]:
    """The title, the legend and the name of the y axis, in lines above the picture."""
    y = _LINE - 4 - above
    for line in title:
        yield f'<text x="{-_LEFT}" y="{y}" font-weight="600" font-size="14">{_escape(line)}</text>'
        y += _LINE
    for curves in legend:
        for curve, x in zip(curves, ("0", "50%"), strict=False):
            yield f'<svg x="{x}" y="{y - 10}" overflow="visible"><g transform="translate({-_LEFT} 0)">'
            yield f"<title>{_escape(curve.label)}</title>"
            yield f'<line x1="0" y1="6" x2="22" y2="6" {_stroke(curve)}/>'
            yield f'<text x="28" y="10">{_escape(_shortened(curve.label))}</text></g></svg>'
        y += _LINE
    yield f'<text x="{-_LEFT}" y="{y}" opacity=".75">{_escape(chart.y_label)}</text>'


def _frame(chart: Chart, across: Axis, upwards: Axis) -> Iterator[str]:
    """Grid, ticks and the name of the x axis."""
    for value in upwards.ticks(_MOST_Y):
        y = _y(upwards, value)
        yield f'<line x1="0" x2="100%" y1="{y}" y2="{y}" stroke="currentColor" stroke-opacity=".15"/>'
        yield f'<text x="-8" y="{y}" dy="4" text-anchor="end" opacity=".75">{number(value)}</text>'
    for value in across.ticks(_MOST_X):
        x = _percent(across, value)
        yield f'<line x1="{x}" x2="{x}" y1="{HEIGHT}" y2="{HEIGHT + 4}" stroke="currentColor" stroke-opacity=".4"/>'
        yield f'<text x="{x}" y="{HEIGHT + 17}" text-anchor="middle" opacity=".75">{number(value)}</text>'
    yield f'<line x1="0" x2="100%" y1="{HEIGHT}" y2="{HEIGHT}" stroke="currentColor" stroke-opacity=".4"/>'
    yield f'<text x="100%" y="{HEIGHT + 34}" text-anchor="end" opacity=".75">{_escape(chart.x_label)}</text>'


def _line(curve: Curve, across: Axis, upwards: Axis) -> str:
    """The curve as a path, interrupted where a value is not finite."""
    pen, steps = "M", []
    for x, y in zip(curve.x, curve.mean, strict=True):
        if across.can_show(x) and upwards.can_show(y):
            steps.append(f"{pen}{_x(across, x)} {_y(upwards, y)}")
            pen = "L"
        else:
            pen = "M"
    return f'<path d="{"".join(steps)}" fill="none" vector-effect="non-scaling-stroke" {_stroke(curve)}/>'


def _band(curve: Curve, across: Axis, upwards: Axis) -> str:
    """The range between low and high, each stretch of finite values an area of its own."""
    areas, stretch = [], []
    for x, low, high in (*zip(curve.x, curve.low, curve.high, strict=True), (math.nan,) * 3):
        if all((across.can_show(x), upwards.can_show(low), upwards.can_show(high))):
            stretch.append((_x(across, x), _y(upwards, low), _y(upwards, high)))
        elif stretch:
            there = [f"{place} {upper}" for place, _, upper in stretch]
            back = [f"{place} {lower}" for place, lower, _ in reversed(stretch)]
            areas.append(f"M{'L'.join((*there, *back))}Z")
            stretch = []
    return f'<path d="{"".join(areas)}" {_fill(curve)} fill-opacity=".18"/>'


def _diagonal(chart: Chart, across: Axis, upwards: Axis) -> Iterator[str]:
    """The line y = x, which is bent where only one of the axes is logarithmic."""
    low, high = max(across.low, upwards.low), min(across.high, upwards.high)
    if chart.diagonal and low < high:
        values = [low + (high - low) * step / 32 for step in range(33)]
        points = " ".join(f"{_x(across, value)},{_y(upwards, value)}" for value in values)
        yield (
            f'<polyline points="{points}" fill="none" {_FAINT} '
            f'stroke-dasharray="6 4" vector-effect="non-scaling-stroke"><title>{_escape(chart.diagonal)}</title>'
            "</polyline>"
        )


def _references(chart: Chart, across: Axis, upwards: Axis) -> Iterator[str]:
    """The horizontal lines and the vertical one, with their names; no name stands on another."""
    lowest = 0.0
    for level in sorted(chart.levels, key=lambda level: -level.y):
        if not upwards.can_show(level.y):
            continue
        y = _y(upwards, level.y)
        name = _escape(f"{_shortened(level.label)} {number(level.y)}".strip())
        lowest = max(float(y) - 4, lowest + 13)
        yield f'<line x1="0" x2="100%" y1="{y}" y2="{y}" {_FAINT} '
        yield f'stroke-dasharray="6 4"><title>{_escape(level.label)}</title></line>'
        yield f'<text x="100%" y="{_rounded(lowest)}" text-anchor="end" {_HALO}>{name}</text>'
    if chart.mark is not None:
        x, right = _percent(across, chart.mark), across.share(chart.mark) > 0.5
        yield f'<line x1="{x}" x2="{x}" y1="0" y2="{HEIGHT}" {_FAINT} '
        yield 'stroke-dasharray="2 3"/>'
        yield f'<text x="{x}" y="{HEIGHT - 8}" dx="{-5 if right else 5}" text-anchor="{"end" if right else "start"}" '
        yield f"{_HALO}>{_escape(_shortened(chart.mark_label))}</text>"


def _points(chart: Chart, curve: Curve, across: Axis, upwards: Axis) -> Iterator[str]:
    """Dots that tell their values under the pointer; on a curve of many points they are not seen."""
    places = [
        number
        for number, (x, y) in enumerate(zip(curve.x, curve.mean, strict=True))
        if across.can_show(x) and upwards.can_show(y)
    ]
    seen = len(places) <= _DOTS and not (curve.dashed and len(places) > 1)
    for place in places[:: math.ceil(len(places) / _HOVERS) or 1]:
        x, y = curve.x[place], curve.mean[place]
        title = _escape(f"{curve.label}: {number(y)} {chart.y_label}, {number(x)} {chart.x_label}")
        dot = f'r="3" {_fill(curve)}' if seen else 'r="7" fill="transparent"'
        yield f'<circle cx="{_percent(across, x)}" cy="{_y(upwards, y)}" {dot}><title>{title}</title></circle>'


def _x(axis: Axis, value: float) -> str:
    return _rounded(WIDTH * axis.share(value))


def _percent(axis: Axis, value: float) -> str:
    return f"{_rounded(100 * axis.share(value))}%"


def _y(axis: Axis, value: float) -> str:
    return _rounded(HEIGHT * (1 - axis.share(value)))


def _rounded(value: float) -> str:
    return f"{round(value, 2):g}"


def _stroke(curve: Curve) -> str:
    index = curve.color % len(COLORS)
    dashes = ' stroke-dasharray="5 4"' if curve.dashed else ""
    return f'class="curve-{index}" stroke="{COLORS[index]}" stroke-width="2" stroke-linejoin="round"{dashes}'


def _fill(curve: Curve) -> str:
    index = curve.color % len(COLORS)
    return f'class="band-{index}" fill="{COLORS[index]}"'


def _shortened(text: str) -> str:
    return text if len(text) <= _LONG else f"{text[: _LONG - 1]}…"


def _clean(text: str) -> str:
    return visible(text).translate(_NOT_XML)


def _escape(text: str) -> str:
    return html.escape(_clean(text))
