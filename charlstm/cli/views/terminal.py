"""What a person sees: consoles, one-line messages, numbers with units, and control characters made visible."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import sys
import textwrap
from typing import IO, TYPE_CHECKING, Any, cast

from charlstm.report.amounts import count as count
from charlstm.report.amounts import counted as counted
from charlstm.report.amounts import duration as duration
from charlstm.report.amounts import measured as measured
from charlstm.report.amounts import size as size
from charlstm.report.visible import visible as visible

if TYPE_CHECKING:
    from rich.console import Console


def is_terminal(stream: IO[Any]) -> bool:
    """Whether a stream is a terminal."""
    try:
        return stream.isatty()
    except ValueError:  # closed
        return False


def can_redraw(stream: IO[Any]) -> bool:
    """Whether a stream is a terminal that moves its cursor and has styles when it is told to."""
    if not is_terminal(stream) or os.environ.get("TERM", "") in ("dumb", "unknown"):
        return False
    if os.name != "nt":
        return True
    from rich.console import Console

    return not Console(file=stream).legacy_windows


def stdout_console() -> Console:
    """Create a console for results.

    In a pipe it is 120 columns wide, so that tables are not folded at 80, and no line ends with blanks.
    """
    from rich.console import Console

    if not is_terminal(sys.stdout):
        return Console(file=cast("IO[str]", _WithoutTrailingBlanks(sys.stdout)), highlight=False, width=120)
    if can_redraw(sys.stdout):
        return Console(highlight=False)
    columns, lines = terminal_size()  # rich takes every terminal that says it is dumb for one of 80 columns
    return Console(highlight=False, width=columns, height=lines)


class _WithoutTrailingBlanks:
    """A text stream without the blanks that rich fills the last column of a table with.

    Args:
        stream: the stream to write to; what is not defined here is its own.
    """

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write whole lines, or the beginning of one, without blanks before their ends."""
        return self._stream.write(re.sub(" +\n", "\n", text))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def say(text: str, *, indent: int = 0) -> None:
    """Print a message to stderr as one line; a terminal folds it between words.

    Args:
        text: the message; newlines become spaces, control characters become visible.
        indent: columns by which folded lines are indented.
    """
    line = visible(text).replace("\n", " ").rstrip()
    lines = fold(line, terminal_width(), " " * indent) if is_terminal(sys.stderr) else [line]
    with contextlib.suppress(BrokenPipeError, ValueError):  # stderr has no reader any more, which must not end the work
        print("\n".join(lines), file=sys.stderr, flush=True)


def terminal_size() -> os.terminal_size:
    """The columns and lines of the terminal, which stderr may lead to while stdout leads to a file."""
    fallback = (80, 24)
    with contextlib.suppress(OSError, ValueError, AttributeError):
        of_stderr = os.get_terminal_size(sys.stderr.fileno())
        fallback = of_stderr if all(of_stderr) else fallback
    return shutil.get_terminal_size(fallback)


def terminal_width() -> int:
    """The columns to write in; the last one stays free, as some terminals start a new line there too early."""
    return max(20, terminal_size().columns - 1)


def fold(line: str, width: int, indent: str = "") -> list[str]:
    """Fold a line between words.

    Args:
        line: the text.
        width: columns of each folded line; only a longer word, such as a path, exceeds it: cut, it could not be copied.
        indent: put before each line but the first.

    Returns:
        The lines.
    """
    folded = textwrap.wrap(line, width, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)
    return folded or [""]
