"""The optimizers of a run, with their parameter groups."""

from __future__ import annotations

import torch
from torch import nn

from charlstm.config import TrainConfig
from charlstm.nn.parameters import dense_weights, tables
from charlstm.training.optim.base import Optimizer
from charlstm.training.optim.row_rms import RowRms
from charlstm.training.optim.soap import Soap


def make_optimizers(model: nn.Module, config: TrainConfig) -> list[Optimizer]:
    """The optimizer of the settings, with weight decay on matrices and none on biases; behind it that of tables."""
    learning, read = dense_weights(model), tables(model)
    groups = [
        {"params": [weight for weight in learning if weight.dim() > 1], "weight_decay": config.weight_decay},
        {"params": [weight for weight in learning if weight.dim() <= 1], "weight_decay": 0.0},
    ]
    betas = (0.9, config.beta2)
    optimizers: list[Optimizer] = [
        torch.optim.AdamW(groups, lr=config.lr, betas=betas, fused=True)
        if config.optimizer == "adamw"
        else Soap(groups, lr=config.lr, betas=betas)
    ]
    return [*optimizers, RowRms(read, config.lr, config.beta2, config.ngram_decay)] if read else optimizers
