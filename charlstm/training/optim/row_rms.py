"""RMSprop for tables of which a step reads a few rows."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

from charlstm.training.optim.base import Optimizer


class RowRms(Optimizer):
    """RMSprop for a table of which a step reads a few rows, with one scale a column for all of them.

    Of the rows that were read, W with gradient G, at step t::

        v = β₂ v' + (1 - β₂) · mean of G² over those rows
        W = (1 - lr · decay) W' - lr/2 · G / (√(v / (1 - β₂ᵗ)) + ε)

    A row that is read often has a large gradient and moves far; one that is read once moves little, where Adam would
    take it as far as any. That, and the decay, keep a table from learning its text by heart. Nothing is remembered of
    a row, so that it costs no more memory than the table (RMSprop: Tieleman & Hinton 2012).

    Args:
        params: tables, (rows, features), with sparse gradients.
        lr: the learning rate, that of the other weights: half of it is taken.
        beta2: β₂.
        decay: share of a row taken off at a learning rate of 1, whenever it is read.
    """

    EPSILON = 1e-8
    LR = 0.5

    def __init__(self, params: Iterable[Any], lr: float, beta2: float, decay: float) -> None:
        super().__init__(params, lr=lr, beta2=beta2, decay=decay)

    def state_shapes(self, weight: Tensor) -> dict[str, tuple[int, ...]]:
        """See `Optimizer`."""
        return {"step": (), "v": tuple(weight.shape[1:])}

    def _move(self, table: Tensor, gradient: Tensor, group: dict[str, Any]) -> None:
        gradient = gradient.coalesce()
        state, beta2, lr = self.state[table], group["beta2"], group["lr"]
        if not state:
            state["step"], state["v"] = torch.zeros(()), torch.zeros_like(table[0])
        state["step"] += 1
        rows, seen = gradient.indices()[0], gradient.values()
        v = state["v"].lerp_(seen.square().mean(0), 1 - beta2)
        scale = (v / (1 - beta2 ** int(state["step"]))).sqrt().add_(self.EPSILON)
        kept = table.index_select(0, rows).mul_(max(0.0, 1 - lr * group["decay"]))
        table.index_copy_(0, rows, kept.addcdiv_(seen, scale, value=-self.LR * lr))
