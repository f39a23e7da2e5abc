"""An exponential moving average of the weights."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from charlstm.nn.parameters import dense_parameters


class WeightEMA:
    """An exponential moving average of a model's weights (Polyak & Juditsky 1992).

    The decay after n steps is ``min(decay, (1 + n) / (10 + n))``, so that the first weights are soon forgotten. Sparse
    tables are not averaged: a step changes few of their rows, and averaging all rows would take longer than the step.
    `torch.optim.swa_utils.AveragedModel` averages them too, and keeps a second model where a list of tensors is enough.

    Args:
        model: the network whose weights are averaged.
        decay: share of the average that is kept at each step; with 0 it equals the weights.

    Attributes:
        weights: the averages, by parameter name.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self._live = dense_parameters(model)
        self._decay = decay
        self.weights: dict[str, Tensor] = {name: weight.detach().clone() for name, weight in self._live.items()}

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Update the averages after a step.

        Args:
            step: the number of the step, from 1.
        """
        decay = min(self._decay, (1 + step) / (10 + step))
        torch._foreach_lerp_(list(self.weights.values()), list(self._live.values()), 1.0 - decay)

    @torch.no_grad()
    def swap(self) -> None:
        """Exchange the averages and the model's weights; a second call undoes the first."""
        for name, live in self._live.items():
            saved = live.detach().clone()
            live.copy_(self.weights[name])
            self.weights[name].copy_(saved)
