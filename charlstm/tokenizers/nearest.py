"""The known characters that can stand for an unknown one: look-alikes, base letters, the other case."""

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
    "\u00bf": ("?",),
    "\u00a1": ("!",),
    "\u00e6": ("ae",),
    "\u00c6": ("Ae", "AE", "ae"),
    "\u0153": ("oe",),
    "\u0152": ("Oe", "OE", "oe"),
    "\u00f0": ("d",),
    "\u00fe": ("th",),
    "\u0131": ("i",),
    "[": ("(",),
    "]": (")",),
    "{": ("(",),
    "}": (")",),
    "&": ("and",),
}


def nearest(character: str, known: frozenset[str] | set[str]) -> Iterator[str]:
    """Texts of known characters that can stand for a character, the nearest first, each once.

    Look-alikes come first (a straight quote for a curly one, three full stops for ``…``), then the base letter without
    its accents, then the other case. A character that stands for something else never comes: nothing is near to 山.

    Args:
        character: the character to replace.
        known: the characters that may be used.
    """
    simpler = _simpler(character)
    candidates = chain(
        _LOOK_ALIKES.get(character, ()),
        simpler,
        *((simple.swapcase(), *_LOOK_ALIKES.get(simple, ())) for simple in (character, *simpler)),
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
    forms = (bare, "" if digit is None else str(digit), _unadorned(character), character.casefold())
    return [form for form in forms if form]


def _unadorned(character: str) -> str:
    """The letter that one with a stroke, a hook or the like is by its name: l for ł; nothing for all others."""
    base, adorned, _ = unicodedata.name(character, "").partition(" WITH ")
    try:
        return unicodedata.lookup(base) if adorned else ""
    except KeyError:
        return ""
