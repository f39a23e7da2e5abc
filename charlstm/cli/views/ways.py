"""Several ways in which a text can go on, numbered: side by side, as many as the terminal has room for."""

from __future__ import annotations

from collections.abc import Sequence

from charlstm.cli.views.stream import Output
from charlstm.cli.views.terminal import stdout_console, visible
from charlstm.sampling.ways import Way

_NARROWEST, _WIDEST = 22, 60
"""Columns of a way."""
_BETWEEN = 3


def show_ways(before: str, ways: Sequence[Way]) -> None:
    """Print the ways after a text.

    Args:
        before: the text.
        ways: at least one.
    """
    output = Output()
    if not output.terminal:
        for number, way in enumerate(ways, 1):
            output.rule(f"{number} of {len(ways)}, {_figure(way)}")
            output.write(before + way.text)
            output.end_line()
        output.flush()
        return
    output.write(before, bold=True)
    output.end_line()
    output.write("\n" * bool(before))
    output.flush()
    _show_columns(ways)


def _show_columns(ways: Sequence[Way]) -> None:
    from rich.table import Table
    from rich.text import Text

    console = stdout_console()
    width = console.width - 1
    beside = max(1, min(len(ways), (width + _BETWEEN) // (_NARROWEST + _BETWEEN)))
    for begin in range(0, len(ways), beside):
        band = list(enumerate(ways, 1))[begin : begin + beside]
        column = min(_WIDEST, (width + _BETWEEN) // beside - _BETWEEN)
        table = Table(box=None, pad_edge=False, padding=(0, _BETWEEN, 0, 0), collapse_padding=True)
        for number, _ in band:
            table.add_column(str(number), width=column, overflow="fold", no_wrap=False)
        table.add_row(*(Text(_shown(way.text)) for _, way in band))
        table.add_row(*(_figure(way) for _, way in band), style="dim")
        if begin:
            console.print()
        console.print(table)


def _shown(text: str) -> str:
    """A way: the line ends before it are signs, and those after it left out."""
    bare = text.lstrip("\n")
    return visible("⏎" * (len(text) - len(bare)) + bare.rstrip("\n")).expandtabs(4)


def _figure(way: Way) -> str:
    return f"{way.bits_per_char:.2f} bits/character"
