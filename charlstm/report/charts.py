"""Charts as plain values: curves over their axes, and bars."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

COLORS = ("#d55e00", "#0f7fc0", "#00926b", "#c26b98", "#a07800")
"""The palette of curves, after Okabe and Ito: it is told apart by colour-blind readers, too, and has a contrast of at
least 3 to 1 on white and on black. A sixth curve has the colour of the first."""


@dataclass(frozen=True)
class Curve:
    """One line of a chart: the mean over seeds, and their range."""

    label: str
    x: tuple[float, ...]
    mean: tuple[float, ...]
    low: tuple[float, ...]
    """The lowest seed at each x."""
    high: tuple[float, ...]
    """The highest seed at each x."""
    color: int
    """Index into the palette, modulo its length; a cell or a run has the same one in every chart."""
    dashed: bool = False

    @classmethod
    def from_seeds(
        cls, label: str, x: Sequence[float], seeds: Sequence[Sequence[float]], color: int, *, dashed: bool = False
    ) -> Curve:
        """A curve from the values of each seed.

        Args:
            label: its name in the legend.
            x: the positions, (points,).
            seeds: the values of each seed at those positions, (seeds, points).
            color: index into the palette.
            dashed: whether the line is dashed.

        Returns:
            The curve.
        """
        by_x = list(zip(*seeds, strict=True))
        mean = tuple(sum(values) / len(values) for values in by_x)
        return cls(label, tuple(x), mean, tuple(map(min, by_x)), tuple(map(max, by_x)), color, dashed)


@dataclass(frozen=True)
class Level:
    """A horizontal reference line."""

    y: float
    label: str = ""


@dataclass(frozen=True)
class Chart:
    """Curves that share their axes."""

    title: str
    x_label: str
    y_label: str
    curves: tuple[Curve, ...]
    log_x: bool = False
    log_y: bool = False
    mark: float | None = None
    """The x of a vertical reference line."""
    mark_label: str = ""
    levels: tuple[Level, ...] = ()
    diagonal: str = ""
    """If not empty, the line y = x is drawn under this name."""


@dataclass(frozen=True)
class Bars:
    """Named shares, each a bar from 0 to 1."""

    title: str
    x_label: str
    labels: tuple[str, ...]
    values: tuple[float, ...]
    """In [0, 1]."""
    notes: tuple[str, ...]
    """What stands at the end of each bar."""
