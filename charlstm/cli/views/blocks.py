"""A page of blocks on a terminal, as wide as it is: in colour, or with signs where there is none."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Any

from charlstm.cli.views import braille
from charlstm.cli.views.folding import cells_of, fold_text
from charlstm.cli.views.terminal import can_redraw, fold, is_terminal, stdout_console, terminal_size, visible
from charlstm.report.blocks import Block, Boxes, Frames, HeatMap, Page, Points, Shaded, Strip, Table, Text
from charlstm.report.boxes import Cell, end_of, label_of, lay_out, widths
from charlstm.report.charts import Bars, Chart
from charlstm.report.raster import spread_rows
from charlstm.report.scales import Scale, Shade
from charlstm.report.visible import cell_of, sign_of

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text as RichText

_MOST_ROWS = 32
"""Rows of a heat map; of taller ones so many are shown. Two share a line where there is colour."""
_BOX_LINES = 36
"""Lines of nested boxes, at most."""
_CORNERS = {"top": "╭", "inside": " ", "bottom": "╰"}
_BRACES = {**_CORNERS, "inside": "│"}
_ASCII_BRACES = {"top": "/", "inside": "|", "bottom": "\\"}
_SHORT = 16
"""Columns of a label that leave room for a bar beside it."""
_CHART_HEIGHT = 12
_PLANE_LINES = 24


def show_page(page: Page) -> None:
    """Print a page to stdout."""
    from rich.text import Text as RichText

    console = stdout_console()
    console.print(RichText(visible(page.title), style="bold"))
    _print_paragraph(console, page.about)
    for section in page.sections:
        if section.heading:
            console.print()
            console.print(RichText(visible(section.heading), style="bold"))
        for block in section.blocks:
            show_block(console, block)


def show_block(console: Console, block: Block) -> None:
    """Print one block.

    Args:
        console: where it is printed.
        block: what is printed.
    """
    _SHOW[type(block)](console, block)


def has_colour(console: Console) -> bool:
    """Whether a console has colours; without, values are shown by signs."""
    return not console.no_color and console.color_system is not None


def _columns(console: Console) -> int:
    """The columns to write in; the last one stays free."""
    return max(10, console.width - 1)


# ---- text and tables --------------------------------------------------------------------------------------------


def _text(console: Console, block: Text) -> None:
    if block.is_code:
        width = 0 if block.is_command or not is_terminal(sys.stdout) else _columns(console) - 2
        for line in visible(block.text).split("\n"):
            for part in fold_text(line, width) if width else [line]:
                console.out("  " + part if part else "", highlight=False)
        return
    _print_paragraph(console, block.text)


def _print_paragraph(console: Console, text: str) -> None:
    for line in visible(text).split("\n"):
        for part in fold(line, _columns(console)) if is_terminal(sys.stdout) else [line]:
            console.out(part, highlight=False)


def _table(console: Console, block: Table) -> None:
    print_table(console, block)
    _caption(console, block.caption)


def print_table(console: Console, block: Table) -> None:
    """Print a table as the width allows: as it is, else turned by 90 degrees, else a block for each row.

    Args:
        console: where it is printed.
        block: the table; its caption is not printed.
    """
    columns, rows = block.columns, block.rows
    table = _rich_table([columns, *rows], block.text_columns)
    width = _natural_width(console, table)
    if not is_terminal(sys.stdout):
        console.width = max(console.width, width)  # a file or pipe has no edge
    if width > console.width and rows:
        table = _rich_table(list(zip(columns, *rows, strict=True)))
    if _natural_width(console, table) <= console.width or not rows:
        console.print(table)
        return
    for number, row in enumerate(rows):
        if number:
            console.print()
        console.print(_rich_text(row[0]), style="bold")
        console.print(_pairs(columns[1:], row[1:], left=any(block.text_columns[1:])))


def _natural_width(console: Console, table: Any) -> int:
    return console.measure(table, options=console.options.update(max_width=10_000)).maximum


def _rich_text(text: str) -> RichText:
    from rich.text import Text as RichText

    return RichText(visible(text))


def _rich_table(rows: list[tuple[str, ...]], is_text: tuple[bool, ...] = ()) -> Any:
    """A table whose first row and first column are headings; columns of figures are set flush right."""
    from rich.table import Table as RichTable

    heading, *body = (list(map(_rich_text, row)) for row in rows)
    table = RichTable(box=None, pad_edge=False)
    for number, value in enumerate(heading):
        left = not number or (number < len(is_text) and is_text[number])
        table.add_column(value, justify="left" if left else "right", style="" if number else "bold")
    for row in body:
        table.add_row(*row)
    return table


def _pairs(names: Sequence[str], values: Sequence[str], *, left: bool) -> Any:
    """One row of a table as a table of two columns; ``left`` sets its values flush left."""
    from rich.table import Table as RichTable

    table = RichTable(box=None, pad_edge=False, show_header=False)
    table.add_column(style="bold")
    table.add_column(justify="left" if left else "right")
    for name, value in zip(names, values, strict=True):
        table.add_row(_rich_text(name), _rich_text(value))
    return table


def _bars(console: Console, block: Bars) -> None:
    """Each bar beside its label, or below it if there are long ones."""
    _heading(console, block.title)
    labels = [visible(label) for label in block.labels]
    left = max(map(_width, labels), default=0)
    left = left if left <= _SHORT else 0
    room = max(10, _columns(console) - left - 2 - max(map(len, block.notes), default=0))
    for label, value, note in zip(labels, block.values, block.notes, strict=True):
        if not left:
            _print_paragraph(console, label)
        beside = label + " " * (left - _width(label)) if left else " "
        sign = "█" if has_colour(console) else "#"
        console.out(f"{beside} {sign * round(value * min(room, 40))} {visible(note)}".rstrip(), highlight=False)
    _caption(console, block.x_label)


# ---- charts and maps --------------------------------------------------------------------------------------------


def _chart(console: Console, block: Chart) -> None:
    """A chart in dots, or its numbers in a pipe or on a terminal without shapes."""
    if not can_redraw(sys.stdout):
        if block.title:
            _heading(console, block.title)
        _table(console, braille.numbers(block))
        return
    height = min(_CHART_HEIGHT, max(6, terminal_size().lines - 8))
    console.print()
    for line in braille.draw(block, min(_columns(console), 100), height, unicode=console.encoding.startswith("utf")):
        console.out(line, highlight=False)


def _heat_map(console: Console, block: HeatMap) -> None:
    from rich.text import Text as RichText

    _heading(console, block.title)
    colour = has_colour(console)
    rows = len(block.values) if block.rows else _MOST_ROWS if colour else _MOST_ROWS // 2
    values = spread_rows(block.values, rows)
    names = [f"{visible(name)} " for name in block.rows]
    left = max(map(len, names), default=0)
    width = _cell_width(block.columns)
    room = max(10, _columns(console) - left) // width
    steps = [[block.scale.step_of(value) for value in row for _ in range(width)] for row in values.tolist()]
    for begin in range(0, len(block.columns), room):
        cells = slice(begin * width, (begin + room) * width)
        if colour and not names:
            for upper, lower in zip(steps[::2], [*steps[1::2], None][: (len(steps) + 1) // 2], strict=True):
                console.print(_half_blocks(block.scale, upper[cells], lower and lower[cells]), soft_wrap=True)
        else:
            for number, row in enumerate(steps):
                name = names[number].rjust(left) if names else ""
                console.print(RichText(name) + _cells(block.scale, row[cells], colour=colour), soft_wrap=True)
        console.out(" " * left + _letters(block.columns[begin : begin + room], width).rstrip(), highlight=False)
    _legend(console, block.scale)
    if len(values) < len(block.values):
        _caption(console, f"{len(values)} of the {len(block.values):,} rows, evenly chosen; a page or picture has all.")
    _caption(console, block.caption)


def _half_blocks(scale: Scale, upper: list[int], lower: list[int] | None) -> RichText:
    """Two rows of a map in one line: the upper half of a cell is its ink, the lower half its background."""
    from rich.text import Text as RichText

    line = RichText()
    for (top, bottom), group in groupby(zip(upper, lower or [-1] * len(upper), strict=True)):
        above = scale.shades[top].background
        below = scale.shades[bottom].background if bottom >= 0 else ""
        # What has no colour must stay the ground of the terminal, so the half that has one is the ink.
        sign = "▀" if above else "▄" if below else " "
        line.append(sign * len(list(group)), f"{above} on {below}" if above and below else above or below)
    return line


def _cells(scale: Scale, row: list[int], *, colour: bool) -> RichText:
    from rich.text import Text as RichText

    line = RichText()
    for step, group in groupby(row):
        shade, count = scale.shades[step], len(list(group))
        line.append(*((" " * count, style_of(shade)) if colour else (shade.sign * count, "")))
    return line


def _cell_width(characters: Iterable[str]) -> int:
    """The columns of a terminal that each character gets: two if one of them needs two, as those of Chinese do."""
    return max((cells_of(cell_of(character)) for character in characters), default=1) or 1


def _letters(characters: Iterable[str], width: int) -> str:
    """Characters in equally many columns each, so that what stands above them stays above them."""
    shown = (cell_of(character) for character in characters)
    return "".join(f"{each}{' ' * (width - cells_of(each))}" if cells_of(each) else "□".ljust(width) for each in shown)


# ---- shaded text ------------------------------------------------------------------------------------------------


def _shaded(console: Console, block: Shaded) -> None:
    _heading(console, block.title)
    marks = block.marks
    coloured = has_colour(console)
    for line in _lines(block, _columns(console)):
        shown, signs = _shaded_line(block.scale, line, marks, coloured=coloured)
        console.print(shown, soft_wrap=True)
        if not coloured and signs.strip():
            console.out(signs.rstrip(), highlight=False)
    _legend(console, block.scale)
    _caption(console, block.caption)


_Cell = tuple[str, float, int]
"""A character, its value, and the number of its piece."""


def _lines(block: Shaded, width: int) -> Iterator[list[_Cell]]:
    """The characters of a text in lines of at most ``width`` columns, folded after a blank where there is one."""
    line: list[_Cell] = []
    used = 0
    for number, (piece, value) in enumerate(block.pieces):
        for character in visible(piece):
            line.append((character, value, number))
            used += cells_of(character)
            if character == "\n":
                yield line
                line, used = [], 0
            elif used > width:
                blanks = [place for place, (cell, _, _) in enumerate(line[:-1]) if cell == " "]
                cut = blanks[-1] + 1 if blanks else len(line) - 1
                yield line[:cut]
                line = line[cut:]
                used = sum(cells_of(cell) for cell, _, _ in line)
    if line:
        yield line


def _shaded_line(scale: Scale, line: list[_Cell], marks: frozenset[int], *, coloured: bool) -> tuple[RichText, str]:
    """A line, and the signs that stand below it where there is no colour."""
    from rich.text import Text as RichText

    shown, signs = RichText(), ""
    for character, value, number in line:
        shade = None if value != value else scale.shade_of(value)
        marked = number in marks
        if character == "\n":
            # A line end has no colour of its own, so one with a shade gets a sign.
            if coloured and shade is not None and shade.background:
                shown.append("⏎", style_of(shade))
            continue
        cell = " " if character == "\t" else character
        style = f"{style_of(shade) if shade else ''}{' underline' if marked else ''}".strip()
        shown.append(cell, style if coloured else "")
        sign = "_" if marked else shade.sign if shade else " "
        signs += sign * max(1, cells_of(character))
    return shown, signs


def _strip(console: Console, block: Strip) -> None:
    from rich.text import Text as RichText

    _heading(console, block.title)
    coloured = has_colour(console)
    width = _cell_width((*block.characters, *(guess for row in block.guesses for guess, _ in row)))
    room = max(1, _columns(console) // width)
    for begin in range(0, len(block.characters), room):
        part = slice(begin, begin + room)
        line = RichText()
        for character, value in zip(block.characters[part], block.values[part], strict=True):
            shade = block.scale.shade_of(value)
            line.append(_letters((character,), width), style_of(shade) if coloured else "")
        console.print(line, soft_wrap=True)
        for rank in range(len(block.guesses[0]) if block.guesses else 0):
            guesses = [row[rank] for row in block.guesses[part]]
            likely = RichText()
            for guess, share in guesses:
                shown = "bold" if share >= 0.5 else "" if share >= 0.1 else "dim"
                letter = _letters((guess,), width) if coloured or share >= 0.02 else " " * width
                likely.append(letter, shown if coloured else "")
            console.print(likely, soft_wrap=True)
        console.print()
    _legend(console, block.scale)
    _caption(console, block.caption)


def _points(console: Console, block: Points) -> None:
    """The labels on a grid of cells; where two would stand in one cell, the first stays. Lines are left out."""
    _heading(console, block.title)
    width, height = min(_columns(console), 100), _PLANE_LINES
    grid = [[" "] * width for _ in range(height)]
    left, low = min(block.x), min(block.y)
    across, up = (max(block.x) - left) or 1, (max(block.y) - low) or 1
    for label, x, y in zip(block.labels, block.x, block.y, strict=True):
        row, column = round((1 - (y - low) / up) * (height - 1)), round((x - left) / across * (width - 1))
        size = _cell_width((label,))
        cells = slice(min(column, width - size), min(column, width - size) + size)
        if set(grid[row][cells]) == {" "}:
            grid[row][cells] = [_letters((label,), size), *[""] * (size - 1)]
    for line in grid:
        console.out("".join(line).rstrip(), highlight=False)


def _boxes(console: Console, block: Boxes) -> None:
    """Boxes on their shades, of which corners mark the ends; or, without colour, between braces."""
    from rich.text import Text as RichText

    _heading(console, block.title)
    drawing = lay_out(block, _box_lines())
    coloured = has_colour(console)
    signs = _ASCII_BRACES if not console.encoding.startswith("utf") else _CORNERS if coloured else _BRACES
    across = widths(block, drawing, _width)
    before = end_of(block.before, max(0, min(_columns(console) // 2, _columns(console) - sum(across))), _width)
    for number, cells in enumerate(drawing.lines):
        line = RichText(before if number == drawing.before else " " * _width(before), style="bold")
        for cell, width in zip(cells, across, strict=False):
            text = _box_text(block, cell, signs)
            line.append(text + " " * (width - _width(text)), f"not bold {_box_style(cell) if coloured else ''}")
        if not coloured or not cells:
            line.rstrip()
        line.truncate(_columns(console))
        console.print(line, soft_wrap=True)
    if coloured:
        _legend(console, block.scale)
    _caption(console, block.caption)


def _box_lines() -> int:
    """The lines that boxes get: as many as there is room for beside what stands around them."""
    return max(12, min(_BOX_LINES, terminal_size().lines - 8)) if is_terminal(sys.stdout) else _BOX_LINES


def _box_text(block: Boxes, cell: Cell, signs: dict[str, str]) -> str:
    if cell.part != "label":
        return signs[cell.part]
    label = label_of(block.labels[cell.box]) or " "
    return label if _width(label) else "□"


def _box_style(cell: Cell) -> str:
    is_corner = cell.part != "label" and cell.shade.background
    return f"{cell.ink} on {cell.shade.background}" if is_corner else style_of(cell.shade)


def _width(text: str) -> int:
    return sum(map(cells_of, text))


def _frames(console: Console, block: Frames) -> None:
    """The one that is seen at first; the others are in the page."""
    _heading(console, f"{block.title}: {sign_of(block.labels[block.first])}")
    for inner in block.frames[block.first]:
        show_block(console, inner)


_SHOW: dict[type[Any], Callable[[Any, Any], None]] = {
    Text: _text,
    Table: _table,
    Bars: _bars,
    Chart: _chart,
    HeatMap: _heat_map,
    Shaded: _shaded,
    Strip: _strip,
    Points: _points,
    Boxes: _boxes,
    Frames: _frames,
}


# ---- what they share --------------------------------------------------------------------------------------------


def style_of(shade: Shade) -> str:
    """The style of text on a shade, as rich writes it."""
    return f"{shade.color} on {shade.background}" if shade.background else ""


def _heading(console: Console, text: str) -> None:
    from rich.text import Text as RichText

    console.print()
    console.print(RichText(visible(text), style="underline"))


def _legend(console: Console, scale: Scale) -> None:
    from rich.text import Text as RichText

    steps = [*zip(scale.shades, scale.labels, strict=True)]
    if has_colour(console):
        pieces = [(f" {label} ", style_of(shade)) for shade, label in steps]
        console.print(RichText.assemble(f"{scale.unit}: ", *pieces))
        return
    signs = ((shade.sign if shade.sign.strip() else "blank", label) for shade, label in steps)
    meanings = ", ".join(f"{sign} = {label}" for sign, label in signs if label)
    console.print(RichText(f"{scale.unit}: {meanings}"))


def _caption(console: Console, text: str) -> None:
    if text:
        _print_paragraph(console, text)
