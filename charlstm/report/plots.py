"""A report's charts as one PNG by matplotlib: an optional extra, imported only here, when something is drawn."""

from __future__ import annotations

import io
import math
from importlib.util import find_spec
from typing import TYPE_CHECKING

from charlstm.errors import UsageError
from charlstm.report.data import Chart, Curve, Report

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_COLORS = ("#c0504d", "#1f5fa8", "#2e8b57", "#8a5fb0")
"""By a cell's number: rnn, lstm, gru, peephole. They differ in lightness, too."""
_MARKERS = ("o", "s", "^", "D")
_FLOOR = 1e-8
"""Below it a logarithmic axis shows nothing: single precision ends there."""


def check() -> None:
    """Say so when nothing can be drawn here.

    Raises:
        UsageError: matplotlib is not installed.
    """
    if find_spec("matplotlib") is None:
        raise UsageError("the picture needs matplotlib, which is not installed", hint="pip install matplotlib")


def png(report: Report) -> bytes:
    """The charts of a report side by side.

    Raises:
        UsageError: matplotlib is not installed.
    """
    check()
    from matplotlib.figure import Figure

    count = len(report.charts)
    figure = Figure(figsize=(max(7.5, 5.2 * count), 5.0), dpi=130, layout="constrained")
    figure.suptitle(report.title + (" (stopped early)" if report.partial else ""), fontsize=13, fontweight="bold")
    for axes, chart in zip(figure.subplots(1, count, squeeze=False)[0], report.charts, strict=True):
        _draw(axes, chart)
    out = io.BytesIO()
    figure.savefig(out, format="png")
    return out.getvalue()


def _draw(axes: Axes, chart: Chart) -> None:
    axes.set_title(chart.title, fontsize=11)
    axes.set_xlabel(chart.x_label)
    axes.set_ylabel(chart.y_label)
    if chart.log_x:
        _log_x(axes, chart)
    if chart.log_y:
        axes.set_yscale("log", nonpositive="clip")
    for each in chart.curves:
        _curve(axes, each)
    if chart.mark is not None:
        axes.axvline(chart.mark, color="0.45", linewidth=1, linestyle=":", label=chart.mark_label)
    if chart.level is not None:
        axes.axhline(chart.level, color="0.45", linewidth=1, linestyle="--", label=chart.level_label)
    if chart.diagonal:
        axes.axline((0, 0), slope=1, color="0.45", linewidth=1, linestyle="--", label=chart.diagonal)
    if chart.log_y:
        axes.set_ylim(bottom=max(axes.get_ylim()[0], _FLOOR))
    axes.grid(color="0.9")
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    if axes.get_legend_handles_labels()[0]:
        axes.legend(frameon=False, fontsize=9)


def _curve(axes: Axes, each: Curve) -> None:
    """The mean as a line, the seeds' spread as a band."""
    color, few = _COLORS[each.color], len(each.x) <= 24
    axes.plot(
        each.x, each.mean, color=color, linewidth=1.8, linestyle="--" if each.dashed else "-", label=each.label,
        marker=_MARKERS[each.color] if few else "", markersize=4.5,
    )  # fmt: skip
    axes.fill_between(each.x, each.low, each.high, color=color, alpha=0.15, linewidth=0)


def _log_x(axes: Axes, chart: Chart) -> None:
    """A logarithmic axis with plain numbers: 1, 2, 4, … where those were measured, else 10k, 20k, 50k, …."""
    from matplotlib.ticker import LogLocator

    powers = all(math.log2(x).is_integer() for each in chart.curves for x in each.x)
    axes.set_xscale("log", base=2 if powers else 10)
    axes.xaxis.set_major_locator(LogLocator(base=2) if powers else LogLocator(subs=(1.0, 2.0, 5.0)))
    axes.xaxis.set_major_formatter(lambda x, _: f"{x / 1000:g}k" if x >= 10_000 else f"{x:g}")
    axes.xaxis.set_minor_formatter(lambda x, _: "")
