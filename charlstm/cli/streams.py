"""The standard streams: UTF-8 whatever the locale, and messages that cannot end the work when nobody receives them."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from typing import Any, TextIO, cast


class BestEffortStream:
    """A text stream that drops everything from the first failed write on.

    A full disk under a log, a closed terminal or a pipe without a reader must not end a training before it has saved.

    Args:
        stream: the stream to write to; what is not defined here is its own.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write text, if that is still possible."""
        try:
            return self._stream.write(text)
        except (OSError, ValueError):
            discard(self._stream)  # it also takes what the buffer still holds
            return len(text)

    def flush(self) -> None:
        """Flush what was written, if that is still possible."""
        try:
            self._stream.flush()
        except (OSError, ValueError):
            discard(self._stream)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def prepare() -> None:
    """Make the standard streams safe to use: open, UTF-8, and for stderr unable to fail."""
    # Started with a stream closed (`>&-`), Python has None there; what is written to it is lost, which is no error.
    sys.stdout = sys.stdout or open(os.devnull, "w")  # noqa: SIM115
    sys.stderr = sys.stderr or open(os.devnull, "w")  # noqa: SIM115
    sys.stdin = sys.stdin or open(os.devnull)  # noqa: SIM115
    streams = (sys.stdin, "surrogateescape"), (sys.stdout, "surrogateescape"), (sys.stderr, "backslashreplace")
    for stream, errors in streams:
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(encoding="utf-8", errors=errors)
    sys.stderr = cast("TextIO", BestEffortStream(sys.stderr))


def discard(stream: TextIO) -> None:
    """Connect a stream to the null device, unless it is closed already."""
    with suppress(OSError, ValueError):
        null = os.open(os.devnull, os.O_WRONLY)
        try:
            os.dup2(null, stream.fileno())
        finally:
            os.close(null)
