"""An exponential moving average of the weights."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from charlstm.nn.parameters import dense_parameters


class WeightEMA:
    """An exponential moving average of a model's weights (Polyak & Juditsky 1992).

    The decay rises with the steps taken, ``min(decay, (1 + n) / (10 + n))``, so that the beginning is forgotten. Sparse
    tables have none: a step moves few of their rows, and averaging all would cost more than the step. That is why it is
    not `torch.optim.swa_utils.AveragedModel`, which also keeps a second model where a list of tensors is enough.

    Args:
        model: the weights to follow.
        decay: share of the average kept at each step; 0 follows the weights exactly.

    Attributes:
        weights: the averages, by the names of the parameters.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self._live = dense_parameters(model)
        self._decay = decay
        self.weights: dict[str, Tensor] = {name: weight.detach().clone() for name, weight in self._live.items()}

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Take in the weights after a step.

        Args:
            step: its number, from 1.
        """
        decay = min(self._decay, (1 + step) / (10 + step))
        torch._foreach_lerp_(list(self.weights.values()), list(self._live.values()), 1.0 - decay)

    @torch.no_grad()
    def swap(self) -> None:
        """Exchange the averages and the live weights; a second call undoes the first."""
        for name, live in self._live.items():
            kept = live.detach().clone()
            live.copy_(self.weights[name])
            self.weights[name].copy_(kept)
