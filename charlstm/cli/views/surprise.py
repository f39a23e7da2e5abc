"""A text shown by the surprisal of each character: shaded, or with digits below each line; then its hardest places."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from charlstm.cli.views.blocks import style_of
from charlstm.cli.views.folding import cells_of
from charlstm.cli.views.terminal import counted, stdout_console, visible
from charlstm.report.scales import SURPRISE

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

    from charlstm.evaluation.score import Score

_HARDEST = 5
"""How many places are listed at the end."""
_REACH = 30
"""Tokens shown on both sides of a place, and between two places."""


def show(score: Score) -> None:
    """Print the text, a legend, the total, and the places where the network was surprised most.

    In colour, the shade behind a character is its surprisal. Without colour, a line of digits below each line of text
    gives it in whole bits: a dot is less than one, ``+`` is ten or more.
    """
    console = stdout_console()
    pieces = ((visible(text), nats / math.log(2)) for text, nats in score.pieces())
    if console.no_color or console.color_system is None:
        _show_digits(console, pieces)
    else:
        _show_colours(console, pieces)
    console.print(f"\n{_total(score)}\nhardest places:")
    places = _hardest_places(score)
    heads = [f"{place.bits:5.1f} bits  line {place.line}  " for place in places]
    for place, head in zip(places, heads, strict=True):
        width = max(map(len, heads))
        console.print(place.shown(head.ljust(width), console.width - 1), soft_wrap=True)


@dataclass
class _Place:
    """A token that the network did not expect.

    Args:
        bits: its surprisal.
        line: the number of its line, from 1.
        before: the text before it.
        piece: its own text; of a byte inside a character, that character.
        after: the text after it.
    """

    bits: float
    line: int = 1
    before: str = ""
    piece: str = ""
    after: str = ""

    def shown(self, head: str, columns: int) -> Text:
        """The place in one line: ``head``, and the piece amid as much text as fits, shaded and between brackets."""
        from rich.text import Text

        before, piece, after = (visible(part.replace("\n", "⏎")) for part in (self.before, self.piece, self.after))
        room = max(10, columns - len(head) - sum(map(cells_of, piece)) - 2)
        begin = _that_fit(before[::-1], room // 2)[::-1]
        end = _that_fit(after, room - sum(map(cells_of, begin)))
        shown = Text.assemble(head, begin, "[", (piece, _style(self.bits)), "]", end)
        shown.rstrip()
        return shown


def _hardest_places(score: Score) -> list[_Place]:
    """The tokens of the highest surprisal, none within the reach of a harder one, the hardest first."""
    count = min(len(score.nats), _HARDEST * (2 * _REACH + 1))
    candidates = np.argpartition(-score.nats, count - 1)[:count]
    chosen: list[int] = []
    for position in candidates[np.argsort(-score.nats[candidates], kind="stable")].tolist():
        if len(chosen) < _HARDEST and all(abs(position - other) > _REACH for other in chosen):
            chosen.append(position)
    places = {position: _Place(float(score.nats[position]) / math.log(2)) for position in chosen}
    line = 1
    for position, (piece, _) in enumerate(score.pieces()):
        for at, place in places.items():
            if at - _REACH <= position < at:
                place.before += piece
            elif position == at or (position > at and not place.piece):
                place.piece, place.line = piece, line
            elif at < position <= at + _REACH:
                place.after += piece
        line += piece.count("\n")
    return list(places.values())


def _total(score: Score) -> str:
    """The sum and the mean: ``1,234 bits for 512 characters: 2.41 bits per character``."""
    of_bytes = score.tokenizer.kind == "byte"
    count, unit = (score.bytes, "byte") if of_bytes else (score.characters, "character")
    bits = score.summary.nats / math.log(2)
    return f"{bits:,.0f} bits for {counted(count, unit)}: {bits / count:.2f} bits per {unit}"


def _that_fit(text: str, columns: int) -> str:
    """The beginning of a text that is at most so wide."""
    for place, character in enumerate(text):
        columns -= cells_of(character)
        if columns < 0:
            return text[:place]
    return text


def _style(bits: float) -> str:
    return style_of(SURPRISE.shade_of(bits))


def _show_colours(console: Console, pieces: Iterable[tuple[str, float]]) -> None:
    from rich.columns import Columns
    from rich.text import Text

    line = Text()
    for piece, bits in pieces:
        # A newline has no colour of its own, so a surprising one gets a sign.
        line.append("⏎\n" if piece == "\n" and bits >= 4 else piece, _style(bits))
        if piece.endswith("\n"):
            console.print(line, end="")  # line by line, in the memory of a line
            line = Text()
    if line:
        console.print(line)
    console.print("\nsurprisal:")
    legend = zip(SURPRISE.labels, SURPRISE.shades, strict=True)
    console.print(Columns((Text(label, style_of(shade)) for label, shade in legend), padding=(0, 2)))


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
