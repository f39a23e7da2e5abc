"""SOAP on the input side of each matrix."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor

from charlstm.training.optim.base import Optimizer

_LARGEST = 1e38  # that fits a float32


class Soap(Optimizer):
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

    def state_shapes(self, weight: Tensor) -> dict[str, tuple[int, ...]]:
        """See `Optimizer`."""
        if weight.dim() != 2:
            return {"step": (), "m": tuple(weight.shape), "v": tuple(weight.shape)}
        blocks, rows, width = self._blocks(weight.detach()).shape
        return {
            "step": (),
            "m": (blocks, rows, width),
            "v": (blocks, rows, width),
            "r": (blocks, width, width),
            "q": (blocks, width, width),
        }

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
