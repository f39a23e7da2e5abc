"""Hashes of n-grams, computed alike from whole numbers (one step) and from tensors (a whole window).

With x_t the number of the token at step t, counted from 1, and 0 where there was no text yet::

    h_1(t) = mix(x_t)
    h_n(t) = mix(h_(n-1)(t) · P + x_(t-n+1))        of the n tokens that end at step t

Source: hashed n-grams as features: Bojanowski et al. 2017 (fastText); as embeddings of a language model over bytes:
Pagnoni et al. 2024 (BLT).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

_BITS = (1 << 31) - 1
_P, _C = 0x1E3779B1, 0x2C1B3C6D  # below 2³¹, so that no product needs more than 63 bits


def ngram_hashes(newest_first: Iterable[Any]) -> Iterator[Any]:
    """h_2, h_3, …: 31 bits for each n-gram that ends at the newest token, from the shortest on.

    Args:
        newest_first: numbers of tokens, the newest first: whole numbers, or arrays or tensors of 64-bit ones, which are
            hashed element by element.
    """
    numbers = iter(newest_first)
    mixed = _mix(next(numbers))
    for number in numbers:
        mixed = _mix(mixed * _P + number)
        yield mixed


def _mix(value: Any) -> Any:
    """31 bits, each of which depends on every bit of ``value``."""
    value = value & _BITS
    value = (value ^ (value >> 15)) * _C & _BITS
    return value ^ (value >> 12)
