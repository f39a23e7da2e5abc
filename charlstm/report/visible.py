"""Characters made visible, so that no text can command a terminal or reorder what stands around it."""

from __future__ import annotations

import unicodedata

_BIDI = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
_SIGNS = {" ": "␣", "\n": "⏎", "\t": "⇥", "\r": "␍"}


def visible(text: str) -> str:
    """Text whose control characters, escapes and bidirectional controls are replaced by visible signs.

    Newlines and tabs stay. C0 controls become their control pictures (U+2400…), all others ``<U+XXXX>``.
    """
    if text.isprintable() and text.isascii():
        return text
    return "".join(map(_visible_character, text))


def sign_of(text: str) -> str:
    """A character by itself, as it can be read in a label: blanks and line ends have a sign.

    Args:
        text: a character, or a token of several.
    """
    return "".join(_SIGNS.get(character) or _visible_character(character) for character in text)


def cell_of(text: str) -> str:
    """As `sign_of`, in one character: what stands in a column of a map. A token of several has its first.

    Args:
        text: a character or a token.
    """
    shown = sign_of(text[:1])
    if len(shown) != 1 or unicodedata.category(shown) in {"Mn", "Me", "Cf"}:
        return "�"
    return shown


def _visible_character(character: str) -> str:
    if character in "\n\t":
        return character
    point = ord(character)
    if point < 0x20:
        return chr(0x2400 + point)
    if point == 0x7F:
        return "\u2421"
    if character in _BIDI or unicodedata.category(character) in {"Cc", "Cs", "Zl", "Zp"}:
        return f"<U+{point:04X}>"
    return character
