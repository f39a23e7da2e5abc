"""Hashes of n-grams, the same function for Python integers (one step) and for tensors (a whole window).

With x_t the id of the token at step t plus 1, and 0 before the start of the text::

    h_1(t) = mix(x_t)
    h_n(t) = mix(h_(n-1)(t) · P + x_(t-n+1))        hash of the n tokens that end at step t

Source: hashed n-grams as features: Bojanowski et al. 2017 (fastText); in a byte-level language model: Pagnoni et
al. 2024 (BLT).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

_BITS = (1 << 31) - 1
_P, _C = 0x1E3779B1, 0x2C1B3C6D  # below 2³¹, so that no product needs more than 63 bits


def ngram_hashes(newest_first: Iterable[Any]) -> Iterator[Any]:
    """Yield h_2, h_3, …: a 31-bit hash of each n-gram that ends at the newest token, from the shortest to the longest.

    Args:
        newest_first: token numbers, the newest first: integers, or 64-bit integer arrays or tensors, which are hashed
            elementwise.

    Yields:
        Hashes of the same type.
    """
    numbers = iter(newest_first)
    mixed = _mix(next(numbers))
    for number in numbers:
        mixed = _mix(mixed * _P + number)
        yield mixed


def _mix(value: Any) -> Any:
    """Return 31 bits, each of which depends on every bit of ``value``."""
    value = value & _BITS
    value = (value ^ (value >> 15)) * _C & _BITS
    return value ^ (value >> 12)
