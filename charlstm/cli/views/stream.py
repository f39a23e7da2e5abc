"""Text to stdout as it is drawn: at once on a terminal and harmless to it, in blocks and unchanged into a pipe."""

from __future__ import annotations

import errno
import shutil
import sys
import time
from typing import IO

from charlstm.cli.views.terminal import is_terminal, visible

_TERMINAL_PAUSE = 1 / 60
_PIPE_PAUSE = 0.2
_BLOCK = 32_768  # characters


class Output:
    """Where drawn text goes.

    The first text goes out at once. After that a terminal gets what has come every sixtieth of a second, which looks
    like every character and costs a hundredth of it; a pipe gets blocks, five times a second at least.

    Args:
        stream: a text stream; standard output unless told otherwise.

    Attributes:
        terminal: whether a person looks at it.
    """

    def __init__(self, stream: IO[str] | None = None) -> None:
        self._stream = sys.stdout if stream is None else stream
        self.terminal = is_terminal(self._stream)
        if not self.terminal and hasattr(self._stream, "reconfigure"):
            self._stream.reconfigure(newline="\n")  # Windows would write \r\n
        self._pause = _TERMINAL_PAUSE if self.terminal else _PIPE_PAUSE
        self._waiting: list[str] = []
        self._size = 0
        self._next = 0.0
        self._line_open = False

    def write(self, text: str) -> None:
        """Give text out, now or shortly.

        Raises:
            BrokenPipeError: nobody reads any more.
        """
        if not text:
            return
        self._waiting.append(text)
        self._size += len(text)
        if time.monotonic() >= self._next or self._size >= _BLOCK:
            self.flush()

    def flush(self) -> None:
        """Give out what has waited.

        Raises:
            BrokenPipeError: nobody reads any more.
        """
        text = "".join(self._waiting)
        self._waiting, self._size = [], 0
        if text:
            self._line_open = not text.endswith("\n")
            self._put(visible(text) if self.terminal else text)
        self._next = time.monotonic() + self._pause

    def end_line(self) -> None:
        """Begin a new line unless one has just begun."""
        self.flush()
        if self._line_open:
            self.write("\n")
            self.flush()

    def rule(self, title: str) -> None:
        """A line that parts two texts: drawn across a terminal, ``=== title ===`` into a pipe."""
        self.end_line()
        if self.terminal:
            width = min(shutil.get_terminal_size().columns, 100)
            self.write(f"── {title} ".ljust(width, "─") + "\n")
        else:
            self.write(f"=== {title} ===\n")

    def _put(self, text: str) -> None:
        try:
            try:
                self._stream.write(text)
            except UnicodeEncodeError:  # half a surrogate pair: an alphabet may hold it, no encoding can write it
                self._stream.write(text.encode("utf-8", "replace").decode("utf-8"))
            self._stream.flush()
        except OSError as fault:
            if fault.errno == errno.EINVAL:  # how Windows says that nobody reads any more
                raise BrokenPipeError(fault.errno, fault.strerror) from fault
            raise
