"""The score of a bidirectional network: how well it knows each token from those around it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from charlstm.evaluation.loss import losses
from charlstm.evaluation.windows import as_tensor, evaluating
from charlstm.nn.masking import mask_spans
from charlstm.nn.model import CharLM

_ROWS = 32  # windows of a cloze read at once


def evaluate_cloze(
    model: CharLM, ids: NDArray[Any], seq_len: int, autocast: AbstractContextManager[Any] | None = None
) -> float:
    """The mean loss of a bidirectional network over every token of a text with gaps as in training, in nats per token.

    Args:
        model: the network.
        ids: the text, (tokens,), at least one.
        seq_len: tokens it sees at once.
        autocast: as `evaluate`.
    """
    hidden = mask_spans(np.random.default_rng(0), 1, len(ids))[0]  # always the same gaps
    return float(_losses_both_sides(model, ids, hidden, seq_len, autocast).mean(dtype=np.float64))


def surprise_both_sides(
    model: CharLM, ids: NDArray[Any], seq_len: int, *, progress: Callable[[int], object] = lambda more: None
) -> NDArray[np.float32]:
    """The loss of each token to a bidirectional network that sees all others, in nats, (tokens,).

    Args:
        model: the network.
        ids: the text, (tokens,), at least one.
        seq_len: tokens it sees at once.
        progress: called now and then with the number of tokens done since the last call.
    """
    return _losses_both_sides(model, ids, np.zeros(len(ids), np.bool_), seq_len, None, progress)


def _losses_both_sides(
    model: CharLM,
    ids: NDArray[Any],
    hidden: NDArray[np.bool_],
    seq_len: int,
    autocast: AbstractContextManager[Any] | None,
    progress: Callable[[int], object] = lambda more: None,
) -> NDArray[np.float32]:
    """The loss of each token. Windows overlap by half: a token is scored where it stands in the middle of one."""
    length = min(seq_len, len(ids))
    margin = length // 4
    stride = length - 2 * margin
    count = max(1, -(-(len(ids) - 2 * margin) // stride))
    begins = np.minimum(np.arange(count) * stride, len(ids) - length)
    device = next(model.parameters()).device
    found = np.empty(len(ids), np.float32)
    with evaluating(model), torch.inference_mode():
        for first in range(0, count, _ROWS):
            last = min(first + _ROWS, count)
            places = begins[first:last, None] + np.arange(length)
            targets = as_tensor(ids[places], device)
            inputs = targets.masked_fill(torch.from_numpy(hidden[places]).to(device), model.architecture.vocab_size)
            with autocast or nullcontext():
                logits, _ = model(inputs)
            here = losses(logits.float(), targets).cpu().numpy()
            # These windows answer for the tokens from the first one's middle on; the text's ends belong to the ends.
            begin, end = first * stride + margin if first else 0, last * stride + margin if last < count else len(ids)
            tokens = np.arange(begin, end)
            owners = np.clip((tokens - margin) // stride, first, last - 1)
            found[tokens] = here[owners - first, tokens - begins[owners]]
            progress(len(tokens))
    return found
