"""The table of a side input as a torch module."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import embedding, embedding_bag

from charlstm.nn.dropout import DropoutRng
from charlstm.nn.side_inputs.base import SideInput


class SideInputTable(nn.Module):
    """A table of embeddings; adds up the rows that a side input chooses. It starts at zero, and so without any effect.

    Args:
        side: the side input.
        vocab_size: V.
        embedding_size: E.
    """

    def __init__(self, side: SideInput, vocab_size: int, embedding_size: int) -> None:
        super().__init__()
        self.side = side
        self.weight = nn.Parameter(torch.zeros(side.table_rows(vocab_size), embedding_size))

    def forward(self, rows: Tensor, rng: DropoutRng) -> Tensor:
        """Add up the embeddings for each token.

        Args:
            rows: row indices, (B, T, K).
            rng: the source of dropout masks in training.

        Returns:
            The sums, (B, T, E).
        """
        mask = None
        if self.training and self.side.dropout:
            mask = rng.mask(self.weight, rows.shape, self.side.dropout, batch_dim=0)
        if self.side.sparse:
            weights = None if mask is None else mask.flatten(0, 1)
            summed = embedding_bag(rows.flatten(0, 1), self.weight, mode="sum", sparse=True, per_sample_weights=weights)
            return summed.view(*rows.shape[:2], -1)
        embeddings = embedding(rows, self.weight)
        return (embeddings if mask is None else embeddings * mask[..., None]).sum(2)
