"""The words of a training text in a checkpoint: sorted, compressed, as bytes."""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from charlstm.errors import CorruptError

WORDS = "words"
"""The name of the tensor."""

_MOST, _MOST_WORDS = 1 << 24, 1 << 20
"""Bytes and words of a list, at most: a damaged one must not fill the memory. Training keeps 50,000 words."""


def pack_words(words: Iterable[str]) -> NDArray[np.uint8]:
    """Return words, none with a line end in it, as compressed bytes.

    Args:
        words: sorted, so that they compress well.
    """
    data = "\n".join(words).encode("utf-8", "surrogatepass")
    return np.frombuffer(zlib.compress(data, 9), np.uint8)


def unpack_words(packed: NDArray[Any]) -> tuple[str, ...]:
    """Return the words: the inverse of `pack_words`.

    Args:
        packed: its result, (bytes,).

    Raises:
        CorruptError: it is something else.
    """
    decoder = zlib.decompressobj()
    try:
        data = decoder.decompress(packed.astype(np.uint8, casting="no").tobytes(), _MOST)
        if data.count(b"\n") >= _MOST_WORDS:
            raise CorruptError(f"its list of words has more than {_MOST_WORDS:,} words")
        words = tuple(data.decode("utf-8", "surrogatepass").split("\n")) if data else ()
    except (ValueError, TypeError, zlib.error) as fault:
        raise CorruptError(f"its list of words cannot be read ({fault})") from fault
    if not decoder.eof:
        raise CorruptError("its list of words is cut short, or too long")
    return words
