"""Embeddings of n-grams: what the last few tokens are together, looked up instead of worked out.

Letters: B batch, T time, N tokens of the longest n-gram, E features of an embedding.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from charlstm.ngrams import rows_of


def nothing_read(batch: int, order: int, device: torch.device) -> Tensor:
    """The memory before any text, (B, N - 1)."""
    return torch.zeros(batch, order - 1, dtype=torch.int64, device=device)


def look_up(inputs: Tensor, memory: Tensor, rows: int) -> tuple[Tensor, Tensor]:
    """The rows (`charlstm.ngrams`) of the n-grams that end at each token.

    Args:
        inputs: ids, (B, T).
        memory: the numbers of the N - 1 tokens before them, the newest last, (B, N - 1).
        rows: of the table.

    Returns:
        rows, (B, T, N - 1), and the memory after.
    """
    time, before = inputs.shape[1], memory.shape[1]
    read = torch.cat((memory, inputs + 1), 1)
    last = [read[:, before - back : before - back + time] for back in range(before + 1)]
    return torch.stack(rows_of(last, rows), -1), read[:, time:]


class NGrams(nn.Module):
    """A table of embeddings for n-grams of 2 to N tokens; those that end at a token are added to its own embedding.

    A step reads few of its rows, and no product: a large table costs hardly more time than a small one. It begins as
    zeros: the network begins as if it were not there. Its gradient is sparse.

    Args:
        order: N, at least 2.
        rows: of the table, for n-grams of all lengths.
        features: E.
    """

    def __init__(self, order: int, rows: int, features: int) -> None:
        super().__init__()
        self.order = order
        self.table = nn.EmbeddingBag(rows, features, mode="sum", sparse=True)
        nn.init.zeros_(self.table.weight)

    def forward(self, inputs: Tensor, memory: Tensor | None) -> tuple[Tensor, Tensor]:
        """The sum of their embeddings for each token, (B, T, E), and the memory after; None is before any text."""
        if memory is None:
            memory = nothing_read(len(inputs), self.order, inputs.device)
        rows, memory = look_up(inputs, memory, self.table.num_embeddings)
        return self.table(rows.flatten(0, 1)).view(*inputs.shape, -1), memory
