"""Encodings: their names, their byte order marks, and what to say when bytes do not fit.

Nothing is guessed behind a person's back: without a mark text is UTF-8 or an error. The guesses made here only word
the error's suggestion.
"""

from __future__ import annotations

import codecs
import re
from difflib import get_close_matches
from encodings.aliases import aliases

from charlstm.errors import TextError, UsageError

# UTF-32-LE's mark begins with UTF-16-LE's, so it is asked first: no text in UTF-16 begins with a zero.
_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
MARK_SIZE = 4
"""The longest mark, in bytes."""

# Names that leave the byte order to the mark; without one it is little-endian, on every machine.
_BY_MARK = {
    "utf-8-sig": ("utf-8",),
    "utf-16": ("utf-16-le", "utf-16-be"),
    "utf-32": ("utf-32-le", "utf-32-be"),
}

_CONTROLS = re.compile(rb"[\x01-\x08\x0b\x0e-\x1a\x1c-\x1f\x7f]")
_CP1252_SIGNS = frozenset("€‚„…‘’“”•–—™¡§©«®°·»¿½¼¾£¥\xa0")


def lookup(encoding: str) -> str:
    """The one name Python has for an encoding.

    Raises:
        UsageError: there is none of this name, or it is no encoding of text.
    """
    try:
        codec = codecs.lookup(encoding)
    except (LookupError, ValueError, UnicodeError):
        names = sorted({name.replace("_", "-") for pair in aliases.items() for name in pair} - {encoding})
        close = get_close_matches(encoding.lower().replace("_", "-"), names, n=3)
        hint = f"Close names: {', '.join(close)}" if close else "Common ones: utf-8, utf-16, cp1252, latin-1, gb18030"
        raise UsageError(f"there is no encoding {encoding!r}", where="--encoding", hint=f"{hint}.") from None
    # Python marks codecs that are no text (zip, rot13, hex) by this one attribute.
    if not codec._is_text_encoding or codec.incrementaldecoder is None:
        raise UsageError(f"{encoding!r} is no encoding of text", where="--encoding", hint="Common ones: utf-8, cp1252.")
    return codec.name


def detect(head: bytes, encoding: str | None) -> tuple[str, int]:
    """The encoding of a text that begins with ``head``.

    Args:
        head: its first bytes, at least `MARK_SIZE` of them unless the text is shorter.
        encoding: what the user said, or None.

    Returns:
        The encoding to decode with, and the length of the byte order mark in bytes, 0 when there is none. A mark that
        contradicts what the user said is not taken for one.
    """
    said = None if encoding is None else lookup(encoding)
    possible = _BY_MARK.get(said, (said,)) if said else tuple(marked for _, marked in _MARKS)
    for mark, marked in _MARKS:
        if marked in possible and head.startswith(mark):
            return marked, len(mark)
    return possible[0] if said else "utf-8", 0


def looks_binary(head: bytes) -> bool:
    """Whether the first bytes of a file are no text: a NUL and no byte order mark (git's rule)."""
    return b"\0" in head and detect(head, None)[1] == 0


def zero_byte(name: str, offset: int, block: bytes) -> TextError:
    """The error for the first zero byte in what should be UTF-8.

    Args:
        name: the part.
        offset: where the part holds ``block[0]``, in bytes.
        block: bytes with a zero.
    """
    zero = block.index(0)
    hint = _suggest(_around(block, zero, offset), None)
    return TextError(f"byte {offset + zero} is zero, which text never holds", where=name, hint=hint)


def bad_byte(name: str, offset: int, fault: UnicodeDecodeError, codec: str, encoding: str | None) -> TextError:
    """The error for a byte that is no text in the encoding.

    Args:
        name: the part.
        offset: where the part holds ``fault.object[0]``, in bytes.
        fault: what the decoder said.
        codec: the encoding it was read with.
        encoding: what the user said, or None.
    """
    what = f"byte {offset + fault.start} is 0x{fault.object[fault.start]:02X}, which is not {codec.upper()}"
    if fault.reason in ("unexpected end of data", "truncated data"):
        what = f"ends inside a character: {what} by itself"
    return TextError(what, where=name, hint=_suggest(_around(fault.object, fault.start, offset), encoding))


def _around(block: bytes, place: int, offset: int) -> bytes:
    """The bytes around a place, from an even place of the part on, so that pairs of bytes stay pairs."""
    begin = max(0, place - 2048)
    begin += (offset + begin) % 2
    return block[begin : place + 2048]


def _suggest(around: bytes, encoding: str | None) -> str:
    """What to try, from the bytes around the fault."""
    wide = _wide(around)
    if wide and encoding is None:
        return f"It looks like UTF-16: try --encoding {wide}."
    if b"\0" in around or len(_CONTROLS.findall(around)) > len(around) / 20:
        return "It does not look like text."
    if _mostly_utf8(around):
        if encoding is not None and not lookup(encoding).startswith("utf-8"):
            return "It reads well as UTF-8: leave --encoding out."
        return "The text around it reads as UTF-8, so this place is damaged: mend it."
    if (encoding is None or lookup(encoding).startswith("utf-8")) and _reads_as_cp1252(around):
        return "It reads well as cp1252: try --encoding cp1252."
    return "Name the right encoding with --encoding."


def _wide(around: bytes) -> str | None:
    """Which UTF-16 the bytes may be: Latin text in it has a zero at every other place."""
    even, odd = around[0::2].count(0), around[1::2].count(0)
    encoding = "utf-16-be" if even > odd else "utf-16-le"
    text = around[: len(around) & ~1].decode(encoding, "replace")
    latin = sum(character < "\u0250" and (character.isprintable() or character.isspace()) for character in text)
    return encoding if latin > 0.7 * len(text) else None


def _mostly_utf8(around: bytes) -> bool:
    good = sum(character > "\x7f" for character in around.decode("utf-8", "ignore"))
    bad = around.decode("utf-8", "backslashreplace").count("\\x")
    return good > 2 * bad


def _reads_as_cp1252(around: bytes) -> bool:
    """Whether the high bytes are few, and letters or signs that Western text uses."""
    try:
        high = [character for character in around.decode("cp1252") if character > "\x7f"]
    except UnicodeDecodeError:
        return False
    usual = sum(character.isalpha() or character in _CP1252_SIGNS for character in high)
    return len(high) < len(around) / 4 and usual >= 0.9 * len(high)
