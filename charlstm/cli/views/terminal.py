"""What a person sees: consoles, one-line messages, numbers with units, and control characters made harmless."""

from __future__ import annotations

import contextlib
import shutil
import sys
import textwrap
from typing import IO, TYPE_CHECKING, Any

from charlstm.report.visible import visible as visible

if TYPE_CHECKING:
    from rich.console import Console


def is_terminal(stream: IO[Any]) -> bool:
    """Whether a person is looking at this stream."""
    try:
        return stream.isatty()
    except ValueError:  # closed
        return False


def stdout_console() -> Console:
    """A console for results. Off a terminal it keeps tables whole instead of folding them at 80 columns."""
    from rich.console import Console

    return Console(highlight=False, width=None if is_terminal(sys.stdout) else 120)


def say(text: str, *, indent: int = 0) -> None:
    """Talk on stderr: one line, whatever it holds; a terminal folds it between words at its edge.

    Args:
        text: what to say.
        indent: columns by which the lines after a fold are moved in.
    """
    line = visible(text).replace("\n", " ")
    lines = fold(line, terminal_width(), " " * indent) if is_terminal(sys.stderr) else [line]
    with contextlib.suppress(BrokenPipeError, ValueError):  # nobody listens any more: no fault of the work
        print("\n".join(lines), file=sys.stderr, flush=True)


def terminal_width() -> int:
    """Columns to write in: the last stays free, where some terminals begin a new line too early."""
    return max(20, shutil.get_terminal_size().columns - 1)


def fold(line: str, width: int, indent: str = "") -> list[str]:
    """A line cut between words into lines of at most ``width`` columns, all but the first behind ``indent``.

    Only a word that is longer by itself, a path above all, stands out: cut, it could not be copied.
    """
    folded = textwrap.wrap(line, width, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)
    return folded or [""]


def duration(seconds: float) -> str:
    """Seconds as a person says them: ``45s``, ``3m 20s``, ``2h 05m``, ``1d 4h``."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m {whole % 60:02d}s"
    if whole < 86400:
        return f"{whole // 3600}h {whole % 3600 // 60:02d}m"
    return f"{whole // 86400}d {whole % 86400 // 3600}h"


def count(number: float) -> str:
    """A number in three digits and a letter: ``812``, ``1.3 M``."""
    for unit, scale in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if number >= scale:
            return f"{number / scale:.3g} {unit}"
    return f"{number:.0f}"


def counted(number: float, thing: str) -> str:
    """So many of them: ``1 step``, ``1.3 M characters``."""
    return f"{count(number)} {thing}{'s' * (number != 1)}"


def size(octets: float) -> str:
    """Bytes in three digits and a unit: ``2.6 MB``."""
    return f"{count(octets)}B" if octets >= 1000 else f"{octets:.0f} B"
