"""Evenly spaced pieces of a text too long to be used whole; the same text always gives the same pieces."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

PIECE = 1 << 14
"""Characters per piece."""


def evenly(chunks: Iterable[str], share: float) -> Iterator[str]:
    """Yield about ``share`` of a text, in pieces of `PIECE` characters spread evenly over it, however it is cut.

    Args:
        chunks: the text.
        share: in [0, 1]; 1 or more yields everything.
    """
    if share >= 1:
        yield from chunks
        return
    for index, piece in enumerate(recut(chunks, PIECE)):
        if int((index + 1) * share) > int(index * share):
            yield piece


def recut(chunks: Iterable[str], size: int) -> Iterator[str]:
    """Yield a text in pieces of equal length; only the last may be shorter.

    Args:
        chunks: the text.
        size: characters per piece.
    """
    remaining = ""
    for chunk in chunks:
        remaining += chunk
        whole = len(remaining) - len(remaining) % size
        for begin in range(0, whole, size):
            yield remaining[begin : begin + size]
        remaining = remaining[whole:]
    if remaining:
        yield remaining
