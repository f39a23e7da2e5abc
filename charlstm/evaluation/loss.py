"""The loss of a whole text: every token counts, the state is carried from the first to the last.

Letters: S streams, T time, V vocabulary.

Read strictly in order (one stream) this is the text's exact likelihood. It can also be cut into parallel streams, each
warmed up on the tokens before it: the same tokens are scored, each with at least ``burn_in`` tokens of context,
in a fraction of the time. On tiny Shakespeare the two differ in the fourth decimal; with recall, which parallel streams
have less to recall in, in order is better by 0.006.

What reads both ways has no likelihood of a text; it is scored by how well it knows each token from those around it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from charlstm.evaluation.windows import walk
from charlstm.nn.model import CharLM


def evaluate(
    model: CharLM,
    ids: NDArray[Any],
    context: NDArray[Any],
    *,
    streams: int = 1,
    autocast: AbstractContextManager[Any] | None = None,
) -> float:
    """The mean loss over every token of a text, in nats per token.

    Args:
        model: the network; its mode (training or not) is the same afterwards.
        ids: the text, (tokens,), at least one.
        context: what stands before the text, (tokens,), at least one: it predicts the first token.
        streams: parallel streams the text is cut into; 1 is exact.
        autocast: the context in which to compute; None is the weights' own precision.
    """
    totals: list[Tensor] = []

    def take(logits: Tensor, targets: Tensor, inside: Tensor) -> None:
        totals.append(losses(logits, targets)[inside].sum())

    walk(model, ids, context, streams, autocast, take)
    return float(total(totals)) / len(ids)


def surprise(
    model: CharLM, ids: NDArray[Any], context: NDArray[Any], *, progress: Callable[[int], object] = lambda more: None
) -> NDArray[np.float32]:
    """The loss of each token of a text read in order, in nats, (tokens,).

    Args:
        model: the network.
        ids: the text, (tokens,), at least one.
        context: what stands before it, at least one token.
        progress: called now and then with the number of tokens done since the last call.
    """
    parts: list[NDArray[np.float32]] = []

    def take(logits: Tensor, targets: Tensor, inside: Tensor) -> None:
        parts.append(losses(logits, targets)[inside].cpu().numpy())
        progress(len(parts[-1]))

    walk(model, ids, context, 1, None, take)
    return np.concatenate(parts)


def total(sums: list[Tensor]) -> Tensor:
    """What windows sum up to, on the CPU: Apple's GPUs have no float64."""
    return torch.stack(sums).cpu().double().sum(0)


def bits_per_char(nats_per_token: float, tokens: int, characters: int) -> float:
    """Nats per token as bits per character of the text the tokens stand for."""
    return nats_per_token * tokens / max(1, characters) / math.log(2)


def losses(logits: Tensor, targets: Tensor) -> Tensor:
    """Of each token, (S, T)."""
    return functional.cross_entropy(logits.transpose(1, 2), targets, reduction="none")
