"""The table of a side input in training."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import embedding, embedding_bag

from charlstm.nn.dropout import DropoutRng
from charlstm.nn.side_inputs.base import SideInput


class SideInputTable(nn.Module):
    """Embeddings, of which the rows that a side input chooses are added up. They begin as zeros: as if there were none.

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
        """The sum of the embeddings at each token.

        Args:
            rows: (B, T, K).
            rng: of what is dropped in training.

        Returns:
            (B, T, E).
        """
        kept = None
        if self.training and self.side.dropout:
            kept = rng.mask(self.weight, rows.shape, self.side.dropout, batch_dim=0)
        if self.side.sparse:
            weights = None if kept is None else kept.flatten(0, 1)
            summed = embedding_bag(rows.flatten(0, 1), self.weight, mode="sum", sparse=True, per_sample_weights=weights)
            return summed.view(*rows.shape[:2], -1)
        found = embedding(rows, self.weight)
        return (found if kept is None else found * kept[..., None]).sum(2)
