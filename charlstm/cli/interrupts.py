"""Signals that ask for an end, Ctrl-C above all: the first asks training to save, a second one leaves at once."""

from __future__ import annotations

import os
import signal
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType
from typing import Any

from charlstm.cli.room import TORCH, check_room
from charlstm.cli.views.terminal import is_terminal, say


def stop_signals() -> list[signal.Signals]:
    """Return the signals that ask a process to stop: those that this system has and this process does not ignore.

    Windows has no SIGHUP, only Windows has SIGBREAK. What a process was started to ignore (``nohup``, a background job
    of a shell script) it continues to ignore.
    """
    names = ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK")
    known = [signal.Signals(getattr(signal, name)) for name in names if hasattr(signal, name)]
    return [number for number in known if signal.getsignal(number) is not signal.SIG_IGN]


class StopRequest:
    """Catches the stop signals while it is entered; calling it returns whether one has arrived.

    Args:
        doing: what the process does once a signal has arrived, for the message.
        quiet: print no message: of several processes only one prints it.
    """

    def __init__(self, doing: str = "finishing this step and saving", *, quiet: bool = False) -> None:
        self._doing, self._quiet = doing, quiet
        self._say: Callable[[str], None] = _say_on_a_new_line
        self._signal: int | None = None
        self._previous: dict[int, Any] = {}

    def __call__(self) -> bool:
        """Return whether to stop."""
        return self._signal is not None

    @property
    def exit_code(self) -> int:
        """128 and the signal's number: 129 after SIGHUP, 130 after Ctrl-C, 143 after SIGTERM."""
        return 128 + (self._signal or signal.SIGINT)

    @contextmanager
    def saying(self, say: Callable[[str], None]) -> Iterator[None]:
        """Print the message with ``say`` in a ``with`` block, for a view that rewrites lines of the terminal."""
        self._say = say
        try:
            yield
        finally:
            self._say = _say_on_a_new_line

    def __enter__(self) -> StopRequest:
        for number in stop_signals():
            self._previous[number] = signal.signal(number, self._handle)
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, tb: TracebackType | None) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self._signal is not None:
            if number == getattr(signal, "SIGHUP", None):
                return  # a closed terminal sends it twice, once by the kernel and once by the shell
            # Files are written under a temporary name and renamed: each is still as it was last written completely.
            os._exit(128 + number)
        self._signal = number
        if not self._quiet:
            self._say(f"{self._doing}; press Ctrl-C again to leave at once")


def _say_on_a_new_line(text: str) -> None:
    if is_terminal(sys.stderr):
        print(file=sys.stderr)  # ends the line of the progress bar, or of the ^C that a terminal shows
    say(text)


@contextmanager
def postponed_interrupt() -> Iterator[None]:
    """Postpone Ctrl-C to the end of the block; an ignored one stays ignored.

    Raises:
        KeyboardInterrupt: at the end, if one has arrived.
    """
    arrived: list[int] = []
    previous = signal.getsignal(signal.SIGINT)
    if previous is signal.SIG_IGN:
        yield
        return
    signal.signal(signal.SIGINT, lambda number, frame: arrived.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, previous)
    if arrived:
        raise KeyboardInterrupt


def load_torch() -> None:
    """Import torch, with Ctrl-C postponed until it is loaded: in the middle, its C++ code would answer with an abort.

    Raises:
        KeyboardInterrupt: Ctrl-C was pressed meanwhile.
        MemoryError: there is no room for it.
    """
    if "torch" not in sys.modules:
        check_room(TORCH)
    # On a GPU in fp32 a layer's weights are copied into one block for each window; that takes microseconds.
    warnings.filterwarnings("ignore", message="RNN module weights are not part of single contiguous chunk")
    with postponed_interrupt():
        import torch  # noqa: F401
