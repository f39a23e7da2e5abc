"""Control characters made visible, so that no text can command a terminal or reorder what stands around it."""

from __future__ import annotations

import unicodedata

_BIDI = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def visible(text: str) -> str:
    """Text whose control characters, escapes and bidirectional controls are replaced by visible signs.

    Newlines and tabs stay. C0 controls become their control pictures (U+2400…), all others ``<U+XXXX>``.
    """
    if text.isprintable() and text.isascii():
        return text
    return "".join(map(_visible_character, text))


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
