"""Ctrl-C and SIGTERM: the first asks training to finish its step and save, the second leaves at once."""

from __future__ import annotations

import os
import signal
import sys
import warnings
from types import FrameType, TracebackType
from typing import Any

from charlstm.cli.views.terminal import is_terminal, say


class StopRequest:
    """Catches the signals while it is entered; called, it says whether one has come.

    Args:
        doing: what is told to be done now.
        quiet: whether to say nothing: of several processes one says it.
    """

    def __init__(self, doing: str = "finishing this step and saving", *, quiet: bool = False) -> None:
        self._doing, self._quiet = doing, quiet
        self._signal: int | None = None
        self._before: dict[int, Any] = {}

    def __call__(self) -> bool:
        """Whether to stop."""
        return self._signal is not None

    @property
    def exit_code(self) -> int:
        """130 after Ctrl-C, 143 after SIGTERM."""
        return 128 + (self._signal or signal.SIGINT)

    def __enter__(self) -> StopRequest:
        for number in (signal.SIGINT, signal.SIGTERM):
            self._before[number] = signal.signal(number, self._ask)
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, tb: TracebackType | None) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _ask(self, number: int, frame: FrameType | None) -> None:
        if self._signal is not None:
            # Files are written beside their place and renamed: whatever was last whole still is.
            os._exit(128 + number)
        self._signal = number
        if self._quiet:
            return
        if is_terminal(sys.stderr):
            print(file=sys.stderr)  # the bar's line, or the ^C a terminal shows, ends here
        say(f"{self._doing}; once more leaves at once")


def load_torch() -> None:
    """Import torch, with Ctrl-C put off until it is there: in the middle of it, its C++ answers with an abort.

    Raises:
        KeyboardInterrupt: it came meanwhile.
    """
    asked: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, frame: asked.append(number))
    # A GPU's fp32 path lays out a layer's weights anew for each window and says so; it takes microseconds.
    warnings.filterwarnings("ignore", message="RNN module weights are not part of single contiguous chunk")
    try:
        import torch  # noqa: F401
    finally:
        signal.signal(signal.SIGINT, before)
    if asked:
        raise KeyboardInterrupt
