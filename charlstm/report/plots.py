"""A report's charts as one PNG, drawn by matplotlib: an optional package, imported only when a picture is drawn."""

from __future__ import annotations

import io
import math
import textwrap
import warnings
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from charlstm.errors import UsageError
from charlstm.report.data import Bars, Chart, Curve, Report
from charlstm.report.visible import visible

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.lines import Line2D

_COLORS = ("#c0504d", "#1f5fa8", "#2e8b57", "#8a5fb0")
"""The palette; its colours also differ in lightness."""
_MARKERS = ("o", "s", "^", "D")
_MAX_MARKERS = 24
"""A curve of more points is drawn without markers."""
_HEIGHT, _HEIGHT_OF_BAR = 5.0, 0.36
"""Inches, of a picture at least, and of one more bar."""
_LABEL_WIDTH = 46
"""Characters of a line of a bar's label."""
_FLOOR = 1e-8
"""The least value shown on a logarithmic axis: about the relative precision of fp32."""


def check() -> None:
    """Check that pictures can be drawn.

    Raises:
        UsageError: matplotlib is not installed.
    """
    if find_spec("matplotlib") is None:
        raise UsageError("the picture needs matplotlib, which is not installed", hint="pip install matplotlib")


def png(report: Report) -> bytes:
    """The charts of a report side by side, as a PNG.

    Raises:
        UsageError: matplotlib is not installed.
    """
    check()
    from matplotlib.figure import Figure

    count = len(report.charts)
    bars = max((len(chart.labels) for chart in report.charts if isinstance(chart, Bars)), default=0)
    size = max(7.5, 5.2 * count), max(_HEIGHT, 1.4 + _HEIGHT_OF_BAR * bars)
    figure = Figure(figsize=size, dpi=130, layout="constrained")
    title = visible(report.title) + (" (stopped early)" if report.partial else "")
    figure.suptitle(title, fontsize=13, fontweight="bold", wrap=True, parse_math=False)  # a $ begins no formula
    explained: list[list[str]] = []
    for axes, chart in zip(figure.subplots(1, count, squeeze=False)[0], report.charts, strict=True):
        if isinstance(chart, Bars):
            _draw_bars(axes, chart)
            continue
        lines = _draw(axes, chart)
        labels = [label for label, _ in lines]
        if labels not in explained:  # one legend is enough for charts of the same curves
            _legend(axes, lines)
            explained.append(labels)
    out = io.BytesIO()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")  # a name may have any character
        figure.savefig(out, format="png")
    return out.getvalue()


def _draw(axes: Axes, chart: Chart) -> list[tuple[str, Artist]]:
    """Draw a chart and return its lines with their labels."""
    axes.set_title(chart.title, fontsize=11)
    axes.set_xlabel(chart.x_label)
    axes.set_ylabel(chart.y_label)
    if chart.log_x:
        _log_x(axes, chart)
    if chart.log_y:
        axes.set_yscale("log", nonpositive="clip")
    lines: list[tuple[str, Artist]] = [(visible(curve.label), _draw_curve(axes, curve)) for curve in chart.curves]
    reference: dict[str, Any] = {"color": "0.45", "linewidth": 1}
    if chart.mark is not None:
        lines.append((chart.mark_label, axes.axvline(chart.mark, linestyle=":", **reference)))
    if chart.level is not None:
        lines.append((chart.level_label, axes.axhline(chart.level, linestyle="--", **reference)))
    if chart.diagonal:
        lines.append((chart.diagonal, axes.axline((0, 0), slope=1, linestyle="--", **reference)))
    if chart.log_y:
        axes.set_ylim(bottom=max(axes.get_ylim()[0], _FLOOR))
    axes.grid(color="0.9")
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    return lines


def _draw_bars(axes: Axes, chart: Bars) -> None:
    """Draw named shares, the first at the top, with each one's note at its end."""
    places = range(len(chart.labels))
    axes.set_title(chart.title, fontsize=11)
    axes.set_xlabel(chart.x_label)
    axes.barh(places, chart.values, height=0.55, color=_COLORS[1])
    axes.axvline(0.5, linestyle=":", color="0.45", linewidth=1)
    labels = ["\n".join(textwrap.wrap(visible(label), _LABEL_WIDTH)) for label in chart.labels]
    for text in axes.set_yticks(places, labels, fontsize=8):
        text.label1.set_parse_math(False)
    for place, value, note in zip(places, chart.values, chart.notes, strict=True):
        axes.annotate(visible(note), (value, place), (4, 0), textcoords="offset points", va="center", fontsize=8)
    axes.set_xlim(0, 1.28)  # room for the notes
    axes.set_xticks([0, 0.5, 1], ["0 %", "50 %", "100 %"])
    axes.invert_yaxis()
    axes.spines[["top", "right"]].set_visible(False)


def _legend(axes: Axes, lines: list[tuple[str, Artist]]) -> None:
    legend = axes.legend([line for _, line in lines], [""] * len(lines), frameon=False, fontsize=9)
    for text, (label, _) in zip(legend.get_texts(), lines, strict=True):
        text.set_parse_math(False)  # type: ignore[attr-defined, unused-ignore]
        text.set_text(label)  # not through legend(): it leaves out labels that begin with an underscore


def _draw_curve(axes: Axes, curve: Curve) -> Line2D:
    """Draw the mean as a line and the range of the seeds as a band; return the line."""
    color, few = _COLORS[curve.color], len(curve.x) <= _MAX_MARKERS
    (line,) = axes.plot(
        curve.x, curve.mean, color=color, linewidth=1.8, linestyle="--" if curve.dashed else "-",
        marker=_MARKERS[curve.color] if few else "", markersize=4.5,
    )  # fmt: skip
    axes.fill_between(curve.x, curve.low, curve.high, color=color, alpha=0.15, linewidth=0)
    return line


def _log_x(axes: Axes, chart: Chart) -> None:
    """A logarithmic axis with plain numbers: 1, 2, 4, … where those were measured, else 10k, 20k, 50k, …."""
    from matplotlib.ticker import LogLocator

    powers = all(math.log2(x).is_integer() for curve in chart.curves for x in curve.x)
    axes.set_xscale("log", base=2 if powers else 10)
    axes.xaxis.set_major_locator(LogLocator(base=2) if powers else LogLocator(subs=(1.0, 2.0, 5.0)))
    axes.xaxis.set_major_formatter(lambda x, _: f"{x / 1000:g}k" if x >= 10_000 else f"{x:g}")
    axes.xaxis.set_minor_formatter(lambda x, _: "")
