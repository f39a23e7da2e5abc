"""Decay towards the weights that training started from, for fine-tuning."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from charlstm.training.optim.base import AnyOptimizer


class DecayToStart:
    """Turns the optimizers' decay towards zero into decay towards the first weights W₀.

    An optimizer decays a weight by W = (1 - a) W' - …, with a = lr · decay. Adding a W₀ after its step makes of it ::

        W = W' - a (W' - W₀) - …

    So what a short text says nothing about stays as the starter learnt it (L2-SP: Li, Grandvalet & Davoine 2018,
    "Explicit inductive bias for transfer learning with convolutional networks"). Of a sparse table only the rows that
    the step has read decay. A new token has nothing to keep: its embedding and its row of the head do not decay.

    Args:
        model: the network, with the weights that training starts from.
        optimizers: its optimizers.
        is_new: for each token whether it was added to the network, (V,).

    Attributes:
        start: W₀ of every weight that decays, by name; of a new token's rows their present value.
        is_new: as given.
    """

    def __init__(self, model: nn.Module, optimizers: Sequence[AnyOptimizer], is_new: Tensor) -> None:
        self._optimizers, self.is_new = optimizers, is_new
        self._names: dict[Tensor, str] = {weight: name for name, weight in model.named_parameters()}
        self.start: dict[str, Tensor] = {self._names[weight]: weight.detach().clone() for weight, _ in self._decayed()}

    def _decayed(self) -> Iterator[tuple[Tensor, dict[str, Any]]]:
        """Every weight that decays, with the settings of its group; torch's optimizers replace groups on a resume."""
        for optimizer in self._optimizers:
            for group in optimizer.param_groups:
                if _decay(group):
                    yield from ((weight, group) for weight in group["params"])

    @torch.no_grad()
    def apply(self) -> None:
        """Complete a step of the optimizers; the gradients are still those of the step."""
        for weight, group in self._decayed():
            name, share = self._names[weight], min(1.0, group["lr"] * _decay(group))
            start = self.start[name]
            if weight.grad is not None and weight.grad.is_sparse:
                rows = torch.unique(weight.grad._indices()[0])
                weight.index_add_(0, rows, start.index_select(0, rows), alpha=share)
            else:
                weight.add_(start, alpha=share)
                if name in _ROW_OF_EACH_TOKEN:
                    rows = slice(len(self.is_new))  # the embedding of a bidirectional network has one more
                    start[rows] = torch.where(self.is_new[:, None], weight[rows], start[rows])


_ROW_OF_EACH_TOKEN = frozenset({"embedding.weight", "head.weight"})


def _decay(group: dict[str, Any]) -> float:
    """The decay of a group of weights, whatever its optimizer calls it."""
    return float(group.get("weight_decay") or group.get("decay") or 0.0)
