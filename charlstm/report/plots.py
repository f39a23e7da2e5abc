"""Charts drawn by matplotlib: an optional package, imported only when a picture is drawn."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from charlstm.errors import UsageError
from charlstm.report.axes import FLOOR, LARGEST, number
from charlstm.report.axes import axes as axes_of
from charlstm.report.charts import COLORS, Chart, Curve
from charlstm.report.visible import visible

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.lines import Line2D

_MARKERS = ("o", "s", "^", "D", "v")
"""For each colour of the palette one."""
_LEVELS = ("--", "-.", (0, (1, 1)))
"""The strokes of reference lines, so that several are told apart."""
_MOST_TICKS = 6
_MAX_MARKERS = 24
"""A curve of more points is drawn without markers."""


def check() -> None:
    """Check that pictures can be drawn.

    Raises:
        UsageError: matplotlib is not installed.
    """
    if find_spec("matplotlib") is None:
        raise UsageError("the picture needs matplotlib, which is not installed", hint="pip install matplotlib")


def draw_charts(axes: Sequence[Axes], charts: Sequence[Chart]) -> None:
    """Draw charts side by side, with a legend wherever the curves are others than before.

    Args:
        axes: one for each chart.
        charts: what is drawn.
    """
    explained: list[list[str]] = []
    for place, chart in zip(axes, charts, strict=True):
        lines = _draw(place, chart)
        labels = [label for label, _ in lines]
        if labels not in explained:  # one legend is enough for charts of the same curves
            _legend(place, lines)
            explained.append(labels)


def _draw(axes: Axes, chart: Chart) -> list[tuple[str, Artist]]:
    """Draw a chart and return its lines with their labels."""
    axes.set_title(chart.title, fontsize=11)
    axes.set_xlabel(chart.x_label)
    axes.set_ylabel(chart.y_label)
    if chart.log_x:
        _log_x(axes, chart)
    if chart.log_y:
        _log_y(axes, chart)
    lines: list[tuple[str, Artist]] = [(visible(curve.label), _draw_curve(axes, curve)) for curve in chart.curves]
    reference: dict[str, Any] = {"color": "0.45", "linewidth": 1}
    if chart.mark is not None:
        lines.append((chart.mark_label, axes.axvline(chart.mark, linestyle=":", **reference)))
    for level, style in zip(chart.levels, itertools.cycle(_LEVELS)):
        lines.append((visible(level.label), axes.axhline(level.y, linestyle=style, **reference)))
    if chart.diagonal:
        lines.append((chart.diagonal, axes.axline((0, 0), slope=1, linestyle="--", **reference)))
    if chart.log_y:
        axes.set_ylim(bottom=max(axes.get_ylim()[0], FLOOR))
    axes.grid(color="0.9")
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    return lines


def _legend(axes: Axes, lines: list[tuple[str, Artist]]) -> None:
    legend = axes.legend([line for _, line in lines], [""] * len(lines), frameon=False, fontsize=9)
    for text, (label, _) in zip(legend.get_texts(), lines, strict=True):
        text.set_parse_math(False)  # type: ignore[attr-defined, unused-ignore]
        text.set_text(label)  # not through legend(): it leaves out labels that begin with an underscore


def _draw_curve(axes: Axes, curve: Curve) -> Line2D:
    """Draw the mean as a line and the range of the seeds as a band; return the line."""
    number, few = curve.color % len(COLORS), len(curve.x) <= _MAX_MARKERS
    (line,) = axes.plot(
        curve.x, _drawable(curve.mean), color=COLORS[number], linewidth=1.8, linestyle="--" if curve.dashed else "-",
        marker=_MARKERS[number] if few else "", markersize=4.5,
    )  # fmt: skip
    axes.fill_between(
        curve.x, _drawable(curve.low), _drawable(curve.high), color=COLORS[number], alpha=0.15, linewidth=0
    )
    return line


def _drawable(values: Sequence[float]) -> list[float]:
    """Values without those that matplotlib's arithmetic has no room for, such as the loss of a run that diverged."""
    return [value if abs(value) <= LARGEST else math.nan for value in values]


def _log_x(axes: Axes, chart: Chart) -> None:
    """A logarithmic axis with plain numbers: 1, 2, 4, … where those were measured, else as in a page."""
    from matplotlib.ticker import FixedLocator, LogLocator

    powers = all(x > 0 and math.log2(x).is_integer() for curve in chart.curves for x in curve.x)
    axes.set_xscale("log", base=2 if powers else 10)
    ticks = axes_of(chart)[0].ticks(_MOST_TICKS)
    axes.xaxis.set_major_locator(LogLocator(base=2) if powers else FixedLocator(ticks))
    axes.xaxis.set_major_formatter(lambda x, _: number(x))
    axes.xaxis.set_minor_formatter(lambda x, _: "")


def _log_y(axes: Axes, chart: Chart) -> None:
    """A logarithmic axis with the numbers of a page, upwards."""
    from matplotlib.ticker import FixedLocator

    axes.set_yscale("log", nonpositive="clip")
    axes.yaxis.set_major_locator(FixedLocator(axes_of(chart)[1].ticks(_MOST_TICKS)))
    axes.yaxis.set_major_formatter(lambda y, _: number(y))
    axes.yaxis.set_minor_formatter(lambda y, _: "")
