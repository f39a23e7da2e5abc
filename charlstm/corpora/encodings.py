"""Encodings: their names, their byte order marks, and what to suggest when bytes do not fit.

No encoding is guessed unless that is asked for: without a mark a text is UTF-8 or an error, and the guess is only the
suggestion in that error.
"""

from __future__ import annotations

import codecs
import re
from difflib import get_close_matches
from encodings.aliases import aliases

from charlstm.errors import EncodingError, UsageError

# UTF-32-LE's mark begins with UTF-16-LE's, so it is tried first: no text in UTF-16 begins with a NUL.
_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
MARK_SIZE = 4
"""The longest mark, in bytes."""
MARK = "\ufeff"
"""The mark as a character."""
AUTO = "auto"
"""The setting with which an encoding is guessed."""

# Names that leave the byte order to the mark; without a mark it is little-endian, on every machine.
_BY_MARK = {
    "utf-8-sig": ("utf-8",),
    "utf-16": ("utf-16-le", "utf-16-be"),
    "utf-32": ("utf-32-le", "utf-32-be"),
}

_CONTROLS = re.compile(rb"[\x01-\x08\x0b\x0e-\x1a\x1c-\x1f\x7f]")
_CP1252_SIGNS = frozenset("€‚„…‘’“”•–—™¡§©«®°·»¿½¼¾£¥\xa0")
_SHORTEST = 16
"""Bytes below which a sample reads well in too many encodings."""
_UTF16 = ("utf_16_le", "utf_16_be")
_CANDIDATES = (
    *("cp1252", "shift_jis", "cp932", "euc_jp", "gb18030", "big5", "euc_kr", "cp949", "cp1251", "koi8_r", "cp866"),
    *("iso8859_5", "cp1250", "iso8859_2", "cp1253", "cp1254", "cp1255", "cp1256", "cp874", "mac_roman", *_UTF16),
)
"""What may be suggested; of several that read the same, the first. With more to choose from, the library errs more."""


def lookup(encoding: str) -> str:
    """Python's own name for an encoding.

    Raises:
        UsageError: there is no such encoding, or it is not one of text.
    """
    try:
        codec = codecs.lookup(encoding)
    except (LookupError, ValueError, UnicodeError):
        names = sorted({name.replace("_", "-") for pair in aliases.items() for name in pair} - {encoding})
        close = get_close_matches(encoding.lower().replace("_", "-"), names, n=3)
        hint = f"Close names: {', '.join(close)}" if close else "Common ones: utf-8, utf-16, cp1252, latin-1, gb18030"
        raise UsageError(f"there is no encoding {encoding!r}", where="encoding", hint=f"{hint}.") from None
    # This one attribute is how Python marks codecs of something other than text (zip, rot13, hex).
    if not codec._is_text_encoding or codec.incrementaldecoder is None:
        hint = "Common ones: utf-8, cp1252."
        raise UsageError(f"{encoding!r} is not an encoding of text", where="encoding", hint=hint)
    return codec.name


def detect(head: bytes, encoding: str | None) -> tuple[str, int]:
    """The encoding of a text, from its setting and its byte order mark.

    Args:
        head: the text's first bytes, at least `MARK_SIZE` of them unless the text is shorter.
        encoding: the setting, or None.

    Returns:
        The encoding to decode with, and the length of the byte order mark in bytes, 0 if there is none. A mark that
        contradicts the setting does not count as one.
    """
    name = None if encoding is None else lookup(encoding)
    possible = _BY_MARK.get(name, (name,)) if name else tuple(marked for _, marked in _MARKS)
    for mark, marked in _MARKS:
        if marked in possible and head.startswith(mark):
            return marked, len(mark)
    return possible[0] if name else "utf-8", 0


def looks_binary(head: bytes) -> bool:
    """Whether the first bytes of a file are not text: a NUL and no byte order mark (git's rule)."""
    return b"\0" in head and detect(head, None)[1] == 0


def zero_byte(name: str, offset: int, block: bytes, place: tuple[int, int]) -> EncodingError:
    """The error for the first NUL in what should be UTF-8.

    Args:
        name: the part.
        offset: the position of ``block[0]`` in the part, in bytes.
        block: bytes with a NUL.
        place: the line and column of the NUL, from 1.
    """
    zero = block.index(0)
    what = f"byte {offset + zero} is zero, which text never contains{_at(place)}"
    return _error(what, name, _around(block, zero, offset), None)


def bad_byte(
    name: str,
    offset: int,
    fault: UnicodeDecodeError,
    following: bytes,
    codec: str,
    encoding: str | None,
    place: tuple[int, int],
) -> EncodingError:
    """The error for a byte that is not text in the encoding.

    Args:
        name: the part.
        offset: the position of ``fault.object[0]`` in the part, in bytes.
        fault: the decoder's error.
        following: the bytes after ``fault.object``, as far as they are known.
        codec: the encoding it was read with.
        encoding: the setting, or None.
        place: the line and column of the byte, from 1.
    """
    what = f"byte {offset + fault.start} is 0x{fault.object[fault.start]:02X}, which is not {codec.upper()}"
    if fault.reason in ("unexpected end of data", "truncated data", "incomplete multibyte sequence"):
        what = f"ends inside a character: {what} by itself"
        facts = "Either it was cut off there, or the encoding is another one."
        hint = f"{facts} Let `bad_bytes='skip'` leave that place out, or set `encoding` to the right one."
        return EncodingError(what + _at(place), where=name, hint=hint, facts=facts)
    return _error(what + _at(place), name, _around(fault.object + following, fault.start, offset), encoding)


def _at(place: tuple[int, int]) -> str:
    line, column = place
    return f" (line {line:,}, column {column:,})"


def _around(block: bytes, place: int, offset: int) -> bytes:
    """The bytes around a place, from an even position of the part, so that pairs of bytes stay together."""
    begin = max(0, place - 2048)
    begin += (offset + begin) % 2
    return block[begin : place + 2048]


def _error(what: str, name: str, sample: bytes, encoding: str | None) -> EncodingError:
    """The error for a byte, with what to try, from the bytes around it."""
    unset = encoding is None or lookup(encoding).startswith("utf-8")
    if b"\0" in sample or len(_CONTROLS.findall(sample)) > len(sample) / 20:
        guess = _guess(sample, _UTF16) if unset else ""
        if not guess and unset and _has_few_zeros(sample):
            return _damaged(what, name)
        if not guess:
            hint = "It does not look like text."
            return EncodingError(what, where=name, hint=hint, facts=hint)
    elif _mostly_utf8(sample):
        if not unset:
            return EncodingError(what, where=name, hint="It reads well as UTF-8: leave `encoding` unset.")
        return _damaged(what, name)
    elif unset:  # in a few kB the library takes Spanish or Portuguese for cp1250, our own rule does not
        guess = "cp1252" if _reads_as_cp1252(sample) else _guess(sample, _CANDIDATES)
    else:
        guess = ""
    if not guess:
        return EncodingError(what, where=name, hint="Set `encoding` to the right one.")
    well = f"It reads well as {guess}"
    facts = f"{well}: convert it to UTF-8, for example with iconv."
    return EncodingError(what, where=name, hint=f"{well}: use `encoding={guess!r}`.", facts=facts, encoding=guess)


def _damaged(what: str, name: str) -> EncodingError:
    """The error for a byte in the middle of text in UTF-8."""
    damaged = "The text around it reads as UTF-8, so this place is damaged: repair it"
    hint = f"{damaged}, or let `bad_bytes='replace'` or `bad_bytes='skip'` pass over such places."
    return EncodingError(what, where=name, hint=hint, facts=f"{damaged}.")


def _guess(sample: bytes, candidates: tuple[str, ...]) -> str:
    """The candidate that the sample reads best in; "" if it reads well in none."""
    from charset_normalizer import from_bytes

    if len(sample) < _SHORTEST:
        return ""
    for cut in range(4):  # the sample may end inside a character
        matches = from_bytes(sample[: len(sample) - cut], cp_isolation=list(candidates))
        if matches:
            # This score names 20 of 20 samples of 4 kB in KOI8-R and in cp1255 correctly; its own `best()` 15 of each.
            best = max(matches, key=lambda match: match.coherence - 2 * match.chaos)
            name = next((each for each in candidates if each in best.could_be_from_charset), "")
            return name.replace("_", "-")
    return ""


def _has_few_zeros(sample: bytes) -> bool:
    """Whether it is UTF-8 but for a few NULs, as a crash leaves them in a log or a broken disk in a text."""
    odd = sample.count(0) + len(_CONTROLS.findall(sample))
    good, bad = _counts(sample)
    return odd <= len(sample) / 20 and good >= 2 * bad


def _mostly_utf8(sample: bytes) -> bool:
    good, bad = _counts(sample)
    return good > 2 * bad


def _counts(sample: bytes) -> tuple[int, int]:
    """How many characters beyond ASCII are UTF-8, and how many bytes are not."""
    good = sum(character > "\x7f" for character in sample.decode("utf-8", "ignore"))
    return good, sample.decode("utf-8", "backslashreplace").count("\\x")


def _reads_as_cp1252(sample: bytes) -> bool:
    """Whether the high bytes are few, and letters or signs that Western text uses."""
    try:
        high = [character for character in sample.decode("cp1252") if character > "\x7f"]
    except UnicodeDecodeError:
        return False
    usual = sum(character.isalpha() or character in _CP1252_SIGNS for character in high)
    return len(high) < len(sample) / 4 and usual >= 0.9 * len(high)
