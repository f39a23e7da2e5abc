"""SOAP on the input side of each matrix."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor

from charlstm.training.optim.base import Optimizer

_MAX_RATE = 1e38  # fits a float32


class Soap(Optimizer):
    """SOAP on the input side: Adam in the basis in which a matrix's gradients are uncorrelated (Vyas et al. 2024).

    For a matrix W (rows, columns) with gradient G at step t::

        R = β₂ R' + (1 - β₂) GᵀG        every 5th step: the second moments of its columns
        Q = the eigenvectors of R       every 10th step, by one power iteration and QR
        M = β₁ M' + (1 - β₁) G Q        Adam's moments, in that basis
        V = β₂ V' + (1 - β₂) (G Q)²
        W = (1 - lr · decay) W' - lr · M / (1 - β₁ᵗ) / (√(V / (1 - β₂ᵗ)) + ε) Qᵀ

    When Q changes, M is rotated to the new basis. Weights that are not matrices use plain Adam, Q = 1. Only the columns
    have a basis, which gains most of what bases on both sides do. A wide matrix is split into blocks of columns, each
    with its own basis: products with one basis for all columns would take as long as half a window of the network.
    Source of the measurements: ``docs/decisions/soap.md``.

    Args:
        params: weights or groups of weights, with ``weight_decay``.
        lr: the learning rate.
        betas: β₁ and β₂.
        weight_decay: the decay of groups without their own.
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

    def _update(self, weight: Tensor, gradient: Tensor, group: dict[str, Any]) -> None:
        state, (beta1, beta2) = self.state[weight], group["betas"]
        if weight.dim() == 2:
            weight, gradient = self._blocks(weight), self._blocks(gradient)
        if not state:
            state["step"] = torch.zeros(())
            state["m"], state["v"] = (torch.zeros(gradient.shape).to(weight) for _ in range(2))
        state["step"] += 1
        step = int(state["step"])
        basis = self._basis(state, gradient, step, beta2) if weight.dim() == 3 else None
        projected = gradient.clone() if basis is None else gradient @ basis
        m = state["m"].lerp_(projected, 1 - beta1)
        v = state["v"].mul_(beta2).addcmul_(projected, projected, value=1 - beta2)
        # Bias corrections as scalars and in place: at this size passes through memory take as long as products.
        correction = math.sqrt(1 - beta2**step)
        change = torch.div(m, torch.sqrt(v, out=projected).add_(self.EPSILON * correction), out=projected)
        rate, keep = group["lr"] * correction / (1 - beta1**step), 1 - group["lr"] * group["weight_decay"]
        if basis is None:
            weight.mul_(keep).sub_(change.mul_(rate))
        else:
            weight.copy_(torch.baddbmm(weight, change, basis.mT, beta=keep, alpha=-min(rate, _MAX_RATE)))

    def _blocks(self, matrix: Tensor) -> Tensor:
        """View a matrix (rows, columns) as the fewest equal blocks of at most `WIDTH` columns, (blocks, rows, width).

        It stays one block if only narrow ones divide it evenly.
        """
        rows, columns = matrix.shape
        fewest = -(-columns // self.WIDTH)
        blocks = next((count for count in range(fewest, 2 * fewest) if columns % count == 0), 1)
        return matrix.view(rows, blocks, -1).transpose(0, 1)

    def _basis(self, state: dict[str, Tensor], gradient: Tensor, step: int, beta2: float) -> Tensor:
        """Return Q of this step, (blocks, width, width)."""
        if step == 1:
            state["r"] = gradient.mT @ gradient
            state["q"] = _row_major(_on_cpu_if_mps(lambda r: torch.linalg.eigh(r)[1], state["r"]))
            return state["q"]
        # Also at steps 2, 4 and 8, because the first estimate is poor.
        early = step < self.BASIS_EVERY and step & (step - 1) == 0
        if early or step % self.SECOND_MOMENTS_EVERY == 0:
            state["r"].lerp_(gradient.mT @ gradient, 1 - beta2)
        if early or step % self.BASIS_EVERY == 0:
            old, powered = state["q"], state["r"] @ state["q"]
            order = (old * powered).sum(1, keepdim=True).argsort(descending=True)
            powered = powered.gather(2, order.expand_as(powered))
            state["q"] = _row_major(_on_cpu_if_mps(lambda columns: torch.linalg.qr(columns)[0], powered))
            state["m"] = state["m"] @ (old.mT @ state["q"])
            state["v"] = state["v"].gather(2, order.expand_as(state["v"]))
        return state["q"]


def _row_major(matrix: Tensor) -> Tensor:
    """Return a matrix in the layout of one read from a file: in another, products may round differently on a resume."""
    return matrix.contiguous()


def _on_cpu_if_mps(function: Callable[[Tensor], Tensor], matrix: Tensor) -> Tensor:
    """Apply a decomposition, on the CPU in place of an Apple GPU, for which torch did not have it."""
    if matrix.device.type == "mps":
        return function(matrix.cpu()).to(matrix.device)
    return function(matrix)
