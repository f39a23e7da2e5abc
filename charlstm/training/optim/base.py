"""The base class of the optimizers."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypeAlias

import torch
from torch import Tensor


class Optimizer:
    """Parameter groups with their settings, and a state for each weight.

    It has the part of the interface of `torch.optim.Optimizer` that training uses. Creating one of torch's imports
    torch's compiler, which takes 1.7 s: a third of the time before the first step.

    Args:
        params: weights, or groups of weights with their own settings.
        settings: default settings of the groups.

    Attributes:
        param_groups: for each group its weights under ``params``, and its settings.
        state: tensors by name for each weight; empty before its first update.
    """

    def __init__(self, params: Iterable[Any], **settings: Any) -> None:
        groups = list(params)
        if not isinstance(groups[0], dict):
            groups = [{"params": groups}]
        self.param_groups: list[dict[str, Any]] = [{**settings, **group} for group in groups]
        self.state: dict[Tensor, dict[str, Tensor]] = {
            weight: {} for group in self.param_groups for weight in group["params"]
        }

    @torch.no_grad()
    def step(self) -> None:
        """Update every weight that has a gradient."""
        for group in self.param_groups:
            for weight in group["params"]:
                if weight.grad is not None:
                    self._update(weight, weight.grad, group)

    def _update(self, weight: Tensor, gradient: Tensor, group: dict[str, Any]) -> None:
        """Update a weight and its state in place."""
        raise NotImplementedError

    def state_shapes(self, weight: Tensor) -> dict[str, tuple[int, ...]]:
        """Return the name and shape of each tensor in the state of a weight after its first update."""
        raise NotImplementedError

    def load_weight_state(self, weight: Tensor, state: dict[str, Tensor]) -> None:
        """Set the state of one weight, on its device; the step count stays on the CPU.

        Args:
            weight: a weight of this optimizer.
            state: tensors by name, as in `state`.
        """
        self.state[weight] = {name: value if name == "step" else value.to(weight) for name, value in state.items()}


AnyOptimizer: TypeAlias = Optimizer | torch.optim.Optimizer
