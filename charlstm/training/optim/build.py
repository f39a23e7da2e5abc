"""The optimizers of a run, with their parameter groups."""

from __future__ import annotations

import torch
from torch import nn

from charlstm.config import TrainConfig
from charlstm.nn.parameters import dense_parameters, sparse_tables
from charlstm.training.optim.base import AnyOptimizer
from charlstm.training.optim.row_rms import RowRms
from charlstm.training.optim.soap import Soap


def make_optimizers(model: nn.Module, config: TrainConfig) -> list[AnyOptimizer]:
    """The optimizer that the settings name, with weight decay on matrices only, and those of sparse tables.

    Args:
        model: whose weights they move.
        config: `optimizer`, `lr`, `beta2` and `weight_decay` are used.
    """
    dense = list(dense_parameters(model).values())
    groups = [
        {"params": [weight for weight in dense if weight.dim() > 1], "weight_decay": config.weight_decay},
        {"params": [weight for weight in dense if weight.dim() <= 1], "weight_decay": 0.0},
    ]
    betas = (0.9, config.beta2)
    first: AnyOptimizer = (
        torch.optim.AdamW(groups, lr=config.lr, betas=betas, fused=True)
        if config.optimizer == "adamw"
        else Soap(groups, lr=config.lr, betas=betas)
    )
    return [
        first,
        *(RowRms([table.weight], config.lr, config.beta2, table.side.decay) for table in sparse_tables(model)),
    ]
