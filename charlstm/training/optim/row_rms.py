"""RMSprop for tables with sparse gradients."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

from charlstm.training.optim.base import Optimizer


class RowRms(Optimizer):
    """RMSprop for tables with sparse gradients, with one second moment per column, shared by all rows.

    For the rows W that step t has read, with gradient G::

        v = β₂ v' + (1 - β₂) · mean of G² over those rows
        W = (1 - lr · decay) W' - lr/2 · G / (√(v / (1 - β₂ᵗ)) + ε)

    A frequently read row has a large gradient and changes much; a row that is read once changes little, where Adam
    would change all rows equally. Together with the decay this keeps a table from memorising its text. There is no
    state per row, so memory is hardly more than that of the table (RMSprop: Tieleman & Hinton 2012).

    Args:
        params: tables, (rows, E), with sparse gradients.
        lr: the learning rate of the dense weights; tables use half of it.
        beta2: β₂.
        decay: the share by which a row shrinks at a learning rate of 1, each time it is read.
    """

    EPSILON = 1e-8
    LR = 0.5

    def __init__(self, params: Iterable[Any], lr: float, beta2: float, decay: float) -> None:
        super().__init__(params, lr=lr, beta2=beta2, decay=decay)

    def state_shapes(self, weight: Tensor) -> dict[str, tuple[int, ...]]:
        """See `Optimizer`."""
        return {"step": (), "v": tuple(weight.shape[1:])}

    def _update(self, table: Tensor, gradient: Tensor, group: dict[str, Any]) -> None:
        gradient = gradient.coalesce()
        state, beta2, lr = self.state[table], group["beta2"], group["lr"]
        if not state:
            state["step"], state["v"] = torch.zeros(()), torch.zeros_like(table[0])
        state["step"] += 1
        rows, row_gradients = gradient.indices()[0], gradient.values()
        v = state["v"].lerp_(row_gradients.square().mean(0), 1 - beta2)
        scale = (v / (1 - beta2 ** int(state["step"]))).sqrt().add_(self.EPSILON)
        decayed = table.index_select(0, rows).mul_(max(0.0, 1 - lr * group["decay"]))
        table.index_copy_(0, rows, decayed.addcdiv_(row_gradients, scale, value=-self.LR * lr))
