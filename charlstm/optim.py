"""Parameter groups, the optimizer, the learning rate as a pure function of progress, and the average of weights."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn

from charlstm.config import TrainConfig
from charlstm.errors import IncompatibleError


def tables(model: nn.Module) -> list[Tensor]:
    """The weights of which a step reads a few rows, and whose gradients are sparse."""
    return [module.weight for module in model.modules() if isinstance(module, nn.EmbeddingBag)]


def dense_weights(model: nn.Module) -> list[Tensor]:
    """All other weights that learn."""
    sparse = {id(table) for table in tables(model)}
    return [weight for weight in model.parameters() if weight.requires_grad and id(weight) not in sparse]


def make_optimizers(model: nn.Module, config: TrainConfig) -> list[Optimizer]:
    """The optimizer of the settings, with weight decay on matrices and none on biases; behind it that of tables."""
    learning, read = dense_weights(model), tables(model)
    groups = [
        {"params": [weight for weight in learning if weight.dim() > 1], "weight_decay": config.weight_decay},
        {"params": [weight for weight in learning if weight.dim() <= 1], "weight_decay": 0.0},
    ]
    betas = (0.9, config.beta2)
    optimizers: list[Optimizer] = [
        torch.optim.AdamW(groups, lr=config.lr, betas=betas, fused=True)
        if config.optimizer == "adamw"
        else Soap(groups, lr=config.lr, betas=betas)
    ]
    return [*optimizers, RowRms(read, config.lr, config.beta2, config.ngram_decay)] if read else optimizers


_LARGEST = 1e38  # that fits a float32


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


class Soap(Rule):
    """SOAP on the input side: Adam in the basis in which a matrix's gradients are uncorrelated (Vyas et al. 2024).

    Of a matrix W (rows, columns) with gradient G at step t::

        R = β₂ R' + (1 - β₂) GᵀG        at every 5th step: which of its inputs it uses together
        Q = the eigenvectors of R       at every 10th step, by one power iteration and QR
        M = β₁ M' + (1 - β₁) G Q        Adam's moments, in that basis
        V = β₂ V' + (1 - β₂) (G Q)²
        W = (1 - lr · decay) W' - lr · M / (1 - β₁ᵗ) / (√(V / (1 - β₂ᵗ)) + ε) Qᵀ

    M is turned along when Q changes. Everything that is not a matrix has Adam itself, Q = 1. Only the columns get a
    basis: that is most of what a basis on both sides gains. A wide matrix is cut into blocks of columns, each with a
    basis of its own: products with one of all columns would take as long as half a window of the network.

    Args:
        params: parameters or groups of them, with ``weight_decay``.
        lr: the learning rate.
        betas: β₁ and β₂.
    """

    EPSILON = 1e-8
    WIDTH = 128
    SECOND_MOMENTS_EVERY = 5
    BASIS_EVERY = 10

    def __init__(self, params: Iterable[Any], lr: float, betas: tuple[float, float], weight_decay: float = 0.0) -> None:
        super().__init__(params, lr=lr, betas=betas, weight_decay=weight_decay)

    def load_state_dict(self, values: dict[str, Any]) -> None:
        """As `Rule.load_state_dict`.

        Raises:
            IncompatibleError: the bases were of whole matrices, as they were once, and not of their blocks.
        """
        super().load_state_dict(values)
        for weight, state in self.state.items():
            if state and weight.dim() == 2 and state["m"].dim() != 3:
                raise IncompatibleError(
                    "this run cannot go on: an older charlstm trained it with another optimizer",
                    hint="--init-from begins a new run with what it has learnt.",
                )

    def _move(self, weight: Tensor, gradient: Tensor, group: dict[str, Any]) -> None:
        state, (beta1, beta2) = self.state[weight], group["betas"]
        if weight.dim() == 2:
            weight, gradient = self._blocks(weight), self._blocks(gradient)
        if not state:
            state["step"] = torch.zeros(())
            state["m"], state["v"] = (torch.zeros(gradient.shape).to(weight) for _ in range(2))
        state["step"] += 1
        step = int(state["step"])
        basis = self._basis(state, gradient, step, beta2) if weight.dim() == 3 else None
        seen = gradient.clone() if basis is None else gradient @ basis
        m, v = state["m"].lerp_(seen, 1 - beta1), state["v"].mul_(beta2).addcmul_(seen, seen, value=1 - beta2)
        # Both corrections as numbers, and in place: at this size passes through memory cost as much as products.
        late = math.sqrt(1 - beta2**step)
        change = torch.div(m, torch.sqrt(v, out=seen).add_(self.EPSILON * late), out=seen)
        rate, keep = group["lr"] * late / (1 - beta1**step), 1 - group["lr"] * group["weight_decay"]
        if basis is None:
            weight.mul_(keep).sub_(change.mul_(rate))
        else:
            weight.copy_(torch.baddbmm(weight, change, basis.mT, beta=keep, alpha=-min(rate, _LARGEST)))

    def _blocks(self, matrix: Tensor) -> Tensor:
        """A view of a matrix (rows, columns) as the fewest equal blocks of `WIDTH` columns or fewer, (N, rows, width).

        One whole block where only slim ones would divide it.
        """
        rows, columns = matrix.shape
        fewest = -(-columns // self.WIDTH)
        blocks = next((count for count in range(fewest, 2 * fewest) if columns % count == 0), 1)
        return matrix.view(rows, blocks, -1).transpose(0, 1)

    def _basis(self, state: dict[str, Tensor], gradient: Tensor, step: int, beta2: float) -> Tensor:
        """Q of this step, (N, width, width)."""
        if step == 1:
            state["r"] = gradient.mT @ gradient
            state["q"] = _by_rows(_on_cpu_if_mps(lambda r: torch.linalg.eigh(r)[1], state["r"]))
            return state["q"]
        early = step < self.BASIS_EVERY and step & (step - 1) == 0  # at 2, 4 and 8 steps: the first guess is poor
        if early or step % self.SECOND_MOMENTS_EVERY == 0:
            state["r"].lerp_(gradient.mT @ gradient, 1 - beta2)
        if early or step % self.BASIS_EVERY == 0:
            old, powered = state["q"], state["r"] @ state["q"]
            order = (old * powered).sum(1, keepdim=True).argsort(descending=True)  # by eigenvalue: QR favours the first
            powered = powered.gather(2, order.expand_as(powered))
            state["q"] = _by_rows(_on_cpu_if_mps(lambda columns: torch.linalg.qr(columns)[0], powered))
            state["m"] = state["m"] @ (old.mT @ state["q"])
            state["v"] = state["v"].gather(2, order.expand_as(state["v"]))
        return state["q"]


def _by_rows(matrix: Tensor) -> Tensor:
    """Laid out as a matrix read from a file is: products may round otherwise in another layout, and a resume differ."""
    return matrix.contiguous()


def _on_cpu_if_mps(function: Callable[[Tensor], Tensor], matrix: Tensor) -> Tensor:
    """On Apple's GPUs the CPU decomposes: torch has not had it there."""
    if matrix.device.type == "mps":
        return function(matrix.cpu()).to(matrix.device)
    return function(matrix)


class RowRms(Rule):
    """RMSprop for a table of which a step reads a few rows, with one scale a column for all of them.

    Of the rows that were read, W with gradient G, at step t::

        v = β₂ v' + (1 - β₂) · mean of G² over those rows
        W = (1 - lr · decay) W' - lr/2 · G / (√(v / (1 - β₂ᵗ)) + ε)

    A row that is read often has a large gradient and moves far; one that is read once moves little, where Adam would
    take it as far as any. That, and the decay, keep a table from learning its text by heart. Nothing is remembered of
    a row, so that it costs no more memory than the table (RMSprop: Tieleman & Hinton 2012).

    Args:
        params: tables, (rows, features), with sparse gradients.
        lr: the learning rate, that of the other weights: half of it is taken.
        beta2: β₂.
        decay: share of a row taken off at a learning rate of 1, whenever it is read.
    """

    EPSILON = 1e-8
    LR = 0.5

    def __init__(self, params: Iterable[Any], lr: float, beta2: float, decay: float) -> None:
        super().__init__(params, lr=lr, beta2=beta2, decay=decay)

    def _move(self, table: Tensor, gradient: Tensor, group: dict[str, Any]) -> None:
        gradient = gradient.coalesce()
        state, beta2, lr = self.state[table], group["beta2"], group["lr"]
        if not state:
            state["step"], state["v"] = torch.zeros(()), torch.zeros_like(table[0])
        state["step"] += 1
        rows, seen = gradient.indices()[0], gradient.values()
        v = state["v"].lerp_(seen.square().mean(0), 1 - beta2)
        scale = (v / (1 - beta2 ** int(state["step"]))).sqrt().add_(self.EPSILON)
        kept = table.index_select(0, rows).mul_(max(0.0, 1 - lr * group["decay"]))
        table.index_copy_(0, rows, kept.addcdiv_(seen, scale, value=-self.LR * lr))


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
