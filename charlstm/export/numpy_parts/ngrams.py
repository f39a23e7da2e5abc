"""Embeddings of the last few tokens together."""

from __future__ import annotations

from charlstm.export.numpy_parts.arrays import Array, weights
from charlstm.export.numpy_parts.settings import NGRAM_BUCKETS, NGRAM_ORDER

LOW_BITS = (1 << 31) - 1


def mix(number: int) -> int:
    """31 bits, each of which depends on every bit of a number."""
    number &= LOW_BITS
    number = (number ^ (number >> 15)) * 0x2C1B3C6D & LOW_BITS
    return number ^ (number >> 12)


def ngram_hash(recent: tuple[int, ...]) -> int:
    """A number for a few tokens together, the newest first; others hardly ever have the same."""
    hashed = mix(recent[0])
    for number in recent[1:]:
        hashed = mix(hashed * 0x1E3779B1 + number)
    return hashed


def ngram_embedding(recent: tuple[int, ...]) -> Array:
    """The sum of the embeddings of the last 2, 3, … tokens; those with one bucket share an embedding.

    Args:
        recent: the last tokens, the newest first: ids plus 1, 0 before the text began.
    """
    rows = [ngram_hash(recent[:order]) % NGRAM_BUCKETS for order in range(2, NGRAM_ORDER + 1)]
    summed: Array = weights()["side_inputs.ngrams.weight"][rows].sum(0)
    return summed
