"""How far back a network listens: the gradient of what it says now with respect to what it read before.

Letters: N texts, T time, B rows of a batch, V vocabulary, E features of the embedding.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from charlstm.nn.model import CharLM
from charlstm.nn.state import State

_ROWS = 256
"""Rows of a batch: so many rows of Jacobians are computed at once."""


def gradient_norms(model: CharLM, ids: NDArray[Any], reach: int) -> NDArray[np.float64]:
    """The size of ∂ logits(t) / ∂ input(t - k) for every distance k, t being each text's last character.

    Of each text and distance this is the Frobenius norm of the whole (V, E) matrix of derivatives, by the exact
    gradient. The input is the character's embedding, wherever the network reads it. In an rnn the matrix is a product
    of k Jacobians of one step, which shrinks or grows geometrically with k: the vanishing gradient (Hochreiter 1991;
    Bengio, Simard & Frasconi 1994; Pascanu, Mikolov & Bengio 2013, equation 5).

    Args:
        model: the network; it is left as it was.
        ids: texts, (N, T), each read from a zero state; the characters before the last ``reach`` warm it up.
        reach: the largest k, at most T - 1.

    Returns:
        the norms, (N, reach + 1), at k = 0, 1, …, reach.
    """
    mode = model.training
    model.eval()
    try:
        squares = torch.stack([_squares(model, torch.from_numpy(text.astype(np.int64)), reach) for text in ids])
    finally:
        model.train(mode)
    return squares.sqrt().numpy()


def _squares(model: CharLM, text: Tensor, reach: int) -> Tensor:
    """The squared norms of one text, (reach + 1,)."""
    text = text.to(next(model.parameters()).device)
    before, seen = text[: -1 - reach], text[-1 - reach :]
    state = None
    if len(before):
        with torch.no_grad():
            _, state = model(before.unsqueeze(0))
    total = torch.zeros(reach + 1, dtype=torch.float64)
    vocab = model.architecture.vocab_size
    for first in range(0, vocab, _ROWS):
        outputs = torch.arange(first, min(vocab, first + _ROWS), device=text.device)
        total += _jacobian(model, seen, state, outputs).double().square().sum((0, 2)).flip(0).cpu()
    return total


def _jacobian(model: CharLM, text: Tensor, state: State | None, outputs: Tensor) -> Tensor:
    """The derivatives of some of the last logits with respect to every input, (outputs, T, E), by one backward pass.

    Each row of the batch reads the same text and answers for another logit; rows know nothing of each other, so the
    gradient of the sum is all their gradients.
    """
    read: list[Tensor] = []

    def cut(module: object, arguments: object, embedded: Tensor) -> Tensor:
        read.append(embedded.detach().requires_grad_())
        return read[0]

    rows = len(outputs)
    if state is not None:
        state = state.map(lambda part: part.expand(rows, *part.shape[1:]).contiguous())
    hook = model.embedding.register_forward_hook(cut)
    try:
        with torch.enable_grad():
            logits, _ = model(text.expand(rows, -1), state)
            answers = logits[:, -1].gather(1, outputs.unsqueeze(1))
            (gradient,) = torch.autograd.grad(answers.sum(), read)
    finally:
        hook.remove()
    return gradient.transpose(0, 1)
