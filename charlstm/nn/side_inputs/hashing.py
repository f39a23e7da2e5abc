"""The rows of a table that the last tokens stand for: n-grams, hashed.

With x_t the number of the token read at step t, counted from 1, and 0 where no text was yet, R rows and the longest
n-gram N tokens long::

    h_1 = mix(x_t)
    h_n = mix(h_(n-1) · P + x_(t-n+1))        from the token at t back to the first of the n-gram
    row_n = h_n mod R                         n = 2, …, N

Different n-grams may share a row: R is far less than their number. Those that matter are met often, and win it.

Source: hashed n-grams as features: Bojanowski et al. 2017 (fastText); as embeddings of a language model over bytes:
Pagnoni et al. 2024 (BLT).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

_BITS = (1 << 31) - 1
_P, _C = 0x1E3779B1, 0x2C1B3C6D  # below 2³¹, so that no product leaves 63 bits


def rows_of(last: Sequence[Any], rows: int) -> list[Any]:
    """The row of each n-gram that ends at the newest token, from the shortest (2 tokens) to the longest.

    Args:
        last: the tokens' numbers, the newest first; whole numbers, or arrays or tensors of 64-bit ones, element by
            element.
        rows: R.
    """
    return [hashed % rows for hashed in hashes_of(last)]


def hashes_of(last: Sequence[Any]) -> list[Any]:
    """h_2, …, h_N: 31 bits that stand for each n-gram that ends at the newest token.

    Args:
        last: as `rows_of`.
    """
    newest, *older = last
    found = []
    mixed = _mix(newest)
    for number in older:
        mixed = _mix(mixed * _P + number)
        found.append(mixed)
    return found


def _mix(value: Any) -> Any:
    """31 bits, each of which depends on all of a whole number's."""
    value = value & _BITS
    value = (value ^ (value >> 15)) * _C & _BITS
    return value ^ (value >> 12)
