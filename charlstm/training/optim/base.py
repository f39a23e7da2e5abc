"""What the optimizers here share."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypeAlias

import torch
from torch import Tensor


class Rule:
    """What the optimizers here share: groups of weights with their settings, and what is remembered of each weight.

    It is as much of `torch.optim.Optimizer` as training uses. The first of those that a process makes imports torch's
    compiler, and that is 1.7 s, a third of what a person waits for the first step.

    Args:
        params: weights, or groups of them with settings of their own.
        settings: those of groups that do not name them.
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
        """Change a weight in place, and what is remembered of it."""
        raise NotImplementedError

    def state_dict(self) -> dict[str, Any]:
        """What is remembered of each weight that has been moved, by its number, as torch has it."""
        return {"state": {number: state for number, state in enumerate(self.state.values()) if state}}

    def load_state_dict(self, values: dict[str, Any]) -> None:
        """Undo `state_dict`, on whatever device the weights are; steps are counted on the CPU."""
        for number, weight in enumerate(self.state):
            kept = values["state"].get(number, {})
            self.state[weight] = {name: value if name == "step" else value.to(weight) for name, value in kept.items()}


Optimizer: TypeAlias = Rule | torch.optim.Optimizer
