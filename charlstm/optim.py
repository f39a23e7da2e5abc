"""Parameter groups, the optimizer, the learning rate as a pure function of progress, and the average of weights."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from charlstm.config import TrainConfig


def make_optimizer(model: nn.Module, config: TrainConfig) -> torch.optim.Optimizer:
    """AdamW (Loshchilov & Hutter 2019), with weight decay on matrices and none on biases."""
    learning = [weight for weight in model.parameters() if weight.requires_grad]
    groups = [
        {"params": [weight for weight in learning if weight.dim() > 1], "weight_decay": config.weight_decay},
        {"params": [weight for weight in learning if weight.dim() <= 1], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=config.lr, betas=(0.9, config.beta2), fused=True)


def schedule(progress: float, warmup: float) -> float:
    """The share of the highest learning rate at a point of the budget.

    A straight rise over the warm-up, then half a cosine down to zero at the end (Loshchilov & Hutter 2017).

    Args:
        progress: share of the budget used, in [0, 1].
        warmup: share of the budget in which the rate rises.
    """
    if progress < warmup:
        return progress / warmup
    return 0.5 + 0.5 * math.cos(math.pi * min(1.0, (progress - warmup) / (1.0 - warmup)))


class Average:
    """An exponential moving average of a model's weights (Polyak & Juditsky 1992).

    The decay rises with the steps taken, ``min(decay, (1 + n) / (10 + n))``, so that the beginning is forgotten.

    Args:
        model: the weights to follow.
        decay: share of the average kept at each step; 0 follows the weights exactly.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self._live: list[Tensor] = [weight for weight in model.parameters() if weight.requires_grad]
        self._decay = decay
        self.weights: list[Tensor] = [weight.detach().clone() for weight in self._live]

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Take in the weights after step number ``step``, counted from 1."""
        decay = min(self._decay, (1 + step) / (10 + step))
        torch._foreach_lerp_(self.weights, self._live, 1.0 - decay)

    @torch.no_grad()
    def swap(self) -> None:
        """Exchange the average and the live weights; a second call undoes the first."""
        for mean, live in zip(self.weights, self._live, strict=True):
            kept: Tensor = live.detach().clone()
            live.copy_(mean)
            mean.copy_(kept)
