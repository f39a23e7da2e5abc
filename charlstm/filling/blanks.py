r"""Texts with blanks to fill: ``the sky is ____``, ``I speak fluent {3-9} now``.

::

    ____        a run of underscores: one character each
    {}          any length from 1 to 12
    {5} {3-9}   a length, or a range of lengths; {-5} starts at 1, {5-} ends at 12
    \_ \{ \\    a literal underscore, brace or backslash

A brace that begins none of these is a character like any other.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from charlstm.errors import UsageError

MAX_DEFAULT = 12
"""The most characters ``{}`` stands for."""
MAX_VARIABLE = 64
"""The most characters a blank of variable length may stand for: each length is tried."""
MAX_FIXED = 1000
"""The most characters any blank may stand for."""

_SYNTAX = re.compile(r"\\(?P<literal>[_{\\])|(?P<run>_+)|\{(?P<range>(?P<from>[0-9]*)(?P<to>-[0-9]*)?)\}")
_SHOWN = 20  # characters of a wrong blank that a message repeats


@dataclass(frozen=True)
class Blank:
    """A blank of ``shortest`` to ``longest`` tokens."""

    shortest: int
    longest: int

    @property
    def variable(self) -> bool:
        """Whether its length has to be found too."""
        return self.shortest < self.longest


@dataclass(frozen=True)
class Blanked:
    """A text with blanks: ``texts[0] blanks[0] texts[1] … blanks[-1] texts[-1]``; a text may be empty."""

    texts: tuple[str, ...]
    blanks: tuple[Blank, ...]

    def filled(self, fillings: tuple[str, ...]) -> str:
        """The text with one filling in each blank."""
        return "".join(text + filling for text, filling in zip(self.texts, (*fillings, ""), strict=True))


def parse(text: str) -> Blanked:
    """Find the blanks of a text.

    Raises:
        UsageError: there is none, or its length is out of range.
    """
    texts, blanks, end = [""], [], 0
    for match in _SYNTAX.finditer(text):
        texts[-1] += text[end : match.start()]
        end = match.end()
        if match["literal"]:
            texts[-1] += match["literal"]
        else:
            blanks.append(_blank(match))
            texts.append("")
    texts[-1] += text[end:]
    if not blanks:
        raise UsageError(
            "the text has no blank", hint="Write ____ for four characters, {} for 1 to 12, {3-9} for 3 to 9."
        )
    return Blanked(tuple(texts), tuple(blanks))


def index_outside_blanks(text: str, character: str) -> int:
    """The first index of a character in a text, not counting its blanks; it must occur there.

    Args:
        text: with blanks.
        character: the character to find.
    """
    blanks = [match.span() for match in _SYNTAX.finditer(text) if not match["literal"]]
    indices = (index for index, other in enumerate(text) if other == character)
    return next(index for index in indices if not any(begin <= index < end for begin, end in blanks))


def _blank(match: re.Match[str]) -> Blank:
    if not match["run"] and not match["range"]:
        return Blank(1, MAX_DEFAULT)
    shortest = len(match["run"] or "") or _length(match["from"], default=1)
    longest = _length(match["to"][1:], default=max(MAX_DEFAULT, shortest)) if match["to"] else shortest
    if not 1 <= shortest <= longest or longest > (MAX_VARIABLE if shortest < longest else MAX_FIXED):
        shown = match[0] if len(match[0]) < _SHOWN else f"{match[0][: _SHOWN - 4]}…"
        hint = f"{{A}} is a length of 1 to {MAX_FIXED:,}, {{A-B}} one from A to B, at most {MAX_VARIABLE}."
        raise UsageError(f"no such blank: {shown}", hint=hint)
    return Blank(shortest, longest)


def _length(digits: str, *, default: int) -> int:
    """The number that digits spell; one of more digits than any length has is only known to be too large."""
    digits = digits.lstrip("0") or digits[:1]
    return default if not digits else int(digits) if len(digits) <= len(str(MAX_FIXED)) else MAX_FIXED + 1
