"""When a drawn text ends: before or after a stop text, or after a number of lines."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, TypeAlias

FinishReason: TypeAlias = Literal["length", "stop", "lines", "rule"]
"""Why a text ended: it reached its length, a stop text, its number of lines, or a place where its rules end it."""


class StopRules:
    """Ends a text before or after a stop text or after a number of lines, whichever is complete first.

    A stop text may arrive in any number of fragments. Only the longest suffix that could still grow into a stop text
    is held back. If two stop texts are complete at the same character, the one that begins first counts.

    Args:
        stop: texts that end it; they are not returned.
        stop_after: texts that end it and are its end.
        lines: newlines after which it ends, the last one included; 0 is no limit.

    Attributes:
        finish_reason: the rule that ended the text; None before that.
    """

    def __init__(self, stop: Sequence[str] = (), lines: int = 0, stop_after: Sequence[str] = ()) -> None:
        self.finish_reason: FinishReason | None = None
        self._kept = {**dict.fromkeys(stop, False), **dict.fromkeys(stop_after, True)}  # stop text → is it returned?
        self._longest = max(map(len, self._kept), default=0)
        self._lines = lines
        self._idle = not (self._kept or lines)
        self._held = ""

    def push(self, text: str) -> str:
        """Add a fragment; return the text that is now certain, or nothing once the text has ended."""
        if self._idle:
            return text
        if self.finish_reason:
            return ""
        held = self._held + text
        matches = self._matches(held)
        if matches:
            _, cut, self.finish_reason = min(matches, key=lambda match: match[:2])
            self._held = ""
            return held[:cut]
        cut = len(held) - self._possible_stop(held)
        self._held = held[cut:]
        self._lines -= held.count("\n", 0, cut)
        return held[:cut]

    def flush(self) -> str:
        """Return what was held back: the text is over, so it cannot become a stop text any more."""
        rest, self._held = self._held, ""
        return rest

    def _matches(self, held: str) -> list[tuple[int, int, FinishReason]]:
        """Each rule that the text meets: where the match is complete, where to cut the text, which rule."""
        matches: list[tuple[int, int, FinishReason]] = []
        for stop, kept in self._kept.items():
            start = held.find(stop)
            if start >= 0:
                end = start + len(stop)
                matches.append((end, end if kept else start, "stop"))
        # Without a limit the count starts at 0 and goes below, so it is never met.
        if self._lines > 0 and held.count("\n") >= self._lines:
            end = _end_of_line(held, self._lines)
            matches.append((end, end, "lines"))
        return matches

    def _possible_stop(self, text: str) -> int:
        """The length of the longest suffix of the text that is a prefix of a stop text."""
        for length in range(min(self._longest - 1, len(text)), 0, -1):
            if any(stop.startswith(text[-length:]) for stop in self._kept):
                return length
        return 0


def _end_of_line(text: str, number: int) -> int:
    """The index just after the ``number``-th newline."""
    index = 0
    for _ in range(number):
        index = text.index("\n", index) + 1
    return index
