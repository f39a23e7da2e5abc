"""What a text costs without a network: by gzip, by xz, and by the frequencies of characters after the two before them.

All three know the training text, as the network does: a compressor is charged for what the validation text adds to the
compressed training text. Long texts are measured in part, so that it takes about a second.
"""

from __future__ import annotations

import lzma
import zlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from charlstm.tokenizers import Tokenizer
from charlstm.tokenizers.char import code_points

ORDER_2 = "order 2"
"""The name of the baseline of characters after two others."""
_COUNTED, _SCORED = 1 << 20, 1 << 16
"""Tokens before the validation text that are counted, and of the validation text that are scored, at most."""
_WINDOW, _FEED = 1 << 18, 1 << 14
"""Bytes before the text that xz sees (gzip sees 32 KiB of them), and bytes between two looks at the clock."""

Codes: TypeAlias = NDArray[Any]
"""A text as whole numbers, one for each character or byte, (characters,)."""


def baselines(
    train_ids: NDArray[Any],
    val_ids: NDArray[Any],
    tokenizer: Tokenizer,
    *,
    is_late: Callable[[], bool] = lambda: False,
) -> dict[str, float]:
    """Measure what the validation text costs without a network.

    Args:
        train_ids: the text before it, (tokens,).
        val_ids: the validation text, (tokens,).
        tokenizer: of both.
        is_late: asked now and then; from when it returns True, what is not yet measured is left out.

    Returns:
        Bits per character, or per byte for a tokenizer of bytes, by name: ``gzip``, ``order 2``, ``xz``. Without a
        validation text nothing.
    """
    before, text = (_bytes(ids, tokenizer) for ids in (train_ids[-_COUNTED:], val_ids[:_SCORED]))
    before_codes, codes = (_codes(data, tokenizer) for data in (before, text))
    if not len(codes):
        return {}
    measures: dict[str, Callable[[], float]] = {
        "gzip": lambda: _gzip(before, text) / len(codes),
        ORDER_2: lambda: witten_bell(before_codes, codes),
        "xz": lambda: _xz(before[-_WINDOW:], text, is_late) / len(codes),
    }
    measured = {}
    with suppress(TimeoutError):
        for name, measure in measures.items():
            if is_late():
                break
            measured[name] = measure()
    return measured


def witten_bell(before: Codes, text: Codes, order: int = 2) -> float:
    """The cross-entropy of a text under the frequencies of n-grams in the text before it, by Witten-Bell smoothing.

    With c(hx) occurrences of x after the context h, and t(h) different characters after it::

        p(x | h) = (c(hx) + t(h) p(x | h')) / (c(h) + t(h))

    where h' is h without its first character, and p(x | h) = p(x | h') after a context that never occurred. Below the
    empty context, every character of both texts is equally likely (Witten and Bell 1991; Chen and Goodman 1999, eq. 7).

    Args:
        before: the text whose n-grams are counted, (characters,); it may be empty.
        text: the text that follows it and is scored, (characters,), at least one.
        order: characters in the longest context.

    Returns:
        Bits per character.
    """
    alphabet, ids = np.unique(np.concatenate((before, text)), return_inverse=True)
    ids = ids.astype(np.int64)
    border, kinds = len(before), len(alphabet)
    probability = np.full(len(text), 1 / kinds)
    for length in range(order + 1):
        grams = _grams(ids, length + 1, kinds)
        counted = grams[: max(0, border - length)]  # those that end before the text
        # The first characters of a text without enough before it have no context of this length.
        scored = grams[max(0, border - length) :]
        whole = probability[len(text) - len(scored) :]
        occurrences = _Counts(counted)
        contexts = _Counts(counted // kinds)
        variety = _Counts(occurrences.keys // kinds)
        seen, different = contexts.of(scored // kinds), variety.of(scored // kinds)
        smoothed = (occurrences.of(scored) + different * whole) / np.maximum(seen + different, 1)
        whole[...] = np.where(seen > 0, smoothed, whole)
    return float(-np.log2(probability).mean())


class _Counts:
    """How often each key occurs."""

    def __init__(self, keys: NDArray[np.int64]) -> None:
        self.keys, self._counts = np.unique(keys, return_counts=True)

    def of(self, keys: NDArray[np.int64]) -> NDArray[np.int64]:
        """The count of each key, 0 of one that never occurred."""
        if not len(self.keys):
            return np.zeros(len(keys), np.int64)
        places = np.minimum(np.searchsorted(self.keys, keys), len(self.keys) - 1)
        return np.where(self.keys[places] == keys, self._counts[places], 0)


def _grams(ids: NDArray[np.int64], length: int, kinds: int) -> NDArray[np.int64]:
    """Each run of so many characters as one number, whose last digit in base ``kinds`` is the last character."""
    count = max(0, len(ids) - length + 1)
    grams = np.zeros(count, np.int64)
    for place in range(length):
        grams = grams * kinds + ids[place : place + count]
    return grams


def _gzip(before: bytes, text: bytes) -> int:
    """Bits that a text adds to a gzip file; its window of 32 KiB is filled with what is before."""
    window = before[-(1 << zlib.MAX_WBITS) :]
    compressor = zlib.compressobj(9, wbits=-zlib.MAX_WBITS, zdict=window) if window else zlib.compressobj(9, wbits=-15)
    return 8 * (len(compressor.compress(text)) + len(compressor.flush()))


def _xz(before: bytes, text: bytes, is_late: Callable[[], bool]) -> int:
    """Bits that a text adds to an xz file.

    Raises:
        TimeoutError: it became too late.
    """
    return 8 * (_xz_size(before + text, is_late) - _xz_size(before, is_late))


def _xz_size(data: bytes, is_late: Callable[[], bool]) -> int:
    compressor = lzma.LZMACompressor(preset=6)
    size = 0
    for chunk in _chunks(data):
        size += len(compressor.compress(chunk))
        if is_late():
            raise TimeoutError
    return size + len(compressor.flush())


def _chunks(data: bytes) -> Iterator[bytes]:
    return (data[begin : begin + _FEED] for begin in range(0, len(data), _FEED))


def _bytes(ids: NDArray[Any], tokenizer: Tokenizer) -> bytes:
    """The text of some ids in UTF-8; for a tokenizer of bytes the bytes as they are."""
    if tokenizer.kind == "byte":
        return ids.astype(np.uint8).tobytes()
    return tokenizer.decode(ids.tolist()).encode("utf-8", "replace")


def _codes(data: bytes, tokenizer: Tokenizer) -> Codes:
    """One number for each byte, or for each character of UTF-8."""
    if tokenizer.kind == "byte":
        return np.frombuffer(data, np.uint8)
    return code_points(data.decode("utf-8", "replace"))
