"""The temperature at which a network is as sure as it may be."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from charlstm.evaluation.loss import total
from charlstm.evaluation.windows import walk
from charlstm.nn.model import CharLM


def calibrate(
    model: CharLM,
    ids: NDArray[Any],
    context: NDArray[Any],
    *,
    streams: int = 1,
    autocast: AbstractContextManager[Any] | None = None,
) -> tuple[float, float]:
    """The mean loss as `evaluate` has it, and the temperature at which it would be lowest.

    A network that has read its text several times is surer than it may be. With z the logits, y the token that came and
    β = 1 / temperature, the mean loss is convex in β, and from 1 one step of Newton's comes close to its lowest::

        L(β) = mean of log Σ exp(β z) - β z_y
        L'(1) = mean of E[z] - z_y,  L''(1) = mean of Var[z]        z distributed by softmax(z)
        β = 1 - L'(1) / L''(1), between 1/2 and 2

    Args: those of `evaluate`.

    Source: temperature scaling, Guo et al. 2017, "On calibration of modern neural networks".
    """
    sums: list[Tensor] = []

    def take(logits: Tensor, targets: Tensor, inside: Tensor) -> None:
        z, y = logits[inside], targets[inside]
        shares = z.softmax(-1)
        mean = (shares * z).sum(-1)
        slope = mean - z.gather(-1, y[:, None])[:, 0]
        curve = (shares * (z - mean[:, None]).square()).sum(-1)
        sums.append(torch.stack([functional.cross_entropy(z, y, reduction="sum"), slope.sum(), curve.sum()]))

    walk(model, ids, context, streams, autocast, take)
    loss, slope, curve = total(sums).tolist()
    beta = 1 - slope / curve if curve > 0 else 1.0
    return loss / len(ids), 1 / min(2.0, max(0.5, beta))
