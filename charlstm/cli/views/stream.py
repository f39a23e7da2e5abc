"""Drawn text to stdout: at once, harmless and folded on a terminal, in blocks and unchanged into a pipe or file.

On stderr it is harmless everywhere: a log is read on a terminal, too.
"""

from __future__ import annotations

import errno
import re
import sys
import time
from typing import IO

from charlstm.cli.views.folding import Folder
from charlstm.cli.views.terminal import can_redraw, is_terminal, terminal_width, visible

_TERMINAL_INTERVAL = 1 / 60  # seconds
_PIPE_INTERVAL = 0.2  # seconds
_BLOCK = 32_768  # characters

_LONE_SURROGATE = re.compile("[\ud800-\udc7f\udd00-\udfff]")
"""Half a surrogate pair. An alphabet may hold it, and no encoding can write it; U+DC80 to U+DCFF stand for bytes."""


def writable(text: str) -> str:
    """Replace each lone surrogate by ``?``, so that UTF-8 with surrogate escapes can encode the text."""
    return _LONE_SURROGATE.sub("?", text)


class Output:
    """Where drawn text goes.

    The first text is written at once. After that a terminal gets the words of every sixtieth of a second, which looks
    like every word and costs a hundredth of it, folded to its width; a pipe gets blocks, at least five a second.

    Args:
        stream: a text stream; None is standard output.

    Attributes:
        terminal: whether the stream is a terminal.
    """

    def __init__(self, stream: IO[str] | None = None) -> None:
        self._stream = sys.stdout if stream is None else stream
        self.terminal = is_terminal(self._stream)
        if not self.terminal and hasattr(self._stream, "reconfigure"):
            self._stream.reconfigure(newline="\n")  # Windows would write \r\n
        self._interval = _TERMINAL_INTERVAL if self.terminal else _PIPE_INTERVAL
        self._folder = Folder(terminal_width) if self.terminal else None
        self._harmless = self.terminal or self._stream is sys.stderr
        self._has_styles = can_redraw(self._stream)
        self._waiting: list[str] = []
        self._size = 0
        self._next_flush = 0.0
        self._line_open = False

    def write(self, text: str, *, bold: bool = False) -> None:
        """Write text, now or shortly; on a terminal a word that has not ended waits for its end, or for `end_line`.

        Args:
            text: the text.
            bold: whether a terminal shows it in bold.

        Raises:
            BrokenPipeError: the reader has closed the pipe.
        """
        if self._harmless:
            text = visible(text)
        if self._folder is not None:
            text = self._folder.push(text, bold=bold and self._has_styles)
        if not text:
            return
        self._waiting.append(text)
        self._size += len(text)
        if time.monotonic() >= self._next_flush or self._size >= _BLOCK:
            self.flush()

    def flush(self) -> None:
        """Write the text that is waiting.

        Raises:
            BrokenPipeError: the reader has closed the pipe.
        """
        text = "".join(self._waiting)
        self._waiting, self._size = [], 0
        if text:
            self._line_open = not text.endswith("\n")
            self._put(text)
        self._next_flush = time.monotonic() + self._interval

    def end_line(self) -> None:
        """Start a new line unless one has just started."""
        if self._folder is not None:
            self._waiting.append(self._folder.flush())
        self.flush()
        if self._line_open:
            self.write("\n")
            self.flush()

    def rule(self, title: str) -> None:
        """Separate two texts: by a line across a terminal, by ``=== title ===`` in a pipe."""
        self.end_line()
        if self.terminal:
            width = min(terminal_width(), 100)
            self.write(f"── {title} ".ljust(width, "─") + "\n")
        else:
            self.write(f"=== {title} ===\n")

    def _put(self, text: str) -> None:
        try:
            self._stream.write(writable(text))
            self._stream.flush()
        except OSError as fault:
            if fault.errno == errno.EINVAL:  # how Windows reports a closed pipe
                raise BrokenPipeError(fault.errno, fault.strerror) from fault
            raise
