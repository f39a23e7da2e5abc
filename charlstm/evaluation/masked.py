"""How well a bidirectional network knows each token from those on both sides of it.

It gives no likelihood of a text: each token's loss is conditional on later tokens too, so the losses do not add up to
the length of a code.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from charlstm.evaluation.loss import token_losses
from charlstm.evaluation.windows import LARGEST_ARRAY, as_tensor, evaluation_mode
from charlstm.nn.masking import mask_spans
from charlstm.nn.model import CharLM

_ROWS = 32  # windows at once, unless an array would take more than LARGEST_ARRAY


def evaluate_masked(
    model: CharLM, ids: NDArray[Any], seq_len: int, autocast: AbstractContextManager[Any] | None = None
) -> float:
    """The mean loss of a bidirectional network over every token of a text with spans masked as in training.

    Args:
        model: the network; training or evaluation mode, it is in the same one afterwards.
        ids: the text, (tokens,), at least one.
        seq_len: tokens of a window.
        autocast: the context to compute in; None is the precision of the weights.

    Returns:
        Nats per token; not finite where the network's loss is not.
    """
    mask = mask_spans(np.random.default_rng(0), 1, len(ids))[0]  # the same spans in every evaluation
    windows = _window_losses(model, ids, seq_len, mask, autocast)
    return sum(float(losses.sum(dtype=np.float64)) for _, losses in windows) / len(ids)


def pseudo_losses(
    model: CharLM, ids: NDArray[Any], seq_len: int, autocast: AbstractContextManager[Any] | None = None
) -> Iterator[tuple[NDArray[np.intp], NDArray[np.float32]]]:
    """The loss of each token given all others of its window: the terms of the pseudo-log-likelihood.

    The merge of both directions leaves out the token itself, so one pass scores every token, without masking each in
    turn.

    Args:
        model: as `evaluate_masked`.
        ids: as `evaluate_masked`.
        seq_len: as `evaluate_masked`.
        autocast: as `evaluate_masked`.

    Yields:
        Positions in ``ids`` and their losses in nats, both (tokens,); every position once.

    Source: Salazar et al. 2020, "Masked language model scoring", equation 2.
    """
    yield from _window_losses(model, ids, seq_len, None, autocast)


def _window_losses(
    model: CharLM,
    ids: NDArray[Any],
    seq_len: int,
    mask: NDArray[np.bool_] | None,
    autocast: AbstractContextManager[Any] | None,
) -> Iterator[tuple[NDArray[np.intp], NDArray[np.float32]]]:
    """The losses of some windows at a time. Windows overlap by half: each scores the tokens in its middle."""
    length = min(seq_len, len(ids))
    margin = length // 4
    stride = length - 2 * margin
    count = max(1, -(-(len(ids) - 2 * margin) // stride))
    widest = max(model.architecture.vocab_size, 4 * model.architecture.hidden_size)
    rows = max(1, min(_ROWS, LARGEST_ARRAY // (4 * length * widest)))
    device = next(model.parameters()).device
    with evaluation_mode(model):
        for first in range(0, count, rows):
            last = min(first + rows, count)
            begins = np.minimum(np.arange(first, last) * stride, len(ids) - length)
            positions = begins[:, None] + np.arange(length)
            targets = inputs = as_tensor(ids[positions], device)
            if mask is not None:
                inputs = targets.masked_fill(
                    torch.from_numpy(mask[positions]).to(device), model.architecture.vocab_size
                )
            with torch.inference_mode():
                with autocast or nullcontext():
                    logits, _ = model(inputs)
                losses = token_losses(logits.float(), targets).cpu().numpy()
                del logits
            # The first and the last window also score the tokens at the text's ends.
            begin = first * stride + margin if first else 0
            end = last * stride + margin if last < count else len(ids)
            scored = np.arange(begin, end)
            window = np.clip((scored - margin) // stride, first, last - 1) - first
            yield scored, losses[window, scored - begins[window]]
