"""The negative log-likelihood of a text under a causal network, in nats: of every token, or its mean."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from charlstm.evaluation.windows import ReadWindows, measure_windows
from charlstm.nn.model import CharLM


def evaluate(
    model: CharLM,
    ids: NDArray[Any],
    context: NDArray[Any],
    *,
    streams: int = 1,
    autocast: AbstractContextManager[Any] | None = None,
    windows: ReadWindows = measure_windows,
) -> float:
    """The mean loss over every token of a text.

    Args:
        model: the network; training or evaluation mode, it is in the same one afterwards.
        ids: the text, (tokens,), at least one.
        context: the tokens before the text, (tokens,), at least one: the last predicts the first of the text.
        streams: parallel streams the text is cut into; 1 is exact.
        autocast: the context to compute in; None is the precision of the weights.
        windows: how the text is read.

    Returns:
        Nats per token. A loss that is not finite is returned as it is; the caller decides what it means.
    """

    def sum_of_losses(logits: Tensor, targets: Tensor, scored: Tensor) -> Tensor:
        return token_losses(logits, targets)[scored].sum()

    measured = windows(model, ids, context, sum_of_losses, streams=streams, autocast=autocast)
    return float(total([loss for _, loss in measured])) / len(ids)


def causal_losses(
    model: CharLM,
    ids: NDArray[Any],
    context: NDArray[Any],
    *,
    streams: int = 1,
    autocast: AbstractContextManager[Any] | None = None,
    windows: ReadWindows = measure_windows,
) -> Iterator[tuple[NDArray[np.intp], NDArray[np.float32]]]:
    """The loss of each token given those before it, window by window.

    Args:
        model: as `evaluate`.
        ids: as `evaluate`.
        context: as `evaluate`.
        streams: as `evaluate`.
        autocast: as `evaluate`.
        windows: as `evaluate`.

    Yields:
        Positions in ``ids`` and their losses in nats, both (tokens,); every position once.
    """

    def losses(logits: Tensor, targets: Tensor, scored: Tensor) -> Tensor:
        return token_losses(logits, targets)[scored].cpu()

    for positions, loss in windows(model, ids, context, losses, streams=streams, autocast=autocast):
        yield positions, loss.numpy()


def total(sums: list[Tensor]) -> Tensor:
    """The sum over all windows, in float64 on the CPU: Apple's GPUs have none."""
    return torch.stack(sums).cpu().double().sum(0)


def bits_per_char(nats_per_token: float, tokens: int, characters: int) -> float:
    """Convert a loss to bits per character.

    Args:
        nats_per_token: the mean loss.
        tokens: the length of the text in tokens.
        characters: the length of the same text in characters.

    Returns:
        Bits per character; a text without characters counts as one character.
    """
    return nats_per_token * tokens / max(1, characters) / math.log(2)


def token_losses(logits: Tensor, targets: Tensor) -> Tensor:
    """The cross-entropy of each token in nats, (S, T).

    Args:
        logits: (S, T, V).
        targets: token ids, (S, T).
    """
    # The network computes time first: transposed back, the logits are contiguous and need not be copied.
    flat = logits.transpose(0, 1).flatten(0, 1)
    losses = functional.cross_entropy(flat, targets.t().flatten(), reduction="none")
    return losses.view(targets.shape[1], targets.shape[0]).t()
