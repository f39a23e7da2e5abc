"""Training on a terminal, live: a bar, a sparkline of the validation loss, and the newest preview below a rule."""

from __future__ import annotations

import itertools
import sys
import time
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, NamedTuple

from charlstm.cli.views.folding import fold_text
from charlstm.cli.views.progress import Pace, Status
from charlstm.cli.views.region import Region
from charlstm.cli.views.terminal import terminal_size, terminal_width, visible
from charlstm.events import EvalDone, Event, Preview, Started, StepDone, Stopped

if TYPE_CHECKING:
    from rich.text import Text

COLOUR = "color(31)"
"""A blue that stands out on a dark and on a white background."""
_EVERY = 0.2
"""Seconds between two drawings of the bar."""
_LONGEST_SPARKLINE = 40
"""Columns."""


class Signs(NamedTuple):
    """The characters that the view is drawn with."""

    levels: str
    """Of a sparkline, from low to high."""
    done: str
    left: str
    rule: str
    dot: str
    more: str


BLOCKS = Signs("▁▂▃▄▅▆▇█", "━", "╌", "─", "·", "…")
ASCII = Signs("_.-~=+*#", "#", ".", "-", "|", "...")


def signs_for(encoding: str | None) -> Signs:
    """The signs that an encoding can print."""
    try:
        "".join(BLOCKS).encode(encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return ASCII
    return BLOCKS


def sparkline(values: Sequence[float], columns: int, levels: str) -> str:
    """Draw numbers as a line of characters, the lowest as the first of ``levels`` and the highest as the last.

    Args:
        values: the numbers, in order; at least one.
        columns: the most characters; of more numbers each character is the mean of a part.
        levels: the characters, from low to high.

    Returns:
        The line; numbers that are all equal are low.
    """
    parts = min(len(values), columns)
    borders = [len(values) * number // parts for number in range(parts + 1)]
    means = [sum(values[a:b]) / (b - a) for a, b in itertools.pairwise(borders)]
    low, height = min(means), max(means) - min(means)
    return "".join(levels[round((mean - low) / height * (len(levels) - 1)) if height > 0 else 0] for mean in means)


class Live(Status):
    """The bar, the sparkline and the preview on stderr, rewritten in place, with all messages above them.

    Args:
        kind: as in `Status`.
        pace: as in `Status`.
    """

    def __init__(self, kind: str, pace: Pace) -> None:
        super().__init__(kind, pace)
        self._signs = signs_for(sys.stderr.encoding)
        self._share, self._title, self._preview = 0.0, "", ""
        self._drawn_at = 0.0

    def __enter__(self) -> Live:
        self._region = Region()
        return self

    def __exit__(self, *_: object) -> None:
        self._region.clear()
        if len(self.bits) > 1:
            self._region.keep(self._course(terminal_width()))

    def say(self, text: str) -> None:
        """Print a message above the view; a signal handler may call this."""
        self._region.say(text)

    def show(self, event: Event) -> None:
        """Show an event."""
        self.update(event)
        self.announce(event)
        if isinstance(event, StepDone):
            self._share = event.progress
            if time.monotonic() - self._drawn_at < _EVERY:
                return
        elif isinstance(event, Preview):
            self._preview = event.text.strip("\n")
            self._title = self.title().replace("·", self._signs.dot)
        elif isinstance(event, Stopped):
            self._share = 1.0 if event.reason == "finished" else self._share
        elif not isinstance(event, Started | EvalDone):
            return
        self._region.draw(self.lines(terminal_width(), terminal_size().lines - 1))
        self._drawn_at = time.monotonic()

    def lines(self, columns: int, rows: int) -> list[Text]:
        """What the terminal shows now.

        Args:
            columns: the width of a line.
            rows: the most lines; what does not fit is left out from the end of the preview on.

        Returns:
            The lines, with their styles.
        """
        from rich.text import Text

        lines = [self._bar(columns)]
        if self.bits:
            lines.append(self._course(columns))
        if self._title and len(lines) + 2 <= rows:
            lines.append(Text(self._rule(columns), "dim"))
            lines += map(Text, self._preview_lines(columns, rows - len(lines)))
        return lines[:rows]

    def _bar(self, columns: int) -> Text:
        from rich.text import Text

        width = min(max(columns // 4, 5), 30)
        done = round(self._share * width)
        bar = Text.assemble(
            f"{self._share:4.0%} ", (self._signs.done * done, COLOUR), (self._signs.left * (width - done), "dim"), " "
        )
        bar.append(_as_many_as_fit(self.speed().split(" · "), f" {self._signs.dot} ", columns - bar.cell_len))
        return bar

    def _course(self, columns: int) -> Text:
        """The sparkline of the validation loss, from the second value on, between its name and the last value."""
        from rich.text import Text

        name, score = "validation ", f" {self.score()}"
        room = columns - len(name) - len(score)
        if room < 8:  # the rule below says what is counted
            score = score.partition(" bits")[0]
            room = columns - len(name) - len(score)
        if len(self.bits) == 1:
            return Text.assemble((name, "dim"), score.lstrip())
        spark = sparkline(self.bits, max(1, min(room, _LONGEST_SPARKLINE)), self._signs.levels)
        return Text.assemble((name, "dim"), (spark, COLOUR), score)

    def _rule(self, columns: int) -> str:
        sign = self._signs.rule
        return f"{sign}{sign} {self._title} ".ljust(columns, sign)[:columns]

    def _preview_lines(self, columns: int, rows: int) -> list[str]:
        """The preview, folded; the last of too many lines shows that more is left out."""
        lines = fold_text(visible(self._preview), columns)
        if len(lines) <= rows:
            return lines
        more = f" {self._signs.more}"
        return [*lines[: rows - 1], fold_text(lines[rows - 1], columns - len(more))[0] + more]


def _as_many_as_fit(parts: Iterable[str], between: str, columns: int) -> str:
    """Join the parts that fit, from the first on."""
    text = ""
    for part in parts:
        longer = f"{text}{between}{part}" if text else part
        if len(longer) > columns:
            break
        text = longer
    return text
