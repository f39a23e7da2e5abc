"""How far back a network's predictions depend on what it read: the norm of the gradient at each distance.

Letters: N texts, T time, B rows of a batch, V vocabulary, E embedding features, F features that the head reads.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from charlstm.nn.model import CharLM
from charlstm.nn.state import State

THRESHOLD = 0.01
"""The gradient reaches as far as its norm is at least this share of the norm at distance 0."""
_ROWS = 64
"""Rows of a Jacobian that are computed in one batch, to bound the memory."""


def gradient_norms(model: CharLM, ids: NDArray[Any], max_distance: int) -> NDArray[np.float64]:
    """The norm of ∂ logits(t) / ∂ input(t - k) for every distance k, where t is the last position of each text.

    It is the Frobenius norm of the whole (V, E) Jacobian, computed exactly. The input is the token's embedding,
    wherever the network uses it. In an rnn the Jacobian is a product of k one-step Jacobians, so it shrinks or grows
    geometrically with k: the vanishing gradient (Hochreiter 1991; Bengio, Simard & Frasconi 1994; Pascanu, Mikolov &
    Bengio 2013, equation 5).

    Args:
        model: a causal network; its mode, weights and gradients are left unchanged.
        ids: texts, (N, T), each read from a zero state; tokens before the last ``max_distance`` + 1 only warm it up.
        max_distance: the largest k, in tokens, at most T - 1.

    Returns:
        The norms, (N, max_distance + 1), at k = 0, 1, …, max_distance.
    """
    was_training = model.training
    model.eval()
    try:
        squares = [_squared_norms(model, torch.from_numpy(text.astype(np.int64)), max_distance) for text in ids]
    finally:
        model.train(was_training)
    return torch.stack(squares).sqrt().numpy()


def relative_gradient(norms: NDArray[np.float64]) -> NDArray[np.float64]:
    """The mean norm at each distance, divided by the mean norm at distance 0; zeros if that is 0.

    Args:
        norms: as `gradient_norms` returns them, (N, distances).

    Returns:
        The shares, (distances,).
    """
    mean = norms.mean(0)
    return mean / mean[0] if mean[0] > 0 else np.zeros_like(mean)


def gradient_reach(norms: NDArray[np.float64]) -> int:
    """The last distance, in tokens, before the norm first falls below `THRESHOLD` of the norm at distance 0.

    It is 0 when no gradient arrives at all, and when the first norm is not a number.
    """
    reached = (norms >= THRESHOLD * norms[0]) & (norms > 0)  # nothing is >= nan
    return max(0, int(np.argmin(reached)) - 1) if not reached.all() else len(norms) - 1


def _squared_norms(model: CharLM, text: Tensor, max_distance: int) -> Tensor:
    """The squared norms of one text (T,), (max_distance + 1,)."""
    text = text.to(next(model.parameters()).device)
    warm_up, text = text[: -1 - max_distance], text[-1 - max_distance :]
    state = None
    if len(warm_up):
        with torch.no_grad():
            _, state = model(warm_up.unsqueeze(0))
    total = torch.zeros(max_distance + 1, dtype=torch.float64)
    for rows in torch.split(_head_factor(model.head), _ROWS):
        total += _jacobian(model, text, state, rows).double().square().sum((0, 2)).flip(0).cpu()
    return total


def _head_factor(head: nn.Linear) -> Tensor:
    """R of the head's W = QR, (min(V, F), F).

    Q has orthonormal columns, so ‖W J‖ = ‖R J‖: a vocabulary of 20,000 costs no more rows than the head has features.
    """
    weight = head.weight.detach()
    factor: Tensor = torch.linalg.qr(weight.cpu().double(), mode="r")[1]
    return factor.to(weight)


def _jacobian(model: CharLM, text: Tensor, state: State | None, directions: Tensor) -> Tensor:
    """The derivatives of ``directions`` (B, F) · the head's last input with respect to each embedding, (B, T, E).

    Every row of the batch reads the same text. Rows are independent, so one backward pass through the sum of all
    rows' outputs gives the gradient of each.
    """
    embeddings: list[Tensor] = []
    features: list[Tensor] = []

    def replace_by_leaf(module: object, arguments: object, embedded: Tensor) -> Tensor:
        embeddings.append(embedded.detach().requires_grad_())
        return embeddings[0]

    def keep_last(module: object, arguments: tuple[Tensor, ...]) -> tuple[Tensor]:
        features.append(arguments[0][-1])  # (B, F)
        return (arguments[0][-1:],)  # the head need not compute the logits of other positions

    rows = len(directions)
    if state is not None:
        state = state.map(lambda part: part.expand(rows, *part.shape[1:]).contiguous())
    hooks = [model.embedding.register_forward_hook(replace_by_leaf), model.head.register_forward_pre_hook(keep_last)]
    try:
        with torch.enable_grad():
            model(text.expand(rows, -1), state)
            (gradient,) = torch.autograd.grad((features[0] * directions).sum(), embeddings)
    finally:
        for hook in hooks:
            hook.remove()
    return gradient.transpose(0, 1)
