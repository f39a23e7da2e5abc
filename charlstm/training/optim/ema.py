"""An exponential moving average of the weights."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from charlstm.nn.parameters import dense_weights


class Average:
    """An exponential moving average of a model's weights (Polyak & Juditsky 1992).

    The decay rises with the steps taken, ``min(decay, (1 + n) / (10 + n))``, so that the beginning is forgotten. Tables
    have none: a step moves few of their rows, and an average of all would cost more than the step.

    Args:
        model: the weights to follow.
        decay: share of the average kept at each step; 0 follows the weights exactly.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self._live = dense_weights(model)
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
