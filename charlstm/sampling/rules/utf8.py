"""Ranges of characters as sequences of ranges of bytes, in UTF-8.

A range of code points is cut where the number of bytes changes, and then so that in every piece each byte runs through
a range by itself: U+0800 to U+FFFF is ``E0 A0-BF 80-BF``, ``E1-EF 80-BF 80-BF``, without the surrogates, which UTF-8
has not. After Russ Cox, "Regular Expression Matching in the Wild" (2010).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeAlias

ByteRanges: TypeAlias = tuple[tuple[int, int], ...]
"""For each byte of a character, the first and the last that it may be."""

_LENGTHS = ((0x0, 0x7F), (0x80, 0x7FF), (0x800, 0xD7FF), (0xE000, 0xFFFF), (0x10000, 0x10FFFF))
"""Code points of one byte, two, three and four, without the surrogates."""


def byte_ranges(first: int, last: int) -> Iterator[ByteRanges]:
    """The characters of a range as sequences of bytes.

    Args:
        first: the first code point.
        last: the last one.

    Yields:
        Ranges of bytes, one for each byte of a character; together they are all the characters, each once.
    """
    for low, high in _LENGTHS:
        if max(first, low) <= min(last, high):
            yield from _same_length(chr(max(first, low)).encode(), chr(min(last, high)).encode())


def _same_length(first: bytes, last: bytes) -> Iterator[ByteRanges]:
    """The same for two characters of as many bytes."""
    if first[1:] == b"\x80" * (len(first) - 1) and last[1:] == b"\xbf" * (len(last) - 1):
        yield ((first[0], last[0]), *((0x80, 0xBF),) * (len(first) - 1))
        return
    if first[0] == last[0]:
        yield from (((first[0], first[0]), *rest) for rest in _same_length(first[1:], last[1:]))
        return
    lowest, highest = b"\x80" * (len(first) - 1), b"\xbf" * (len(first) - 1)
    yield from _same_length(first, first[:1] + highest)
    if first[0] + 1 < last[0]:
        yield ((first[0] + 1, last[0] - 1), *((0x80, 0xBF),) * len(lowest))
    yield from _same_length(last[:1] + lowest, last)
