"""A chart in a terminal: curves of braille dots, two across and four up in each character, or of ASCII signs.

Baselines are dashed rows. At the right end stand the last value of each curve and the value of each baseline, with its
name, or with a letter that is explained below where there is no room for names.
"""

from __future__ import annotations

import itertools
import math
import string
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from charlstm.cli.views.folding import cells_of
from charlstm.report.axes import Axis, axes, number
from charlstm.report.blocks import Table
from charlstm.report.charts import Chart, Curve
from charlstm.report.visible import visible

_BLANK = 0x2800
"""The braille character without dots."""
_BITS = ((0x01, 0x02, 0x04, 0x40), (0x08, 0x10, 0x20, 0x80))
"""The bit of each dot of a braille character, by column and by row from the top."""
_DASH = 3
"""Dots of a dash, and of the gap after it."""
_SIGNS = "*o+x#"
"""ASCII has one sign for each curve of the palette."""
_NAMES_SHARE = 4
"""Names stand at the right end if they take at most this part of the width."""
_NARROWEST, _LOWEST = 10, 3
"""Columns and rows of the plot that always remain."""
_MOST_ROWS = 24
"""Doublings in a table of numbers, at most."""


@dataclass(frozen=True)
class _Line:
    """What stands at the right end."""

    name: str
    value: float
    sign: str
    """Of a curve in ASCII; empty for a baseline."""


def draw(chart: Chart, width: int, height: int, *, unicode: bool) -> list[str]:
    """Draw a chart in characters.

    Args:
        chart: what it shows; control characters in its texts are made visible.
        width: columns of the whole.
        height: rows of the plot, without title, axis and legend.
        unicode: whether the terminal has braille; else it is drawn in ASCII.

    Returns:
        The lines, none longer than ``width``; every character of a plot is one column wide.
    """
    across, upwards = axes(chart)
    height = max(height, _LOWEST)
    lines = _lines(chart)
    with_names = max((cells_of(line.name) for line in lines), default=0) <= width // _NAMES_SHARE
    labels = [_label(line, letter, with_names) for line, letter in zip(lines, _letters(), strict=False)]
    ticks = {_row(upwards, value, height): number(value) for value in upwards.ticks(max(2, height // 3))}
    left = max(map(len, ticks.values()), default=0)
    ends = _ends(lines, labels, upwards, height)
    right = max(map(cells_of, ends.values()), default=0)
    if width - left - right - 3 < _NARROWEST:
        ends, right = {}, 0
    columns = max(1, width - left - right - 3)
    plot = (_braille if unicode else _ascii)(chart, across, upwards, columns, height)
    bar = "│" if unicode else "|"
    out = [*_fitted(chart.title, width), *_fitted(chart.y_label, width)]
    out += [f"{ticks.get(row, '').rjust(left)} {bar}{plot[row]} {ends.get(row, '')}".rstrip() for row in range(height)]
    out += _bottom(chart, across, left, columns, width, unicode=unicode)
    out += _legend(lines, width, unicode=unicode, explains_letters=not with_names)
    return out if unicode else [_ascii_only(line) for line in out]


def numbers(chart: Chart) -> Table:
    """The values of a chart at each doubling of x, for a pipe or a terminal without shapes.

    Args:
        chart: what it shows.

    Returns:
        A row for the first x and each doubling up to the last, with the latest value of every curve there; the
        baselines below.
    """
    places = sorted({x for curve in chart.curves for x in curve.x if math.isfinite(x)})
    last = places[-1] if places else 0.0
    first = next((x for x in places if x > 0), last)
    count = min(_MOST_ROWS, math.ceil(math.log2(last) - math.log2(first)) + 1 if 0 < first < last else 1)
    rows = []
    for x in sorted({max(first, last / 2**power) for power in range(count)}) if places else ():
        rows.append((number(x), *(_latest(curve, x) for curve in chart.curves)))
    caption = ", ".join(f"{level.label} {number(level.y)}" for level in chart.levels)
    names = [curve.label if len(chart.curves) > 1 else chart.y_label for curve in chart.curves]
    return Table((chart.x_label, *names), tuple(rows), caption)


def _latest(curve: Curve, x: float) -> str:
    """The latest value; none once the curve has ended before the doubling."""
    points = [(place, y) for place, y in zip(curve.x, curve.mean, strict=True) if place <= x * (1 + 1e-9)]
    has_ended = not points or (points[-1][0] <= x / 2 and len(points) == len(curve.x))
    return "-" if has_ended or not math.isfinite(points[-1][1]) else number(points[-1][1])


def _legend(lines: Sequence[_Line], width: int, *, unicode: bool, explains_letters: bool) -> Iterator[str]:
    """What the letters at the right end stand for, and in ASCII the sign of each curve."""
    for line, letter in zip(lines, _letters(), strict=False):
        sign = "" if unicode else f"{line.sign or '-'} "
        if explains_letters:
            yield from _fitted(f"{sign}{letter}  {line.name} {number(line.value)}", width)
        elif not unicode and line.sign and line.name:
            yield from _fitted(f"{sign} {line.name}", width)


def _lines(chart: Chart) -> list[_Line]:
    """Curves by their last values, then baselines."""
    lines = []
    for place, curve in enumerate(chart.curves):
        finite = [y for y in curve.mean if math.isfinite(y)]
        if finite:
            name = curve.label if len(chart.curves) > 1 or chart.levels else ""
            lines.append(_Line(_line_of(name), finite[-1], _SIGNS[place % len(_SIGNS)]))
    return lines + [_Line(_line_of(level.label), level.y, "") for level in chart.levels if math.isfinite(level.y)]


def _letters() -> Iterator[str]:
    return itertools.cycle(string.ascii_lowercase)


def _label(line: _Line, letter: str, with_names: bool) -> str:
    return f"{number(line.value)} {line.name if with_names else letter}".rstrip()


def _ends(lines: Sequence[_Line], labels: Sequence[str], upwards: Axis, height: int) -> dict[int, str]:
    """The labels by row: each as near to its value as there is room; where there is none for all, the first ones."""
    ends: dict[int, str] = {}
    for line, label in zip(lines, labels, strict=True):
        if upwards.can_show(line.value) and len(ends) < height:
            wanted = _row(upwards, line.value, height)
            free = (row for row in range(height) if row not in ends)
            ends[min(free, key=lambda row: abs(row - wanted))] = label
    return ends


def _bottom(chart: Chart, across: Axis, left: int, columns: int, width: int, *, unicode: bool) -> list[str]:
    """The x axis, its numbers, and its name."""
    rule, corner, tick = ("─", "└", "┴") if unicode else ("-", "+", "+")
    axis, below = [rule] * columns, [" "] * (left + 2 + columns)
    end = 0
    for value in across.ticks(max(2, columns // 9)):
        place, text = min(columns - 1, int(across.share(value) * columns)), number(value)
        begin = min(max(left + 2 + place - len(text) // 2, 0), len(below) - len(text))
        if begin >= end:
            axis[place] = tick
            below[begin : begin + len(text)] = text
            end = begin + len(text) + 1
    name, shown = _fitted(chart.x_label, width), "".join(below).rstrip()
    if name and cells_of(shown) + 2 + cells_of(name[0]) <= width:
        name = [f"{shown}  {name[0]}"]
    else:
        name = [shown, *(" " * (left + 2 + columns - cells_of(line)) + line for line in name)]
    return [" " * (left + 1) + corner + "".join(axis), *name]


def _braille(chart: Chart, across: Axis, upwards: Axis, columns: int, height: int) -> list[str]:
    cells = [[0] * columns for _ in range(height)]

    def dot(x: int, y: int) -> None:
        cells[y // 4][x // 2] |= _BITS[x % 2][y % 4]

    for level in chart.levels:
        if upwards.can_show(level.y):
            for x in range(2 * columns):
                if x // _DASH % 2 == 0:
                    dot(x, _row(upwards, level.y, 4 * height))
    for curve in chart.curves:
        for x, y in _path(curve, across, upwards, 2 * columns, 4 * height):
            if not curve.dashed or x // 2 % 2 == 0:
                dot(x, y)
    return ["".join(chr(_BLANK + cell) if cell else " " for cell in row) for row in cells]


def _ascii(chart: Chart, across: Axis, upwards: Axis, columns: int, height: int) -> list[str]:
    cells = [[" "] * columns for _ in range(height)]
    for level in chart.levels:
        if upwards.can_show(level.y):
            cells[_row(upwards, level.y, height)] = ["-" if x % 2 == 0 else " " for x in range(columns)]
    for place, curve in reversed([*enumerate(chart.curves)]):
        for x, y in _path(curve, across, upwards, columns, height):
            cells[y][x] = _SIGNS[place % len(_SIGNS)]
    return ["".join(row) for row in cells]


def _path(curve: Curve, across: Axis, upwards: Axis, columns: int, rows: int) -> Iterator[tuple[int, int]]:
    """The dots of a curve: its points, and all between two that follow each other."""
    before: tuple[int, int] | None = None
    for x, y in zip(curve.x, curve.mean, strict=True):
        if not (across.can_show(x) and upwards.can_show(y)):
            before = None
            continue
        here = min(columns - 1, int(across.share(x) * columns)), _row(upwards, y, rows)
        yield from _between(before or here, here)
        before = here


def _between(begin: tuple[int, int], end: tuple[int, int]) -> Iterator[tuple[int, int]]:
    steps = max(abs(end[0] - begin[0]), abs(end[1] - begin[1]), 1)
    for step in range(steps + 1):
        yield (
            begin[0] + round((end[0] - begin[0]) * step / steps),
            begin[1] + round((end[1] - begin[1]) * step / steps),
        )


def _row(axis: Axis, value: float, rows: int) -> int:
    """The row of a value, 0 at the top."""
    return min(rows - 1, int((1 - axis.share(value)) * rows))


def _line_of(text: str) -> str:
    return visible(text).replace("\n", " ").replace("\t", " ")


def _fitted(text: str, width: int) -> list[str]:
    """A text as one line of at most so many columns; none if it is empty."""
    text = _line_of(text)
    if cells_of(text) > width:
        while text and cells_of(text) >= width:
            text = text[:-1]
        text += "…"
    return [text] if text else []


def _ascii_only(line: str) -> str:
    return line.replace("…", "~").encode("ascii", "replace").decode()
