"""Evenly spaced pieces of a text that is too long to be used whole; the same text always gives the same pieces."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

PIECE = 1 << 14
"""Characters of one piece."""


def evenly(chunks: Iterable[str], share: float) -> Iterator[str]:
    """About ``share`` of a text, in pieces of `PIECE` characters spread evenly over it, wherever the chunks are cut.

    Args:
        chunks: the text.
        share: in [0, 1]; 1 and more passes everything.
    """
    if share >= 1:
        yield from chunks
        return
    for index, piece in enumerate(recut(chunks, PIECE)):
        if int((index + 1) * share) > int(index * share):
            yield piece


def recut(chunks: Iterable[str], size: int) -> Iterator[str]:
    """The text in pieces of exactly ``size`` characters; only the last may be shorter."""
    rest = ""
    for chunk in chunks:
        rest += chunk
        whole = len(rest) - len(rest) % size
        for begin in range(0, whole, size):
            yield rest[begin : begin + size]
        rest = rest[whole:]
    if rest:
        yield rest
