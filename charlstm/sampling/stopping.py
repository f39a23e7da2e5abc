"""When a drawn text ends: at a stop text, or after a number of lines."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, TypeAlias

Ending: TypeAlias = Literal["", "stop", "lines"]
"""Which rule ended a text; empty while none has."""


class StopRules:
    """Ends a text at a stop text or after a number of lines, whichever is complete first.

    A stop text may arrive in any number of pieces. No more is held back than the longest end of the text that could
    still become a stop text. Of two that are complete at the same character, the one that begins first counts.

    Args:
        stop: texts that end it; they are not given out.
        lines: line ends after which it ends; the last one is given out. 0 does not count.

    Attributes:
        ending: which rule has been met.
    """

    def __init__(self, stop: Sequence[str] = (), lines: int = 0) -> None:
        self.ending: Ending = ""
        self._stop = tuple(stop)
        self._longest = max(map(len, self._stop), default=0)
        self._lines = lines
        self._idle = not (stop or lines)
        self._held = ""

    def push(self, text: str) -> str:
        """What can be given out now that ``text`` has arrived; nothing once the text has ended."""
        if self._idle:
            return text
        if self.ending:
            return ""
        held = self._held + text
        met = self._met(held)
        if met:
            _, cut, self.ending = min(met)
            self._held = ""
            return held[:cut]
        cut = len(held) - self._possible_stop(held)
        self._held = held[cut:]
        self._lines -= held.count("\n", 0, cut)
        return held[:cut]

    def flush(self) -> str:
        """What was held back: the text is over, so it cannot become a stop text any more."""
        rest, self._held = self._held, ""
        return rest

    def _met(self, held: str) -> list[tuple[int, int, Ending]]:
        """The rules met within the text: where each is complete, where it cuts the text, which it is."""
        met: list[tuple[int, int, Ending]] = []
        for stop in self._stop:
            start = held.find(stop)
            if start >= 0:
                met.append((start + len(stop), start, "stop"))
        # The count goes on below 0 when lines are not asked for, and is then never met.
        if self._lines > 0 and held.count("\n") >= self._lines:
            end = _behind_newline(held, self._lines)
            met.append((end, end, "lines"))
        return met

    def _possible_stop(self, text: str) -> int:
        """The length of the longest end of the text that begins a stop text."""
        for length in range(min(self._longest - 1, len(text)), 0, -1):
            if any(stop.startswith(text[-length:]) for stop in self._stop):
                return length
        return 0


def _behind_newline(text: str, number: int) -> int:
    """The place behind the ``number``-th newline."""
    place = 0
    for _ in range(number):
        place = text.index("\n", place) + 1
    return place
