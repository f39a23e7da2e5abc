"""Dynamic evaluation: the network goes on learning from a text while it is scored on it.

The text is read in order in short segments. Each is scored first; then the weights θ take a step on its mean loss L. So
nothing is judged by weights that have seen it, and the sum is still the length of a code for the text (Krause,
Kahembwe, Murray & Renals 2018, "Dynamic evaluation of neural sequence models"; θ_g are the weights as trained) ::

    g = ∇L(θ)                      the state before the segment held fixed
    r = √(mean of g² so far)       of each weight, this segment's g among them
    θ ← θ - η g / (r + ε) + (θ_g - θ) · min(1, λ r / mean of all r)

The paper measures r once, on the text of training. A checkpoint has none of it with it, so here r is of what was read.
Of a table of n-grams the rows that the segment read take a longer step, with one r for each column (as in training,
`optim.RowRms`), and go a longer way back ::

    r = √(mean of g² over all rows read so far)
    θ ← θ - 10 η g / (r + ε) + (θ_g - θ) · min(1, 100 λ)
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from charlstm.errors import DivergedError, UsageError
from charlstm.nn.model import CharLM
from charlstm.nn.parameters import dense_parameters, sparse_tables
from charlstm.nn.state import State

_TABLE_LR, _TABLE_DECAY = 10, 100
_EPSILON = 1e-8  # r is 0 where no gradient came yet, as in the rows of letters not met: there g / ε is 0 too


@dataclass(frozen=True)
class DynamicConfig:
    """How a network learns from a text that it is scored on. The defaults are measured: `docs/decisions`.

    Raises:
        UsageError: a value outside its range.
    """

    segment: int = 20
    """Tokens scored between two steps."""
    lr: float = 3e-4
    """η, about how far a weight moves in one step; 0 learns nothing."""
    decay: float = 1e-3
    """λ, the share of the way back to the trained weights that is taken each step; 0 never forgets."""

    def __post_init__(self) -> None:
        ranges = {
            "segment": (self.segment >= 1, "1 or more"),
            "lr": (0 <= self.lr < math.inf, "0 (learns nothing) or more"),
            "decay": (0 <= self.decay <= 1, "between 0 (never forgets) and 1"),
        }
        for name, (fits, rule) in ranges.items():
            if not fits:
                raise UsageError(f"{name} = {getattr(self, name)!r}: must be {rule}")


def surprise_while_learning(
    model: CharLM,
    ids: NDArray[Any],
    before: int,
    config: DynamicConfig,
    *,
    progress: Callable[[int], object] = lambda more: None,
) -> NDArray[np.float32]:
    """The loss of each token of a text read in order, before it was learned from, in nats, (tokens,).

    Args:
        model: the network, one that writes on; a copy of it learns, itself it is not changed.
        ids: the text, (tokens,), at least one.
        before: the token that stands before the text: it predicts the first.
        config: how it learns.
        progress: called after each segment with its number of tokens.

    Raises:
        DivergedError: a loss is no longer a finite number.
    """
    learner = copy.deepcopy(model).eval()  # it learns without dropout, as it is scored
    text = torch.from_numpy(np.concatenate(([before], ids)).astype(np.int64)).to(next(model.parameters()).device)
    rule = _Rule(list(dense_parameters(learner).values()), config)
    rows = [_Rows(table.weight, config) for table in sparse_tables(learner)]
    nats = np.empty(len(ids), np.float32)
    state: State | None = None
    for begin in range(0, len(ids), config.segment):
        window = text[begin : begin + config.segment + 1]
        with torch.enable_grad():
            logits, after = learner(window[None, :-1], state)
            losses = functional.cross_entropy(logits[0].float(), window[1:], reduction="none")
            gradients = torch.autograd.grad(losses.mean(), rule.weights + [each.table for each in rows])
        state = after.detach()
        found = losses.detach().cpu().numpy()
        if not np.isfinite(found).all():
            raise DivergedError(
                f"learning from the text lost its way after {begin} tokens: the loss is no longer a finite number",
                hint="Take a lower learning rate.",
            )
        nats[begin : begin + len(found)] = found
        rule.step(gradients[: len(rule.weights)])
        for each, gradient in zip(rows, gradients[len(rule.weights) :], strict=True):
            each.step(gradient.coalesce())
        progress(len(found))
    return nats


class _Rule:
    """The step of the weights, with what it remembers: the trained weights and the mean squared gradients.

    Args:
        weights: the tensors that learn, changed in place.
        config: η and λ.
    """

    def __init__(self, weights: list[Tensor], config: DynamicConfig) -> None:
        self.weights, self._config = weights, config
        self._trained = [weight.detach().clone() for weight in weights]
        self._squares = [torch.zeros_like(weight) for weight in self._trained]
        self._numbers = sum(weight.numel() for weight in weights)
        self._steps = 0

    @torch.no_grad()
    def step(self, gradients: tuple[Tensor, ...]) -> None:
        """Learn from a segment's gradients, one for each of the weights."""
        self._steps += 1
        for square, gradient in zip(self._squares, gradients, strict=True):
            square.lerp_(gradient.square(), 1 / self._steps)
        scales = [square.sqrt() for square in self._squares]
        mean = torch.stack([scale.sum() for scale in scales]).sum() / self._numbers
        mean = mean.clamp(min=1e-30)  # what errs in nothing has no gradients, and stays where it is
        for weight, trained, scale, gradient in zip(self.weights, self._trained, scales, gradients, strict=True):
            # Both are of the weights before the step.
            back = (trained - weight).mul_((scale * (self._config.decay / mean)).clamp_(max=1))
            weight.addcdiv_(gradient, scale.add_(_EPSILON), value=-self._config.lr).add_(back)


class _Rows:
    """The step of a table's rows, with what it remembers: the trained table and the mean squared gradient of a column.

    Args:
        table: (rows, features), changed in place.
        config: η and λ.
    """

    def __init__(self, table: Tensor, config: DynamicConfig) -> None:
        self.table = table
        self._lr, self._back = _TABLE_LR * config.lr, min(1.0, _TABLE_DECAY * config.decay)
        self._trained = table.detach().clone()
        self._squares, self._read = torch.zeros_like(table[0]), 0

    @torch.no_grad()
    def step(self, gradient: Tensor) -> None:
        """Learn from a segment's gradient, sparse, each row once."""
        rows, seen = gradient.indices()[0], gradient.values()
        self._read += len(rows)
        self._squares += (seen.square() - self._squares).sum(0) / self._read
        now = self.table.index_select(0, rows)
        back = (self._trained.index_select(0, rows) - now).mul_(self._back)
        step = (seen / (self._squares.sqrt() + _EPSILON)).mul_(self._lr)
        self.table.index_copy_(0, rows, now - step + back)
