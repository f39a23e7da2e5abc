r"""The regular expressions of `match`: from their text to a tree.

Python's syntax, as far as it describes a regular language: literals, ``.``, classes, ``\d \w \s`` and their opposites,
groups, ``|`` and quantifiers. A lazy quantifier describes the same texts as a greedy one. The whole text has to match,
so ``^`` and ``$`` mean something only at the ends, and nothing new there. What remembers or looks around is refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from typing import TypeAlias

import numpy as np

from charlstm.errors import UsageError

Ranges: TypeAlias = tuple[tuple[int, int], ...]
"""Code points: the first and the last of each range, sorted, apart from each other."""

_LAST = 0x10FFFF
_DEEPEST = 100
"""Groups within groups, at most."""


@dataclass(frozen=True)
class Characters:
    """One character out of some."""

    ranges: Ranges
    begin: int
    """Where it stands in the expression."""
    end: int


@dataclass(frozen=True)
class Sequence:
    """One part after the other; without parts it is the empty text."""

    parts: tuple[Tree, ...]


@dataclass(frozen=True)
class Choice:
    """One of several ways."""

    ways: tuple[Tree, ...]


@dataclass(frozen=True)
class Repeat:
    """A part several times."""

    part: Tree
    least: int
    most: int | None
    """None is any number."""


Tree: TypeAlias = Characters | Sequence | Choice | Repeat

_REFUSED = {
    "(?=": "looks ahead",
    "(?!": "looks ahead",
    "(?<=": "looks back",
    "(?<!": "looks back",
    "(?P=": "refers back to a group",
    "(?(": "depends on a group",
    "(?>": "forbids to try again",
    "(?#": "is a comment",
}
_ESCAPED = {"n": "\n", "t": "\t", "r": "\r", "f": "\f", "v": "\v", "a": "\a"}
_HEXADECIMAL = {"x": 2, "u": 4, "U": 8}
_QUANTIFIER = re.compile(r"[*+?]|\{(?=[^}])(?P<least>[0-9]*)(?P<comma>,)?(?P<most>[0-9]*)\}")
_GROUP = re.compile(r"\((?:\?(?::|P<[^\W\d]\w*>))?")
_HINT = "It takes literals, classes, groups, | and the quantifiers * + ? {m,n}."


def parse(pattern: str) -> Tree:
    """Read a regular expression.

    Args:
        pattern: its text.

    Raises:
        UsageError: it is none, or describes no regular language.
    """
    return _Parser(pattern).parse()


def literal(text: str) -> Tree:
    """The expression that only one text matches."""
    return Sequence(tuple(Characters(_one(character), place, place + 1) for place, character in enumerate(text)))


class _Parser:
    """Reads an expression from left to right."""

    def __init__(self, pattern: str) -> None:
        self._pattern = pattern
        self._at = 0

    def parse(self) -> Tree:
        tree = self._choice(0)
        if self._at < len(self._pattern):
            raise _fault("closes a group that was not opened", self._at)
        return tree

    def _sees(self, text: str) -> bool:
        return self._pattern.startswith(text, self._at)

    def _takes(self, text: str) -> bool:
        """Whether a text comes next, which is then read."""
        seen = self._sees(text)
        self._at += len(text) * seen
        return seen

    def _choice(self, depth: int) -> Tree:
        ways = [self._sequence(depth)]
        while self._takes("|"):
            ways.append(self._sequence(depth))
        return ways[0] if len(ways) == 1 else Choice(tuple(ways))

    def _sequence(self, depth: int) -> Tree:
        parts: list[Tree] = []
        begin = self._at
        while self._at < len(self._pattern) and self._pattern[self._at] not in "|)":
            if self._is_anchor():
                self._anchor(begin, depth)
            else:
                parts.append(self._quantified(self._atom(depth)))
        return parts[0] if len(parts) == 1 else Sequence(tuple(parts))

    def _is_anchor(self) -> bool:
        return any(map(self._sees, ("^", "$", r"\A", r"\Z")))

    def _anchor(self, begin: int, depth: int) -> None:
        """Read an anchor of the whole text, which changes nothing."""
        at, is_first = self._at, self._at == begin
        opens = self._sees("^") or self._sees(r"\A")
        self._at += 2 if self._sees("\\") else 1
        is_last = self._at == len(self._pattern) or self._sees("|")
        if depth or not (is_first if opens else is_last):
            raise _fault("has an anchor in its midst", at, "The whole text has to match, so no ^ or $ is needed.")

    def _atom(self, depth: int) -> Tree:
        at, character = self._at, self._pattern[self._at]
        if character == "(":
            return self._group(depth)
        if character == "[":
            return Characters(self._class(), at, self._at)
        if _QUANTIFIER.match(self._pattern, at):
            raise _fault("repeats nothing", at)
        self._at += 1
        if character == "\\":
            return Characters(self._escape(at), at, self._at)
        return Characters(_without(_one("\n")) if character == "." else _one(character), at, self._at)

    def _group(self, depth: int) -> Tree:
        at = self._at
        for begin, what in _REFUSED.items():
            if self._sees(begin):
                raise _fault(what, at, _HINT)
        opened = _GROUP.match(self._pattern, at)
        assert opened
        self._at = opened.end()
        if self._sees("?"):
            raise _fault("has a group of an unknown kind, or a flag", at, _HINT)
        if depth == _DEEPEST:
            raise _fault(f"has more than {_DEEPEST} groups in each other", at)
        tree = self._choice(depth + 1)
        if not self._takes(")"):
            raise _fault("opens a group and does not close it", at)
        return tree

    def _quantified(self, tree: Tree) -> Tree:
        at = self._at
        found = _QUANTIFIER.match(self._pattern, at)
        if not found:
            return tree
        self._at = found.end()
        least, most = _bounds(found)
        if most is not None and most < least:
            raise _fault("repeats something less often than at least", at)
        self._takes("?")  # lazy: the same texts
        if self._sees("+"):
            raise _fault("forbids to try again", self._at, _HINT)
        if _QUANTIFIER.match(self._pattern, self._at):
            raise _fault("repeats a repetition", self._at, "Put the first one into a group.")
        return Repeat(tree, least, most)

    # ---- one character ----------------------------------------------------------------------------------------------

    def _escape(self, at: int, *, in_class: bool = False) -> Ranges:
        """Read what follows a backslash."""
        if self._at == len(self._pattern):
            raise _fault("ends with a backslash", at)
        character = self._pattern[self._at]
        self._at += 1
        if character in "dDwWsS":
            return _category("\\" + character)
        if character in _ESCAPED or (in_class and character == "b"):
            return _one(_ESCAPED.get(character, "\b"))
        if character in _HEXADECIMAL:
            return self._number(at, _HEXADECIMAL[character])
        if character in "0123456789":
            return self._octal(at, in_class=in_class)
        if character in "bB":
            raise _fault("has a word boundary", at, _HINT)
        if character.isascii() and character.isalpha():
            raise _fault(f"has \\{character}, which means nothing", at)
        return _one(character)

    def _number(self, at: int, digits: int) -> Ranges:
        typed = self._pattern[self._at : self._at + digits]
        if not re.fullmatch(f"[0-9a-fA-F]{{{digits}}}", typed) or int(typed, 16) > _LAST:
            raise _fault(f"has no character of {digits} hexadecimal digits", at)
        self._at += digits
        return _one(chr(int(typed, 16)))

    def _octal(self, at: int, *, in_class: bool) -> Ranges:
        found = re.compile(r"0[0-7]{0,2}|[0-3][0-7]{2}").match(self._pattern, at + 1)
        if not found:
            raise _fault("has no such character" if in_class else "refers back to a group", at, _HINT)
        self._at = found.end()
        return _one(chr(int(found[0], 8)))

    def _class(self) -> Ranges:
        """Read a class in brackets."""
        at = self._at
        self._at += 1
        negated = self._takes("^")
        ranges: list[tuple[int, int]] = []
        begin = self._at
        while self._at == begin or not self._sees("]"):
            if self._at >= len(self._pattern):
                raise _fault("opens a class and does not close it", at)
            ranges += self._class_item(at)
        self._at += 1
        return _without(merged(ranges)) if negated else merged(ranges)

    def _class_item(self, at: int) -> Ranges:
        """Read a character, a range or an escape of a class that begins ``at`` a place."""
        first_at = self._at
        first = self._class_character()
        if not self._sees("-") or self._pattern.startswith("-]", self._at):
            return first
        self._at += 1
        if self._at >= len(self._pattern):
            raise _fault("opens a class and does not close it", at)
        last = self._class_character()
        (low, high), (low_end, high_end) = (first[0][0], last[0][0]), (first[-1][1], last[-1][1])
        if low != low_end or high != high_end or high < low:
            raise _fault("has no such range", first_at)
        return ((low, high),)

    def _class_character(self) -> Ranges:
        at = self._at
        self._at += 1
        return self._escape(at, in_class=True) if self._pattern[at] == "\\" else _one(self._pattern[at])


def _fault(what: str, at: int, hint: str = "") -> UsageError:
    return UsageError(f"`match` {what}, at position {at}", hint=hint)


def _bounds(quantifier: re.Match[str]) -> tuple[int, int | None]:
    """How often, at least and at most."""
    if quantifier[0] in ("*", "+", "?"):
        return int(quantifier[0] == "+"), 1 if quantifier[0] == "?" else None
    least, most = (int(digits[:9]) if digits else None for digits in quantifier.group("least", "most"))
    return least or 0, most if quantifier["comma"] else least


# ---- ranges of code points ------------------------------------------------------------------------------------------


def _one(character: str) -> Ranges:
    return ((ord(character), ord(character)),)


def merged(ranges: Iterable[tuple[int, int]]) -> Ranges:
    """The same code points, sorted and in as few ranges as can be."""
    joined: list[tuple[int, int]] = []
    for first, last in sorted(ranges):
        if joined and first <= joined[-1][1] + 1:
            joined[-1] = joined[-1][0], max(last, joined[-1][1])
        else:
            joined.append((first, last))
    return tuple(joined)


def _without(ranges: Ranges) -> Ranges:
    """All other code points."""
    borders = [-1, *(border for pair in ranges for border in pair), _LAST + 1]
    gaps = zip(borders[::2], borders[1::2], strict=True)
    return tuple((before + 1, after - 1) for before, after in gaps if before + 1 < after)


@cache
def _category(escape: str) -> Ranges:
    r"""The code points of ``\d``, ``\w``, ``\s`` or an opposite, as Python has them."""
    everything = np.arange(_LAST + 1, dtype="<u4").tobytes().decode("utf-32-le", "surrogatepass")
    return tuple((found.start(), found.end() - 1) for found in re.finditer(f"{escape}+", everything))
