"""What the optimizers here share."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypeAlias

import torch
from torch import Tensor


class Optimizer:
    """Groups of weights with their settings, and a state for each weight.

    It is as much of `torch.optim.Optimizer` as training uses. The first of those that a process makes imports torch's
    compiler, and that takes 1.7 s, a third of what a person waits for the first step.

    Args:
        params: weights, or groups of them with settings of their own.
        settings: of the groups that do not name them.

    Attributes:
        param_groups: each group's weights under ``params``, and its settings.
        state: of each weight, tensors by name; empty until it is first moved.
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
        """Move every weight that has a gradient."""
        for group in self.param_groups:
            for weight in group["params"]:
                if weight.grad is not None:
                    self._move(weight, weight.grad, group)

    def _move(self, weight: Tensor, gradient: Tensor, group: dict[str, Any]) -> None:
        """Change a weight in place, and its state."""
        raise NotImplementedError

    def state_shapes(self, weight: Tensor) -> dict[str, tuple[int, ...]]:
        """The tensors in the state of a weight that has been moved, and their shapes."""
        raise NotImplementedError

    def load_weight_state(self, weight: Tensor, state: dict[str, Tensor]) -> None:
        """Set the state of one weight, on whatever device it is; steps are counted on the CPU.

        Args:
            weight: one of its weights.
            state: tensors by name, as in `state`.
        """
        self.state[weight] = {name: value if name == "step" else value.to(weight) for name, value in state.items()}


AnyOptimizer: TypeAlias = Optimizer | torch.optim.Optimizer
