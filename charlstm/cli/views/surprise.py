"""A text shown by the surprisal of each character: in colour, or in digits below each line."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from typing import TYPE_CHECKING

from charlstm.cli.views.terminal import stdout_console, visible

if TYPE_CHECKING:
    from rich.console import Console

    from charlstm.evaluation.score import Score

_STYLES = (
    (1, "bright_black", "under 1 bit"),
    (2, "default", "1 to 2"),
    (4, "cyan", "2 to 4"),
    (6, "yellow", "4 to 6"),
    (8, "bright_red", "6 to 8"),
    (math.inf, "bold white on red", "8 bits or more"),
)
"""Surprisal below which a style holds, in bits; style; label."""


def show(score: Score) -> None:
    """Print the text and a legend.

    In colour, a character's colour is its surprisal. Without colour, a line of digits below each line of text gives it
    in whole bits: a dot is less than one, ``+`` is ten or more.
    """
    console = stdout_console()
    pieces = ((visible(text), nats / math.log(2)) for text, nats in score.pieces())
    if console.no_color or console.color_system is None:
        _show_digits(console, pieces)
    else:
        _show_colours(console, pieces)


def _show_colours(console: Console, pieces: Iterable[tuple[str, float]]) -> None:
    from rich.columns import Columns
    from rich.text import Text

    line = Text()
    for piece, bits in pieces:
        style = next((style for limit, style, _ in _STYLES if bits < limit), _STYLES[-1][1])  # NaN has the last
        # A newline has no colour of its own, so a surprising one gets a sign.
        line.append("⏎\n" if piece == "\n" and bits >= 4 else piece, style)
        if piece.endswith("\n"):
            console.print(line, end="")  # line by line, in the memory of a line
            line = Text()
    if line:
        console.print(line)
    console.print("\nsurprisal:")
    console.print(Columns((Text(label, style) for _, style, label in _STYLES), padding=(0, 2)))


def _show_digits(console: Console, pieces: Iterable[tuple[str, float]]) -> None:
    from rich.cells import cell_len

    line = digits = ""
    for piece, bits in pieces:
        digit = "." if bits < 1 else str(int(bits)) if bits < 10 else "+"
        for character in piece:
            if character == "\n":
                _print_pair(console, line, digits + digit)
                line = digits = ""
            else:
                shown = " " if character == "\t" else character
                line, digits = line + shown, digits + digit * cell_len(shown)
    if line:
        _print_pair(console, line, digits)
    console.print("surprisal in whole bits: . under 1, + ten or more; the last digit of a line is its newline")


def _print_pair(console: Console, line: str, digits: str) -> None:
    """Print a line of text and its digits, both folded between words at the console's width."""
    from rich.cells import cell_len

    *parts, last = _fold(line, max(10, console.width - 1))
    for part in parts:
        width = cell_len(part)
        console.out(part, highlight=False)
        console.out(digits[:width], highlight=False)
        digits = digits[width:]
    console.out(last, highlight=False)
    console.out(digits, highlight=False)


def _fold(line: str, width: int) -> list[str]:
    """The line cut after spaces into parts of at most ``width`` cells; joined, they are the line."""
    from rich.cells import cell_len, chop_cells

    parts = [""]
    for word in re.findall(r"\S+\s?|\s", line):
        if parts[-1] and cell_len(parts[-1] + word) > width:
            parts.append("")
        *whole, rest = chop_cells(word, width)  # a word longer than a line is cut
        parts[-1:] = [parts[-1] + whole[0], *whole[1:], rest] if whole else [parts[-1] + rest]
    return parts
