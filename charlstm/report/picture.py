"""A page of blocks as one PNG, from top to bottom, drawn by matplotlib."""

from __future__ import annotations

import io
import textwrap
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Any

import numpy as np

from charlstm.report.blocks import Block, Boxes, Frames, HeatMap, Page, Points, Shaded, Strip, Table, Text
from charlstm.report.boxes import Cell, end_of, label_of, lay_out, widths
from charlstm.report.charts import Bars, Chart
from charlstm.report.plots import check, draw_charts
from charlstm.report.scales import Scale, Shade
from charlstm.report.visible import cell_of, sign_of, visible

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_COLUMNS = 100
"""Characters of a line of text."""
_CELL, _LINE = 0.0875, 0.175
"""Inches of a character's width and of a line's height."""
_MARGIN = 0.35
_WIDTH = _COLUMNS * _CELL + 2 * _MARGIN
_POINTS = 9.5
"""Size of the text: as wide as its cells."""
_CHART, _PLANE = 3.6, 5.0
"""Inches of the height of a chart, and of a plane of points."""
_BOX_LINES = 36
"""Lines of nested boxes."""
_CORNERS = {"top": "╭", "inside": " ", "bottom": "╰"}
_HIGHEST = 250.0
"""Inches of the height of a picture, at most: 30,000 pixels, which most programs can still show."""

_PALE = Shade("", "#999999", " ")
"""Of guesses that are unlikely."""

_Line = list[tuple[str, Shade | None, bool]]
"""Characters, each with its shade and whether it is marked."""


@dataclass(frozen=True)
class _Item:
    """Something that takes the whole width.

    Attributes:
        height: in inches.
        draw: called with the figure and the inches from its top.
    """

    height: float
    draw: Callable[[Figure, float], None]


def png(page: Page) -> bytes:
    """Draw a page as a picture; of frames the one that is seen at first.

    Raises:
        UsageError: matplotlib is not installed.
    """
    check()
    from matplotlib.figure import Figure

    items = [*_as_many_as_fit(_items(page))]
    figure = Figure(figsize=(_WIDTH, sum(item.height for item in items) + 2 * _MARGIN), dpi=120, facecolor="white")
    top = _MARGIN
    for item in items:
        item.draw(figure, top)
        top += item.height
    out = io.BytesIO()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")  # a text may have any character
        figure.savefig(out, format="png")
    return out.getvalue()


def _as_many_as_fit(items: Iterator[_Item]) -> Iterator[_Item]:
    """The items from the top that fit in a picture; if some do not, a last line says so."""
    height = 0.0
    for item in items:
        height += item.height
        if height > _HIGHEST:
            yield _words("The picture ends here: there is more than one has room for. The HTML page has all of it.")
            return
        yield item


def _items(page: Page) -> Iterator[_Item]:
    yield _words(page.title, size=14, bold=True)
    yield from _paragraph(page.about)
    for section in page.sections:
        if section.heading:
            yield _gap()
            yield _words(section.heading, size=12, bold=True)
        yield from _of_blocks(section.blocks)
    if page.foot:
        yield _gap()
        yield from _paragraph(page.foot)


def _of_blocks(blocks: tuple[Block, ...]) -> Iterator[_Item]:
    for is_chart, group in groupby(blocks, lambda block: isinstance(block, Chart)):
        if is_chart:
            charts: list[Any] = [*group]
            for begin in range(0, len(charts), 2):
                yield _charts(charts[begin : begin + 2])
            continue
        for block in group:
            yield _gap()
            yield from _ITEMS[type(block)](block)


def _gap() -> _Item:
    return _Item(_LINE * 0.6, lambda figure, top: None)


def _words(text: str, *, size: float = _POINTS, bold: bool = False) -> _Item:
    def draw(figure: Figure, top: float) -> None:
        _write(figure, _MARGIN, top, visible(text), size=size, bold=bold)

    return _Item(_LINE * size / _POINTS * 1.15, draw)


def _write(
    figure: Figure, left: float, top: float, text: str, *, size: float = _POINTS, bold: bool = False,
    mono: bool = False, color: str = "black",
) -> None:  # fmt: skip
    """Write a line of text, its corner so many inches from the figure's left and top."""
    width, height = figure.get_size_inches()
    figure.text(
        left / width, 1 - top / height, text, fontsize=size, fontweight="bold" if bold else "normal", va="top",
        family="monospace" if mono else "sans-serif", color=color, parse_math=False,
    )  # fmt: skip


def _paragraph(text: str) -> Iterator[_Item]:
    for line in visible(text).split("\n"):
        for part in textwrap.wrap(line, int(_COLUMNS * 1.15)) or [""]:
            yield _words(part)


def _text(block: Text) -> Iterator[_Item]:
    if not block.is_code:
        yield from _paragraph(block.text)
        return
    for line in visible(block.text).split("\n"):
        for begin in range(0, max(1, len(line)), _COLUMNS):
            yield _row([(character, None, False) for character in line[begin : begin + _COLUMNS]])


def _table(block: Table) -> Iterator[_Item]:
    rows = [[visible(cell).replace("\n", "⏎") for cell in row] for row in (block.columns, *block.rows)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = [
            cell.rjust(width) if number else cell.ljust(width)
            for number, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        yield _row([(character, None, False) for character in "  ".join(cells)])
    yield from _paragraph(block.caption) if block.caption else ()


def _charts(charts: list[Chart]) -> _Item:
    def draw(figure: Figure, top: float) -> None:
        share = 1 / len(charts)
        axes = [_axes(figure, top, _CHART, left=number * share, share=share) for number in range(len(charts))]
        draw_charts(axes, charts)

    return _Item(_CHART, draw)


def _axes(figure: Figure, top: float, height: float, *, left: float, share: float) -> Axes:
    """Axes with room for their labels, in a share of the width."""
    width, whole = figure.get_size_inches()
    inner = (width - 2 * _MARGIN) * share
    box = (_MARGIN + (width - 2 * _MARGIN) * left + 0.6, whole - top - height + 0.55, inner - 0.75, height - 0.9)
    return figure.add_axes((box[0] / width, box[1] / whole, box[2] / width, box[3] / whole))


def _bars(block: Bars) -> Iterator[_Item]:
    yield _words(block.title, bold=True)
    for label, value, note in zip(block.labels, block.values, block.notes, strict=True):
        yield _bar(visible(label), value, visible(note))
    yield from _paragraph(block.x_label)


def _bar(label: str, value: float, note: str) -> _Item:
    """A bar beside its label, half the width at most, with a note at its end."""
    lines = textwrap.wrap(label, 44) or [""]

    def draw(figure: Figure, top: float) -> None:
        from matplotlib.patches import Rectangle

        width, height = figure.get_size_inches()
        for number, line in enumerate(lines):
            _write(figure, _MARGIN, top + number * _LINE, line)
        left, long = 0.45 * _WIDTH, value * 0.35 * _WIDTH
        box = left / width, 1 - (top + 0.8 * _LINE) / height
        figure.add_artist(Rectangle(box, long / width, 0.7 * _LINE / height, color="#1f5fa8", linewidth=0))
        _write(figure, left + long + 0.06, top, note)

    return _Item(_LINE * len(lines) * 1.1, draw)


def _heat_map(block: HeatMap) -> Iterator[_Item]:
    yield _words(block.title, bold=True)
    names = [visible(name) + " " for name in block.rows]
    left = max(map(len, names), default=0)
    room = _COLUMNS - left
    for begin in range(0, len(block.columns), room):
        part = slice(begin, begin + room)
        yield _map(block, names, left, part)
        letters = " " * left + "".join(map(cell_of, block.columns[part]))
        yield _row([(character, None, False) for character in letters])
    yield _legend(block.scale)
    yield from _paragraph(block.caption) if block.caption else ()


def _map(block: HeatMap, names: list[str], left: int, part: slice) -> _Item:
    values = block.values[:, part]
    rows, columns = values.shape
    height = rows * _LINE if names else min(3.2, rows * 0.04)
    colors = np.array([_rgb(shade) for shade in block.scale.shades])[np.digitize(values, block.scale.limits)]

    def draw(figure: Figure, top: float) -> None:
        width, whole = figure.get_size_inches()
        box = (_MARGIN + left * _CELL) / width, 1 - (top + height) / whole, columns * _CELL / width, height / whole
        axes = figure.add_axes(box)
        axes.imshow(colors, aspect="auto", interpolation="nearest")
        axes.set_axis_off()
        for row, name in enumerate(names):
            _write(figure, _MARGIN, top + row * _LINE, name.rjust(left), mono=True)

    return _Item(height, draw)


def _rgb(shade: Shade) -> tuple[int, ...]:
    return tuple(bytes.fromhex((shade.background or "#ffffff")[1:]))


def _shaded(block: Shaded) -> Iterator[_Item]:
    yield _words(block.title, bold=True)
    line: _Line = []
    for number, (piece, value) in enumerate(block.pieces):
        shade = None if value != value else block.scale.shade_of(value)
        for character in visible(piece):
            if character != "\n":
                line.append((character, shade, number in block.marks))
            if character == "\n" or len(line) == _COLUMNS:
                yield _row(line)
                line = []
    if line:
        yield _row(line)
    yield _legend(block.scale)
    yield from _paragraph(block.caption) if block.caption else ()


def _strip(block: Strip) -> Iterator[_Item]:
    yield _words(block.title, bold=True)
    for begin in range(0, len(block.characters), _COLUMNS):
        part = slice(begin, begin + _COLUMNS)
        shown = zip(block.characters[part], block.values[part], strict=True)
        yield _row([(cell_of(character), block.scale.shade_of(value), False) for character, value in shown])
        for rank in range(len(block.guesses[0]) if block.guesses else 0):
            guesses = [row[rank] for row in block.guesses[part]]
            yield _row([(cell_of(guess), _PALE if share < 0.1 else None, False) for guess, share in guesses])
        yield _gap()
    yield _legend(block.scale)
    yield from _paragraph(block.caption) if block.caption else ()


def _points(block: Points) -> Iterator[_Item]:
    yield _words(block.title, bold=True)
    xs, ys = block.x, block.y

    def draw(figure: Figure, top: float) -> None:
        axes = _axes(figure, top, _PLANE, left=0, share=1)
        axes.set_axis_off()
        axes.set_xlim(min(xs), max(xs) or 1)
        axes.set_ylim(min(ys), max(ys) or 1)
        for a, b in block.pairs:
            axes.plot([xs[a], xs[b]], [ys[a], ys[b]], color="0.85", linewidth=0.8, zorder=1)
        for label, x, y in zip(block.labels, xs, ys, strict=True):
            axes.text(x, y, visible(label), ha="center", va="center", family="monospace", parse_math=False)

    yield _Item(_PLANE, draw)
    yield from _paragraph(block.caption) if block.caption else ()


def _boxes(block: Boxes) -> Iterator[_Item]:
    yield _words(block.title, bold=True)
    drawing = lay_out(block, _BOX_LINES)
    across = widths(block, drawing)
    before = end_of(block.before, max(0, _COLUMNS - sum(across)))
    for number, cells in enumerate(drawing.lines):
        beside = before if number == drawing.before else " " * len(before)
        line: _Line = [(character, None, False) for character in beside]
        for cell, width in zip(cells, across, strict=False):
            text = _CORNERS.get(cell.part, label_of(block.labels[cell.box])).ljust(width)
            line += [(character, _box_shade(cell), False) for character in text]
        yield _row(line[:_COLUMNS])
    yield _gap()
    yield _legend(block.scale)
    yield from _paragraph(block.caption) if block.caption else ()


def _box_shade(cell: Cell) -> Shade:
    return cell.shade if cell.part == "label" else Shade(cell.shade.background, cell.ink, "")


def _frames(block: Frames) -> Iterator[_Item]:
    yield _words(f"{block.title}: {sign_of(block.labels[block.first])}", bold=True)
    yield from _of_blocks(block.frames[block.first])


def _row(line: _Line) -> _Item:
    """A line of characters in cells of one width, each run on its shade."""

    def draw(figure: Figure, top: float) -> None:
        from matplotlib.patches import Rectangle

        width, height = figure.get_size_inches()
        place = 0
        for (shade, marked), group in groupby(line, lambda cell: cell[1:]):
            text = "".join(character for character, _, _ in group)
            left = _MARGIN + place * _CELL
            box = (left / width, 1 - (top + _LINE) / height), len(text) * _CELL / width, _LINE / height
            if shade is not None and shade.background:
                figure.add_artist(Rectangle(*box, color=shade.background, linewidth=0))
            if marked:
                figure.add_artist(Rectangle(box[0], box[1], 0.02 / height, color="#d6604d", linewidth=0))
            color = shade.color if shade is not None and shade.color else "black"
            for number, character in enumerate(text):
                if character != " ":
                    _write(figure, left + number * _CELL, top + 0.015, character, mono=True, color=color)
            place += len(text)

    return _Item(_LINE, draw)


def _legend(scale: Scale) -> _Item:
    line: _Line = [(character, None, False) for character in f"{scale.unit}: "]
    for shade, label in zip(scale.shades, scale.labels, strict=True):
        line += [(character, shade, False) for character in f" {label} "]
    return _row(line)


_ITEMS: dict[type[Any], Callable[[Any], Iterator[_Item]]] = {
    Text: _text,
    Table: _table,
    Bars: _bars,
    HeatMap: _heat_map,
    Shaded: _shaded,
    Strip: _strip,
    Points: _points,
    Boxes: _boxes,
    Frames: _frames,
}
