"""Dynamic evaluation: the network goes on learning from a text while it is scored on it.

The text is read in short segments. Each is scored first; then the weights θ take a step on its mean loss L. So every
token is scored by weights that have not seen it, and the losses still add up to the length of a code for the text
(Krause, Kahembwe, Murray & Renals 2018, "Dynamic evaluation of neural sequence models"; θ_g are the trained weights) ::

    g = ∇L(θ)                      the state before the segment held constant
    r = √(mean of g² so far)       for each weight, including this segment's g
    θ ← θ - η g / (r + ε) + (θ_g - θ) · min(1, λ r / mean of all r)

The paper measures r once, on the training text. A checkpoint does not contain that text, so here r is measured on the
text read so far. In an embedding table with sparse gradients, the rows that a segment used take a longer step, with one
r for each column (as in training, `optim.RowRms`), and decay faster ::

    r = √(mean of g² over all rows used so far)
    θ ← θ - 10 η g / (r + ε) + (θ_g - θ) · min(1, 100 λ)
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from charlstm.errors import DivergedError
from charlstm.evaluation.windows import as_tensor
from charlstm.nn.model import CharLM
from charlstm.nn.parameters import dense_parameters, sparse_tables
from charlstm.nn.state import State
from charlstm.schemas import require, require_number, require_whole

_TABLE_LR, _TABLE_DECAY = 10, 100
_EPSILON = 1e-8  # r is 0 where no gradient has come yet, as in rows of unseen tokens: g / ε is 0 there too


@dataclass(frozen=True)
class DynamicConfig:
    """How a network learns from the text it is scored on. The defaults were measured: `docs/decisions`.

    Raises:
        UsageError: a value has the wrong type or is out of range.
    """

    segment: int = 20
    """Tokens scored between two steps."""
    lr: float = 3e-4
    """η, about how far a weight moves in one step; 0 learns nothing."""
    decay: float = 1e-3
    """λ, the part of the way back to the trained weights taken in each step; 0 never forgets."""

    def __post_init__(self) -> None:
        require_whole("segment", self.segment)
        for name in ("lr", "decay"):
            require_number(name, getattr(self, name))
            object.__setattr__(self, name, float(getattr(self, name)))  # torch takes no whole number beyond 64 bits
        require("segment", self.segment, self.segment >= 1, "1 or more")
        require("lr", self.lr, 0 <= self.lr <= 1e38, "0 (learns nothing) or more, up to 1e38")
        require("decay", self.decay, 0 <= self.decay <= 1, "between 0 (never forgets) and 1")


def dynamic_losses(
    model: CharLM, ids: NDArray[Any], context: NDArray[Any], config: DynamicConfig
) -> Iterator[tuple[NDArray[np.intp], NDArray[np.float32]]]:
    """The loss of each token of a text, computed before the network learned from it, segment by segment.

    Args:
        model: the causal network; a copy of it learns, it is not changed itself.
        ids: the text, (tokens,), at least one; it may be memory-mapped.
        context: the tokens before the text, at least one: the last predicts the first of the text.
        config: how it learns.

    Yields:
        Positions in ``ids`` and their losses in nats, both (tokens,); every position once, in order.

    Raises:
        DivergedError: a loss is no longer a finite number.
    """
    learner = copy.deepcopy(model).eval()  # it learns without dropout, just as it is scored
    device = next(model.parameters()).device
    dense = _DenseStep(list(dense_parameters(learner).values()), config)
    rows = [_RowStep(table.weight, config) for table in sparse_tables(learner)]
    learned = [*dense.weights, *(each.table for each in rows)]
    state: State | None = None
    previous = context[-1:]
    for begin in range(0, len(ids), config.segment):
        segment = ids[begin : begin + config.segment]
        tokens = as_tensor(np.concatenate((previous, segment)), device)
        with torch.enable_grad():
            logits, state_after = learner(tokens[None, :-1], state)
            losses = functional.cross_entropy(logits[0].float(), tokens[1:], reduction="none")
            gradients = torch.autograd.grad(losses.mean(), learned)
        state, previous = state_after.detach(), segment[-1:]
        nats = losses.detach().float().cpu().numpy()
        if not np.isfinite(nats).all():
            raise DivergedError(
                f"dynamic evaluation diverged after {begin} tokens: the loss is no longer a finite number",
                hint="Use a lower learning rate.",
            )
        dense.step(gradients[: len(dense.weights)])
        for each, gradient in zip(rows, gradients[len(dense.weights) :], strict=True):
            each.step(gradient.coalesce())
        yield np.arange(begin, begin + len(nats)), nats


class _DenseStep:
    """The update of weights with dense gradients, and its state: the trained weights and the mean squared gradients.

    Args:
        weights: the tensors that learn, changed in place.
        config: η and λ.
    """

    def __init__(self, weights: list[Tensor], config: DynamicConfig) -> None:
        self.weights, self._config = weights, config
        self._trained = [weight.detach().clone() for weight in weights]
        self._mean_squares = [torch.zeros_like(weight) for weight in self._trained]
        self._count = sum(weight.numel() for weight in weights)
        self._steps = 0

    @torch.no_grad()
    def step(self, gradients: tuple[Tensor, ...]) -> None:
        """Learn from a segment's gradients, one for each of the weights."""
        self._steps += 1
        for square, gradient in zip(self._mean_squares, gradients, strict=True):
            square.lerp_(gradient.square(), 1 / self._steps)
        rms = [square.sqrt() for square in self._mean_squares]
        mean = torch.stack([each.sum() for each in rms]).sum() / self._count
        mean = mean.clamp(min=1e-30)  # a network without error has no gradients, and must not move
        for weight, trained, scale, gradient in zip(self.weights, self._trained, rms, gradients, strict=True):
            # Both terms are computed from the weights before the step.
            decay = (trained - weight).mul_((scale * (self._config.decay / mean)).clamp_(max=1))
            weight.addcdiv_(gradient, scale.add_(_EPSILON), value=-self._config.lr).add_(decay)


class _RowStep:
    """The update of a table's rows, and its state: the trained table and the mean squared gradient of each column.

    Args:
        table: (rows, features), changed in place.
        config: η and λ.
    """

    def __init__(self, table: Tensor, config: DynamicConfig) -> None:
        self.table = table
        self._lr, self._decay = _TABLE_LR * config.lr, min(1.0, _TABLE_DECAY * config.decay)
        self._trained = table.detach().clone()
        self._mean_squares, self._row_count = torch.zeros_like(table[0]), 0

    @torch.no_grad()
    def step(self, gradient: Tensor) -> None:
        """Learn from a segment's sparse, coalesced gradient."""
        rows, values = gradient.indices()[0], gradient.values()
        self._row_count += len(rows)
        self._mean_squares += (values.square() - self._mean_squares).sum(0) / self._row_count
        current = self.table.index_select(0, rows)
        decay = (self._trained.index_select(0, rows) - current).mul_(self._decay)
        step = (values / (self._mean_squares.sqrt() + _EPSILON)).mul_(self._lr)
        self.table.index_copy_(0, rows, current - step + decay)
