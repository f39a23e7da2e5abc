"""Creates the optimizers of a run, with their parameter groups."""

from __future__ import annotations

import torch
from torch import nn

from charlstm.config import TrainConfig
from charlstm.nn.parameters import dense_parameters, sparse_tables
from charlstm.training.optim.base import AnyOptimizer
from charlstm.training.optim.row_rms import RowRms
from charlstm.training.optim.soap import Soap


def make_optimizers(model: nn.Module, config: TrainConfig) -> list[AnyOptimizer]:
    """Create the optimizer of the dense weights, with weight decay on matrices only, and one for each sparse table.

    Args:
        model: the network.
        config: the settings `optimizer`, `lr`, `beta2` and `weight_decay`.

    Returns:
        The optimizer of the dense weights first.
    """
    dense = list(dense_parameters(model).values())
    groups = [
        {"params": [weight for weight in dense if weight.dim() > 1], "weight_decay": config.weight_decay},
        {"params": [weight for weight in dense if weight.dim() <= 1], "weight_decay": 0.0},
    ]
    betas = (0.9, config.beta2)
    dense_optimizer: AnyOptimizer = (
        torch.optim.AdamW(groups, lr=config.lr, betas=betas, fused=True)
        if config.optimizer == "adamw"
        else Soap(groups, lr=config.lr, betas=betas)
    )
    return [
        dense_optimizer,
        *(RowRms([table.weight], config.lr, config.beta2, table.side.decay) for table in sparse_tables(model)),
    ]
