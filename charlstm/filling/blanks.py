r"""Texts with blanks to fill: ``the sky is ____``, ``I speak fluent {3-9} now``.

::

    ____        a run of underscores: one character each
    {}          any length from 1 to 12
    {5} {3-9}   a length, or a range of lengths; {-5} begins with 1, {5-} ends with 12
    \_ \{ \\    an underscore, a brace, a backslash that are meant as such

A brace that begins none of these is a character like any other.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from charlstm.errors import UsageError

FREE = 12
"""The most characters ``{}`` stands for."""
LONGEST = 64
"""The most characters a blank of free length may stand for: each length is tried."""
MOST = 1000
"""The most characters any blank may stand for."""

_PARTS = re.compile(r"\\(?P<meant>[_{\\])|(?P<run>_+)|\{(?P<range>(?P<from>[0-9]*)(?P<to>-[0-9]*)?)\}")


@dataclass(frozen=True)
class Blank:
    """A gap of ``shortest`` to ``longest`` tokens."""

    shortest: int
    longest: int

    @property
    def free(self) -> bool:
        """Whether its length is to be found too."""
        return self.shortest < self.longest


@dataclass(frozen=True)
class Blanked:
    """A text with blanks: ``texts[0] blanks[0] texts[1] … blanks[-1] texts[-1]``; a text may be empty."""

    texts: tuple[str, ...]
    blanks: tuple[Blank, ...]

    def filled(self, fillings: tuple[str, ...]) -> str:
        """The text with something in each blank."""
        return "".join(text + filling for text, filling in zip(self.texts, (*fillings, ""), strict=True))


def parse(text: str) -> Blanked:
    """Find the blanks of a text.

    Raises:
        UsageError: there is none, or one that cannot be.
    """
    texts, blanks, end = [""], [], 0
    for part in _PARTS.finditer(text):
        texts[-1] += text[end : part.start()]
        end = part.end()
        if part["meant"]:
            texts[-1] += part["meant"]
        else:
            blanks.append(_blank(part))
            texts.append("")
    texts[-1] += text[end:]
    if not blanks:
        raise UsageError(
            "the text has no blank", hint="Write ____ for four characters, {} for a few, {3-9} for 3 to 9."
        )
    return Blanked(tuple(texts), tuple(blanks))


def place_of(text: str, character: str) -> int:
    """Where a character stands in a text outside its blanks, for the first time; it must stand there."""
    blanks = [part.span() for part in _PARTS.finditer(text) if not part["meant"]]
    places = (place for place, other in enumerate(text) if other == character)
    return next(place for place in places if not any(begin <= place < end for begin, end in blanks))


def _blank(part: re.Match[str]) -> Blank:
    if not part["run"] and not part["range"]:
        return Blank(1, FREE)
    shortest = len(part["run"] or "") or int(part["from"] or 1)
    longest = shortest if not part["to"] else int(part["to"][1:] or max(FREE, shortest))
    if not 1 <= shortest <= longest or longest > (LONGEST if shortest < longest else MOST):
        what = part[0] if len(part[0]) < 20 else f"{part[0][:16]}…"
        hint = f"{{A}} is a length of 1 to {MOST:,}, {{A-B}} one from A to B, at most {LONGEST}."
        raise UsageError(f"no such blank: {what}", hint=hint)
    return Blank(shortest, longest)
