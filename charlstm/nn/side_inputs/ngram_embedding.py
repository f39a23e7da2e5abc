"""Embeddings of n-grams: what the last few tokens are together, looked up instead of worked out.

Letters: B batch, T time, N tokens of the longest n-gram, E features of an embedding.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from charlstm.nn.recurrence import keep_mask
from charlstm.nn.side_inputs.hashing import rows_of


def nothing_read(batch: int, order: int, device: torch.device) -> Tensor:
    """The memory before any text, (B, N - 1)."""
    return torch.zeros(batch, order - 1, dtype=torch.int64, device=device)


def look_up(inputs: Tensor, memory: Tensor, rows: int) -> tuple[Tensor, Tensor]:
    """The rows (`charlstm.nn.side_inputs.hashing`) of the n-grams that end at each token.

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
        dropout: share of the n-grams that are not looked up in training, each drawn for itself: else the network
            relies on those that a text repeats, and on another text they are not there.
    """

    def __init__(self, order: int, rows: int, features: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.order, self.dropout = order, dropout
        zeros = torch.zeros(rows, features)
        self.table = nn.EmbeddingBag.from_pretrained(zeros, freeze=False, mode="sum", sparse=True)

    def forward(
        self,
        inputs: Tensor,
        memory: tuple[Tensor, ...] | None,
        generator: torch.Generator | None = None,
        part: tuple[int, int] | None = None,
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """The sum of their embeddings for each token, (B, T, E), and the memory after; None is before any text.

        ``generator`` and ``part`` are those of `nn.model.CharLM.forward`.
        """
        batch = len(inputs)
        before = nothing_read(batch, self.order, inputs.device) if memory is None else memory[0]
        rows, after = look_up(inputs, before, self.table.num_embeddings)
        kept = None
        if self.training and self.dropout:
            first, whole = part or (0, batch)
            mask = keep_mask(self.table.weight, (whole, *rows.shape[1:]), self.dropout, generator)
            kept = mask[first : first + batch].flatten(0, 1)
        return self.table(rows.flatten(0, 1), per_sample_weights=kept).view(*inputs.shape, -1), (after,)
