"""What followed the last time (`charlstm.nn.side_inputs.match_entries`), for whole windows, and its embeddings.

Letters: B batch, T time, K orders, R entries a memory, N tokens of the longest n-gram, V vocabulary, E features.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import torch
from torch import Tensor, nn

from charlstm.nn.side_inputs.hashing import hashes_of
from charlstm.nn.side_inputs.match_entries import entry_of, number_in, place_of

Memory: TypeAlias = tuple[Tensor, ...]
"""The numbers of the last N tokens, the newest last, (B, N), and the entries, (B, K, R)."""

_PIECE = 64
"""Tokens that are compared with one another; of longer windows piece after piece."""


def nothing_read(batch: int, orders: Sequence[int], rows: int, device: torch.device) -> Memory:
    """The memory before any text."""
    return (
        torch.zeros(batch, max(orders), dtype=torch.int64, device=device),
        torch.zeros(batch, len(orders), rows, dtype=torch.int32, device=device),
    )


def recall(inputs: Tensor, memory: Memory, orders: Sequence[int]) -> tuple[Tensor, Memory]:
    """What followed the n-grams that end at each token when they were last read.

    Args:
        inputs: ids, (B, T).
        memory: before them.
        orders: n of each of the K memories, 2 or more.

    Returns:
        f, numbers of tokens, 0 for none, (B, T, K), and the memory after.
    """
    found = []
    for piece in torch.split(inputs, _PIECE, 1):
        numbers, memory = _recall(piece, memory, orders)
        found.append(numbers)
    return torch.cat(found, 1), memory


def _recall(inputs: Tensor, memory: Memory, orders: Sequence[int]) -> tuple[Tensor, Memory]:
    before, entries = memory
    longest, time, rows = before.shape[1], inputs.shape[1], entries.shape[2]
    read = torch.cat((before, inputs + 1), 1)
    # Of the n-grams that end just before the piece, at its first token, …, at its last: (B, K, 1 + T).
    hashes = hashes_of([read[:, longest - 1 - back : longest + time - back] for back in range(longest)])
    hashed = torch.stack([hashes[order - 2] for order in orders], 1)
    places = place_of(hashed, rows)
    # The entries written when each token is read, and for each place of the memory the tokens that write there.
    written = entry_of(hashed[..., :-1], read[:, None, longest:], rows)
    here = places[..., :, None] == places[..., None, :-1]
    read_by_then, last = _latest(here[..., 1:, :].tril()), _latest(here[..., :-1, :])
    held = entries.gather(2, places[..., 1:]).to(torch.int64)
    entry = torch.where(read_by_then < 0, held, written.gather(2, read_by_then.clamp(min=0)))
    # Tokens that write to the same place all write what the last of them does: in whatever order, that stays.
    entries = entries.scatter(2, places[..., :-1], written.gather(2, last).to(entries.dtype))
    return number_in(entry, hashed[..., 1:], rows).transpose(1, 2), (read[:, time:], entries)


def _latest(which: Tensor) -> Tensor:
    """The highest number along the last axis that is true, -1 where none is."""
    numbers = torch.arange(which.shape[-1], dtype=torch.int32, device=which.device)
    return torch.where(which, numbers, -1).amax(-1).to(torch.int64)


class Recall(nn.Module):
    """Embeddings of what followed the last time, one for each order and number, which are added to the token's own.

    They begin as zeros: the network begins as if they were not there.

    Args:
        orders: n of each memory, 2 or more.
        rows: R.
        vocab_size: V.
        features: E.
    """

    def __init__(self, orders: Sequence[int], rows: int, vocab_size: int, features: int) -> None:
        super().__init__()
        self.orders, self.rows = tuple(orders), rows
        self.embedding = nn.Embedding(len(self.orders) * (vocab_size + 1), features)
        nn.init.zeros_(self.embedding.weight)

    def forward(self, inputs: Tensor, memory: Memory | None) -> tuple[Tensor, Memory]:
        """The sum of the embeddings at each token, (B, T, E), and the memory after; None is before any text."""
        if memory is None:
            memory = nothing_read(len(inputs), self.orders, self.rows, inputs.device)
        numbers, memory = recall(inputs, memory, self.orders)
        return self.embedding(in_table(numbers, self.embedding.num_embeddings)).sum(2), memory


def in_table(numbers: Tensor, size: int) -> Tensor:
    """The rows of the embeddings, which lie order below order, for numbers (…, K); ``size`` is that of all."""
    orders = numbers.shape[-1]
    return numbers + torch.arange(orders, device=numbers.device) * (size // orders)
