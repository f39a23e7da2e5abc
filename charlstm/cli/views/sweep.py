"""Texts at several values of a setting, side by side, as many as the terminal has room for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from charlstm.cli.views.terminal import stdout_console, visible
from charlstm.inspect.pages.sweep import figures
from charlstm.inspect.sweep import Swept

if TYPE_CHECKING:
    from rich.text import Text

_NARROWEST = 24
"""Columns in which a text can still be read."""
_BETWEEN = 3


def show_columns(swept: Sequence[Swept], setting: str, prompt: str, unit: str) -> None:
    """Print texts side by side, each between its value and its figures; those without room go below.

    Args:
        swept: the texts.
        setting: what was swept.
        prompt: before each text.
        unit: what is counted.
    """
    from rich.table import Table

    console = stdout_console()
    width = console.width - 1
    count = len(swept)
    bands = -(-count // _room(width))
    size = -(-count // bands)
    for begin in range(0, count, size):
        band = swept[begin : begin + size]
        column = (width + _BETWEEN) // size - _BETWEEN
        table = Table(box=None, pad_edge=False, padding=(0, _BETWEEN, 0, 0), collapse_padding=True)
        for each in band:
            table.add_column(f"{setting} {each.value:g}", width=column, overflow="fold", no_wrap=False)
        table.add_row(*(_text(prompt, each.text) for each in band), end_section=True)
        table.add_row(*("" for _ in band))
        for name in figures(swept[0], unit):
            table.add_row(*(f"{name} {figures(each, unit)[name]}" for each in band), style="dim")
        console.print(table)
        if begin + size < count:
            console.print()


def _text(prompt: str, text: str) -> Text:
    from rich.text import Text

    return Text(visible(text).expandtabs(4).rstrip("\n")) if not prompt else Text.assemble(
        (visible(prompt), "bold"), visible(text).expandtabs(4).rstrip("\n")
    )  # fmt: skip


def _room(width: int) -> int:
    return max(1, (width + _BETWEEN) // (_NARROWEST + _BETWEEN))
