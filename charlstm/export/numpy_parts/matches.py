"""The match memory: what last followed the same few tokens."""

from __future__ import annotations

from typing import TypeAlias

from charlstm.export.numpy_parts.arrays import Array, weights
from charlstm.export.numpy_parts.ngrams import ngram_hash
from charlstm.export.numpy_parts.settings import MATCH_ORDERS, MATCH_SLOTS, VOCAB_SIZE

Slots: TypeAlias = dict[tuple[int, int], tuple[int, int]]


def slot_and_tag(recent: tuple[int, ...], order: int) -> tuple[tuple[int, int], int]:
    """Where in the memory the last tokens belong, and a tag by which they are known there.

    Args:
        recent: the last tokens, the newest first: ids plus 1, 0 before the text began.
        order: how many of them.

    Returns:
        The slot, and the tag.
    """
    hashed = ngram_hash(recent[:order])
    return (order, hashed % MATCH_SLOTS), hashed // MATCH_SLOTS % 1024


def remembered(slots: Slots, recent: tuple[int, ...], token: int) -> Slots:
    """The memory after it was told which token followed the last ones.

    Args:
        slots: the memory; it is not changed.
        recent: the tokens before, the newest first.
        token: its id.
    """
    after = dict(slots)
    for order in MATCH_ORDERS:
        slot, tag = slot_and_tag(recent, order)
        after[slot] = (tag, token + 1)
    return after


def match_embedding(slots: Slots, recent: tuple[int, ...]) -> Array:
    """The sum of an embedding for each number of equal tokens: that of the token that followed, or of "no match".

    Args:
        slots: the memory.
        recent: the last tokens, the newest first.
    """
    rows = []
    for k, order in enumerate(MATCH_ORDERS):
        slot, tag = slot_and_tag(recent, order)
        stored_tag, number = slots.get(slot, (0, 0))
        rows.append(k * (VOCAB_SIZE + 1) + (number if stored_tag == tag else 0))
    summed: Array = weights()["side_inputs.match.weight"][rows].sum(0)
    return summed
