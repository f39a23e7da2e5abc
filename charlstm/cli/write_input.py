"""Reading a person's lines for ``charlstm write``, and the signals that interrupt a session."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any

from charlstm.cli.views.terminal import is_terminal


class Terminated(BaseException):
    """A signal that ends the process has arrived.

    Args:
        number: of the signal.
    """

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


class Lines:
    """The lines of stdin.

    Args:
        edited: whether a person may edit a line with the arrow keys, for which stdout must be the terminal.

    Attributes:
        interactive: whether a person types them.
    """

    def __init__(self, *, edited: bool) -> None:
        self.interactive = is_terminal(sys.stdin)
        self._edited = edited and self.interactive

    def read(self, invitation: str) -> str:
        """Read the next line, without its end.

        Args:
            invitation: shown to a person before the line.

        Raises:
            EOFError: there is none.
        """
        if self._edited:
            with suppress(ImportError):  # not on Windows, whose console edits lines itself
                import readline  # noqa: F401 - importing it gives `input` editing and history
            return input(invitation)
        if self.interactive:
            print(invitation, end="", file=sys.stderr, flush=True)
        try:
            line = sys.stdin.readline()
        except OSError:  # the terminal is gone
            line = ""
        if not line:
            raise EOFError
        return line.removesuffix("\n")


@contextmanager
def interrupt_flag() -> Iterator[list[int]]:
    """Collect Ctrl-C in a list instead of raising, so that the model can stop after a whole character."""
    arrived: list[int] = []
    with _handled(("SIGINT",), lambda number, frame: arrived.append(number)):
        yield arrived


@contextmanager
def raising_termination() -> Iterator[None]:
    """Raise `Terminated` when SIGTERM or SIGHUP arrives."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise Terminated(number)

    with _handled(("SIGTERM", "SIGHUP"), stop):
        yield


@contextmanager
def _handled(names: tuple[str, ...], handler: Callable[[int, FrameType | None], Any]) -> Iterator[None]:
    """Handle the signals that this system has; one that the process was started to ignore stays ignored."""
    numbers = [signal.Signals(getattr(signal, name)) for name in names if hasattr(signal, name)]
    previous = {number: signal.getsignal(number) for number in numbers}
    caught = [number for number in numbers if previous[number] is not signal.SIG_IGN]
    for number in caught:
        signal.signal(number, handler)
    try:
        yield
    finally:
        for number in caught:
            signal.signal(number, previous[number])
