"""Nested boxes in lines of text: each line is an equal share of the whole, and crosses the boxes that it lies in.

A box is as many lines high as it has the middles of; one without any is not seen. Its label stands on the line of the
likeliest box in it, so that the likeliest way is read from left to right on one line.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal, NamedTuple

from charlstm.report.blocks import Boxes
from charlstm.report.scales import Scale, Shade
from charlstm.report.visible import sign_of, visible

Part = Literal["label", "top", "inside", "bottom"]


class Cell(NamedTuple):
    """Where a line crosses a box."""

    box: int
    """The number of the box."""
    part: Part
    """Whether it is the line of the label, or else the first, another, or the last line of the box."""
    first: bool
    """Whether it is the first line of the box, which may be that of the label, too."""
    shade: Shade
    ink: str
    """Of the corners on the shade, ``#rrggbb``: less conspicuous than the label; empty without a shade."""


class Drawing(NamedTuple):
    """Boxes in lines of text."""

    lines: tuple[tuple[Cell, ...], ...]
    """For each line the boxes that it crosses, from the outermost."""
    before: int
    """The line of what stands before the boxes."""


class _Rows(NamedTuple):
    """The lines of a box: from ``first`` on, up to and without ``end``."""

    first: int
    end: int


def lay_out(boxes: Boxes, lines: int) -> Drawing:
    """Draw boxes in so many lines.

    Args:
        boxes: what is drawn.
        lines: how many, at least one.

    Returns:
        The lines.
    """
    rows = _rows(boxes, lines)
    labels = _label_lines(boxes, rows)
    seen = [box for box, each in enumerate(rows) if each.first < each.end]
    crossed: list[list[Cell]] = [[] for _ in range(lines)]
    for box in seen:  # a box stands after the one around it
        shade, ink = boxes.scale.shade_of(boxes.shares[box]), _ink(boxes.scale, boxes.shares[box])
        for line in range(*rows[box]):
            part = _part(line, labels[box], rows[box])
            crossed[line].append(Cell(box, part, line == rows[box].first, shade, ink))
    outermost = [box for box in seen if boxes.parents[box] < 0]
    likeliest = max(outermost, key=lambda box: boxes.shares[box], default=None)
    return Drawing(tuple(map(tuple, crossed)), lines // 2 if likeliest is None else labels[likeliest])


def label_of(text: str) -> str:
    """A label as it is shown: a blank is a dot, which is easier to read among letters than ``␣``."""
    return "".join("·" if character == " " else visible(sign_of(character)) for character in text)


def path_of(boxes: Boxes, box: int) -> str:
    """Return the labels of the boxes around a box, from the outermost, and its own.

    Args:
        boxes: all of them.
        box: the number of one.
    """
    labels: list[str] = []
    while box >= 0:
        labels.append(boxes.labels[box])
        box = boxes.parents[box]
    return "".join(reversed(labels))


def widths(boxes: Boxes, drawing: Drawing, width: Callable[[str], int] = len) -> list[int]:
    """The columns that the labels of each depth need, at least one.

    Args:
        boxes: what is drawn.
        drawing: what `lay_out` returned.
        width: the columns of a text.
    """
    needed = [1] * max(map(len, drawing.lines), default=0)
    for cells in drawing.lines:
        for depth, cell in enumerate(cells):
            if cell.part == "label":
                needed[depth] = max(needed[depth], width(label_of(boxes.labels[cell.box])))
    return needed


def end_of(text: str, room: int, width: Callable[[str], int] = len) -> str:
    """The end of what stands before the boxes, in one line.

    Args:
        text: all of it.
        room: columns that it may have.
        width: the columns of a text.

    Returns:
        As much of it as there is room for, after an ellipsis if that is not all.
    """
    shown = visible(text.replace("\n", "⏎").replace("\t", " "))
    if width(shown) <= room:
        return shown
    while width(shown) > max(0, room - 1):
        shown = shown[1:]
    return f"…{shown}" if room > 0 else ""


def _rows(boxes: Boxes, lines: int) -> list[_Rows]:
    """The lines of each box. The boxes in a box stand in its middle, and above and below them what is in none."""
    inner = [0.0] * (1 + len(boxes.shares))  # of each box the shares of the boxes in it; the last is the whole
    for parent, share in zip(boxes.parents, boxes.shares, strict=True):
        inner[parent] += share
    begins: list[float] = []
    free = [(around - inside) / 2 for around, inside in zip((*boxes.shares, 1.0), inner, strict=True)]
    used = [0.0] * len(inner)
    rows: list[_Rows] = []
    for parent, share in zip(boxes.parents, boxes.shares, strict=True):
        begin = (0.0 if parent < 0 else begins[parent]) + free[parent] + used[parent]
        used[parent] += share
        begins.append(begin)
        around = _Rows(0, lines) if parent < 0 else rows[parent]
        first, end = (math.ceil(lines * edge - 0.5) for edge in (begin, begin + share))
        rows.append(_Rows(max(first, around.first), min(end, around.end)))
    return rows


def _label_lines(boxes: Boxes, rows: list[_Rows]) -> list[int]:
    """The line on which each box has its label: that of the likeliest box in it, or the middle one."""
    labels = [(each.first + each.end - 1) // 2 for each in rows]
    likeliest: dict[int, float] = {}
    for box in reversed(range(len(rows))):  # a box stands after the one around it
        parent, share = boxes.parents[box], boxes.shares[box]
        if rows[box].first < rows[box].end and parent >= 0 and share >= likeliest.get(parent, 0.0):
            likeliest[parent] = share
            labels[parent] = labels[box]
    return labels


def _ink(scale: Scale, share: float) -> str:
    """A shade that stands out a little from that of a share."""
    step, count = scale.step_of(share), len(scale.shades)
    return scale.shades[step + 2 if step + 2 < count else step - 2].background if scale.shades[step].background else ""


def _part(line: int, label: int, rows: _Rows) -> Part:
    if line == label:
        return "label"
    return "top" if line == rows.first else "bottom" if line == rows.end - 1 else "inside"
