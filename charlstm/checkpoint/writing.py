"""What a network needs besides its weights to write well: settings of sampling, and places where texts begin."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from charlstm.schemas import Schema, parse, to_plain

_OPENING = 200
"""Characters of the text that a page shows first, at most."""
_SENTENCE = re.compile(r"[.!?][\"'”’]?\s+(?=[\"'“‘]?[A-Z]\w)")
"""What stands before a sentence."""


class Writing(Schema, frozen=True, kw_only=True):
    """How a network writes unless it is told otherwise."""

    temperature: Annotated[float, Meta(ge=0.0, le=1e6)] = 1.0
    top_p: Annotated[float, Meta(gt=0.0, le=1.0)] = 1.0
    min_p: Annotated[float, Meta(ge=0.0, le=1.0)] = 0.1
    no_repeat: Annotated[int, Meta(ge=0)] = 0
    """Tokens of a passage that may be said again; 0 is any number."""
    longest_run: Annotated[int, Meta(ge=0)] = 0
    """Equal tokens in a row, at most: as many as the training text has; 0 is any number."""
    starts: tuple[str, ...] = ()
    """Pieces of the training text, each of which ends where a paragraph, a line or a record begins. Without a prompt
    the network reads one of them, unseen, and writes what comes next."""
    record: str = ""
    """What ends each of the records that it has read; empty if it has read one text."""
    longest_record: Annotated[int, Meta(ge=0)] = 0
    """Tokens of the longest of them, with its end."""

    @property
    def opening(self) -> str:
        """A short text to begin with, where there is none yet: what begins with a sentence and ends a start."""
        for start in self.starts:
            sentence = _SENTENCE.search(start, max(0, len(start) - _OPENING))
            if sentence:
                return start[sentence.end() :]
        return ""

    @classmethod
    def from_plain(cls, values: Mapping[str, Any]) -> Writing:
        """Create it from plain values; unknown names, which a newer version may have added, are ignored.

        Raises:
            ConfigError: a value of the wrong type or out of range.
        """
        return parse(cls, {name: value for name, value in values.items() if name in cls.__struct_fields__})

    @classmethod
    def mixed(cls, parts: Sequence[tuple[Writing, float]]) -> Writing:
        """Return how several networks write together, each given with its weight.

        As the one with the largest weight does, the first of equals: what suits one text does not suit the mean of two.
        Records are written only if all write them, with one and the same end.
        """
        heaviest, _ = max(parts, key=lambda part: part[1])
        several = [writing for writing, _ in parts]
        if len({writing.record for writing in several}) > 1:
            return heaviest.replace(record="", longest_record=0)
        return heaviest.replace(longest_record=max(writing.longest_record for writing in several))

    def to_plain(self) -> dict[str, Any]:
        """Return the values by name, ready for JSON."""
        return to_plain(self)

    def replace(self, **changes: Any) -> Writing:
        """Return a copy with some values changed."""
        return msgspec.structs.replace(self, **changes)
