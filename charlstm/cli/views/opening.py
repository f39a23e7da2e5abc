"""What is shown before a training: which text, at once, and what the computer is doing while nothing else can be."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from charlstm.cli.views.region import Region
from charlstm.cli.views.terminal import can_redraw, fold, is_terminal, say, size, terminal_width, visible


@contextmanager
def opening(sources: Sequence[str], *, quiet: bool) -> Iterator[Opening]:
    """Show which text is read, and the stages until the plan is shown, which replaces them; in a pipe show nothing.

    Ctrl-C is told everywhere: one who stops a training fears that something is lost.

    Args:
        sources: as a person names them.
        quiet: show nothing on a terminal either, and tell nothing.

    Yields:
        What is to be told of each stage.

    Raises:
        KeyboardInterrupt: Ctrl-C was pressed.
    """
    try:
        with _stages(sources, quiet=quiet) as shown:
            yield shown
    except KeyboardInterrupt:
        if not quiet:
            say("stopped before the first step: nothing has changed")
        raise


@contextmanager
def _stages(sources: Sequence[str], *, quiet: bool) -> Iterator[Opening]:
    if quiet or not is_terminal(sys.stderr):
        yield Opening()
    elif can_redraw(sys.stderr):
        redrawn = _Redrawn(_text_line(sources))
        try:
            yield redrawn
        finally:
            redrawn.clear()
    else:
        say(_text_line(sources))
        yield _Plain()


@contextmanager
def waiting(text: str) -> Iterator[None]:
    """Show what takes a moment, and remove it afterwards; only on a terminal that can.

    Args:
        text: a few words.
    """
    if not can_redraw(sys.stderr):
        yield
        return
    from rich.text import Text

    region = Region()
    region.draw([Text(text, "dim")])
    try:
        yield
    finally:
        region.clear()


class Opening:
    """Shows nothing; the others show the stages."""

    def reading(self, done: int, total: int) -> None:
        """Show how much of the text has been read.

        Args:
            done: bytes.
            total: bytes to read in all.
        """

    def measuring(self) -> None:
        """Show that the machine is being measured."""


class _Plain(Opening):
    """On a terminal that cannot go back to a line."""

    def measuring(self) -> None:
        say("measuring this machine")


class _Redrawn(Opening):
    """Two lines that are rewritten in place: the text, and the stage."""

    def __init__(self, text: str) -> None:
        self._region, self._text, self._stage = Region(), text, ""
        self._show("loading PyTorch")

    def reading(self, done: int, total: int) -> None:
        self._show(f"reading {done / total:.0%}" if total else "reading")

    def measuring(self) -> None:
        self._show("measuring this machine")

    def clear(self) -> None:
        """Remove the lines."""
        self._region.clear()

    def _show(self, stage: str) -> None:
        from rich.text import Text

        if stage != self._stage:
            self._stage = stage
            self._region.draw([*map(Text, fold(visible(self._text), terminal_width())), Text(stage, "dim")])


def _text_line(sources: Sequence[str]) -> str:
    """The names of a text and, where that takes no reading, its size: ``my.txt: 265 kB``."""
    sizes = [_size(source) for source in sources]
    known = [each for each in sizes if each is not None]
    names = ", ".join(sources)
    return f"{names}: {size(sum(known))}" if len(known) == len(sizes) else names


def _size(source: str) -> int | None:
    """The bytes of a file, or of the bundled text; None for all that would have to be read or searched for."""
    from charlstm.corpora.catalogue import BUNDLED, bundled

    files = bundled()
    if source == BUNDLED:
        return sum(path.stat().st_size for path in files.values())
    path = files.get(source, os.path.expanduser(source))
    return os.path.getsize(path) if os.path.isfile(path) else None
