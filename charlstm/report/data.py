"""What an experiment tells: how far it is, and at its end a table, curves and sentences. Plain values."""

from __future__ import annotations

import csv
import io
from dataclasses import asdict, dataclass, field
from typing import Any, TypeAlias


@dataclass(frozen=True)
class Progress:
    """Where an experiment stands."""

    share: float
    """Share of the work done, in [0, 1]."""
    text: str


@dataclass(frozen=True)
class Curve:
    """One line of a chart, with the spread of its seeds."""

    label: str
    x: tuple[float, ...]
    mean: tuple[float, ...]
    low: tuple[float, ...]
    """The lowest seed at each x."""
    high: tuple[float, ...]
    color: int
    """Curves of one cell have one number, in every chart."""
    dashed: bool = False


@dataclass(frozen=True)
class Chart:
    """Curves over a common x."""

    title: str
    x_label: str
    y_label: str
    curves: tuple[Curve, ...]
    log_x: bool = False
    log_y: bool = False
    mark: float | None = None
    """An x worth a vertical line: where training ended."""
    mark_label: str = ""
    level: float | None = None
    """A y worth a horizontal line."""
    level_label: str = ""
    diagonal: str = ""
    """If not empty, y = x is drawn and called so."""


@dataclass(frozen=True)
class Report:
    """The whole of an experiment's result."""

    name: str
    title: str
    question: str
    """What was asked and how it was measured, in a few sentences."""
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    charts: tuple[Chart, ...]
    findings: tuple[str, ...]
    """Plain sentences, none saying more than was measured."""
    settings: dict[str, Any] = field(default_factory=dict)
    partial: bool = False
    """Whether it was stopped before its time."""

    def to_json(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)

    def to_csv(self) -> str:
        """The table, for a spreadsheet."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(self.columns)
        writer.writerows(self.rows)
        return text.getvalue()


Event: TypeAlias = Progress | Report
"""An experiment yields `Progress` and last a `Report`."""


def curve(label: str, x: list[float], seeds: list[list[float]], color: int, *, dashed: bool = False) -> Curve:
    """A curve from the values of each seed.

    Args:
        label: what the legend calls it.
        x: where it was measured.
        seeds: for each seed, the value at each x.
        color: the cell's number.
        dashed: draw it dashed.
    """
    by_x = list(zip(*seeds, strict=True))
    mean = tuple(sum(values) / len(values) for values in by_x)
    low, high = tuple(map(min, by_x)), tuple(map(max, by_x))
    return Curve(label, tuple(x), mean, low, high, color, dashed)
