"""A text shown by how unexpected each of its characters was to a model: in colour, or in digits below each line."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING

from charlstm.cli.views.terminal import stdout_console, visible

if TYPE_CHECKING:
    from rich.console import Console

    from charlstm.evaluation.score import Score

_STEPS = (
    (1, "bright_black", "under 1 bit"),
    (2, "default", "1 to 2"),
    (4, "cyan", "2 to 4"),
    (6, "yellow", "4 to 6"),
    (8, "bright_red", "6 to 8"),
    (math.inf, "bold white on red", "8 bits or more"),
)


def show(score: Score) -> None:
    """Print the text, with a legend behind it.

    In colour a character's colour tells its surprise; without colour a line of digits below each line of text tells
    it in whole bits, a dot for less than one and ``+`` for ten or more.
    """
    console = stdout_console()
    pieces = [
        (visible(token.decode("utf-8", "replace")), float(nats) / math.log(2))
        for token, nats in zip(_whole(score.tokens), score.nats, strict=True)
    ]
    if console.no_color or console.color_system is None:
        _digits(console, pieces)
    else:
        _colours(console, pieces)


def _whole(tokens: tuple[bytes, ...]) -> list[bytes]:
    """The tokens with each character's bytes moved to the token that completes it."""
    whole, open_bytes = [], b""
    for token in tokens:
        open_bytes += token
        try:
            open_bytes.decode("utf-8")
        except UnicodeDecodeError as fault:
            if fault.reason == "unexpected end of data":
                whole.append(b"")
                continue
        whole.append(open_bytes)
        open_bytes = b""
    if open_bytes:
        whole[-1] = open_bytes
    return whole


def _colours(console: Console, pieces: list[tuple[str, float]]) -> None:
    from rich.columns import Columns
    from rich.text import Text

    text = Text()
    for piece, bits in pieces:
        style = next(style for limit, style, _ in _STEPS if bits < limit)
        # A newline that surprises is shown, for it has no colour of its own.
        text.append("⏎\n" if piece == "\n" and bits >= 4 else piece, style)
        if text.plain.endswith("\n"):
            console.print(text, end="")  # a line at a time: folding a whole book as one text would take its memory
            text = Text()
    if text:
        console.print(text)
    console.print("\nsurprise:")
    console.print(Columns((Text(words, style) for _, style, words in _STEPS), padding=(0, 2)))


def _digits(console: Console, pieces: list[tuple[str, float]]) -> None:
    from rich.cells import cell_len

    line = below = ""
    for piece, bits in [*pieces, ("", 0.0)]:
        digit = "." if bits < 1 else "+" if bits >= 10 else str(int(bits))
        for character in piece:
            if character == "\n":
                _two_lines(console, line, below + digit)
                line = below = ""
            else:
                shown = " " if character == "\t" else character
                line, below = line + shown, below + digit * cell_len(shown)
    if line:
        _two_lines(console, line, below)
    console.print("surprise in whole bits: . under 1, + ten or more; a line's last digit is its newline")


def _two_lines(console: Console, line: str, below: str) -> None:
    """A line of text and its digits, folded together between words at the console's width."""
    from rich.cells import cell_len

    parts = _parts(line, max(10, console.width - 1))
    for number, part in enumerate(parts):
        last = number == len(parts) - 1
        digits = below if last else below[: cell_len(part)]
        below = below[len(digits) :]
        console.out(part, highlight=False)
        console.out(digits, highlight=False)


def _parts(line: str, width: int) -> list[str]:
    """The line cut behind spaces, no part wider than ``width`` cells; joined they are the line."""
    from rich.cells import cell_len, chop_cells

    parts = [""]
    for word in re.findall(r"\S+\s?|\s", line):
        if parts[-1] and cell_len(parts[-1] + word) > width:
            parts.append("")
        *whole, rest = chop_cells(word, width)  # a word too long for any line is cut all the same
        parts[-1:] = [parts[-1] + whole[0], *whole[1:], rest] if whole else [parts[-1] + rest]
    return parts
