"""The known characters nearest to an unknown one: look-alikes, base letters, the other case, related names."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from itertools import chain

# Characters that look or mean alike although no Unicode decomposition connects them, the nearest first.
_LOOK_ALIKES: dict[str, tuple[str, ...]] = {
    **dict.fromkeys("\u2018\u2019\u201a\u201b\u2032\u2039\u203a`\u00b4\u02bc'", ("'", "\u2019", "`", '"')),
    **dict.fromkeys('\u201c\u201d\u201e\u201f\u2033\u00ab\u00bb"', ('"', "\u201d", "''", "'")),
    **dict.fromkeys("\u2010\u2011\u2012\u2013\u2212\u00ad-", ("-", "\u2013", "\u2014")),
    **dict.fromkeys("\u2014\u2015", ("--", "\u2014", "-")),
    **dict.fromkeys("\t\v\f\u0085\u00a0\u1680\u202f\u205f\u3000", (" ",)),
    **dict.fromkeys(map(chr, range(0x2000, 0x200B)), (" ",)),
    **dict.fromkeys("\r\u2028\u2029", ("\n", " ")),
    "\n": (" ",),
    "\u2026": ("...", "."),
    "\u2022": ("*", "-"),
    "\u00b7": (".", "*", "-"),
    "\u00d7": ("x", "*"),
    "\u00f7": ("/", ":"),
    "\u2044": ("/",),
    "\u00e6": ("ae",),
    "\u00c6": ("Ae", "AE", "ae"),
    "\u0153": ("oe",),
    "\u0152": ("Oe", "OE", "oe"),
    "\u00f0": ("d",),
    "\u00fe": ("th",),
    "\u0131": ("i",),
    ";": (",", ":"),
    ":": (";",),
    "[": ("(",),
    "]": (")",),
    "{": ("(",),
    "}": (")",),
    "&": ("and",),
}
_COMMON_WORDS = frozenset({"LETTER", "SMALL", "CAPITAL", "SIGN", "MARK", "WITH", "SYMBOL", "AND", "OF"})
_SIMILAR = 0.5
"""The share of words that two Unicode names must have in common (Jaccard index)."""


def nearest(character: str, known: frozenset[str] | set[str]) -> Iterator[str]:
    """Texts of known characters that can stand for a character, the nearest first, each once.

    Look-alikes come first (a straight quote for a curly one, three full stops for ``…``), then the base letter without
    its accents, then the other case, then characters whose Unicode names have most words in common.

    Args:
        character: the character to replace.
        known: the characters that may be used.
    """
    candidates = chain(
        _LOOK_ALIKES.get(character, ()),
        _simpler(character),
        *((simple.swapcase(), *_LOOK_ALIKES.get(simple, ())) for simple in (character, *_simpler(character))),
        _similar_names(character, known),
    )
    for candidate in dict.fromkeys(candidates):
        if candidate and candidate != character and known.issuperset(candidate):
            yield candidate


def describe_character(character: str) -> str:
    """A character with its code point and name: ``'é' (U+00E9 LATIN SMALL LETTER E WITH ACUTE)``."""
    words = unicodedata.name(character, "")
    code = f"U+{ord(character):04X}{' ' if words else ''}{words}"
    return f"{character!r} ({code})" if character.isprintable() else code


def _simpler(character: str) -> list[str]:
    """The character without accents, ligatures and styles; a digit of another script as 0 to 9; lower case."""
    parts = unicodedata.normalize("NFKD", character)
    bare = "".join(part for part in parts if not unicodedata.combining(part))
    digit = unicodedata.decimal(character, None)
    return [form for form in (bare, "" if digit is None else str(digit), character.casefold()) if form]


def _similar_names(character: str, known: frozenset[str] | set[str]) -> list[str]:
    """Known characters of the same Unicode category whose names share at least half of their distinctive words."""
    words = _distinctive_words(character)
    if not words:
        return []
    similarity = {}
    for other in known:
        others_words = _distinctive_words(other)
        if others_words and unicodedata.category(other) == unicodedata.category(character):
            similarity[other] = len(words & others_words) / len(words | others_words)
    similar = [other for other, share in similarity.items() if share >= _SIMILAR]
    return sorted(similar, key=lambda other: (-similarity[other], other))


def _distinctive_words(character: str) -> set[str]:
    return set(unicodedata.name(character, "").replace("-", " ").split()) - _COMMON_WORDS
