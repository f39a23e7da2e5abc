"""A few lines at the bottom of a terminal that are rewritten in place, with messages that stay above them.

The cursor is never hidden and always rests on the empty line below: a process that is killed leaves a clean terminal.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from charlstm.cli.views.terminal import fold, terminal_size, terminal_width, visible

if TYPE_CHECKING:
    from rich.text import Text

_ERASE_LINE_END, _ERASE_BELOW = "\x1b[K", "\x1b[J"


class Region:
    """Lines on stderr that are rewritten in place; stderr must be a terminal for which `can_redraw` holds.

    A signal handler may call `say` at any moment: while lines are being written, a message waits until they are.
    """

    def __init__(self) -> None:
        from rich.console import Console

        self._console = Console(file=sys.stderr, highlight=False, legacy_windows=False)
        self._lines: list[str] = []
        self._widths: list[int] = []
        self._columns = terminal_size().columns
        self._writing = False
        self._waiting: list[str] = []

    def draw(self, lines: Sequence[Text]) -> None:
        """Replace the lines.

        Args:
            lines: each at most `terminal_width` columns wide; those that the terminal is too low for are left out.
        """
        shown = lines[: terminal_size().lines - 1]
        self._rewrite(list(map(self._rendered, shown)), [line.cell_len for line in shown])

    def say(self, text: str) -> None:
        """Print a message above the lines, folded between words; its control characters become visible."""
        self._waiting += fold(visible(text).replace("\n", " ").rstrip(), terminal_width())
        if not self._writing:
            self._rewrite(self._lines, self._widths)

    def keep(self, line: Text) -> None:
        """Print a line above the others, with its style."""
        self._waiting.append(self._rendered(line))
        self._rewrite(self._lines, self._widths)

    def clear(self) -> None:
        """Remove the lines."""
        self._rewrite([], [])

    def _rendered(self, line: Text) -> str:
        with self._console.capture() as capture:
            self._console.print(line, end="", soft_wrap=True)
        return capture.get()

    def _rewrite(self, lines: list[str], widths: list[int]) -> None:
        """Write what waits and the lines, in one piece, over the lines there are."""
        self._writing = True
        try:
            while True:
                above, self._waiting = self._waiting, []
                text = "".join(f"{line}{_ERASE_LINE_END}\n" for line in [*above, *lines])
                sys.stderr.write(f"{self._to_the_first_line()}{text}{_ERASE_BELOW}")
                sys.stderr.flush()
                self._lines, self._widths = lines, widths
                if not self._waiting:  # a signal handler may have said something meanwhile
                    return
        finally:
            self._writing = False

    def _to_the_first_line(self) -> str:
        """Move the cursor there; in a window that has become narrower, the terminal has wrapped long lines."""
        columns, height = terminal_size()
        rows = sum(max(1, math.ceil(width / max(1, columns))) for width in self._widths)
        up = f"\x1b[{min(rows, height - 1)}A" if rows else ""
        erase = "" if columns == self._columns else _ERASE_BELOW  # a wrapped line must not stay joined to the next
        self._columns = columns
        return f"\r{up}{erase}"
