"""Temperature scaling: the temperature at which a network's loss on a text is lowest."""

from __future__ import annotations

import math
from contextlib import AbstractContextManager
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from charlstm.evaluation.loss import total
from charlstm.evaluation.windows import ReadWindows, measure_windows
from charlstm.nn.model import CharLM


def calibrate(
    model: CharLM,
    ids: NDArray[Any],
    context: NDArray[Any],
    *,
    streams: int = 1,
    autocast: AbstractContextManager[Any] | None = None,
    windows: ReadWindows = measure_windows,
) -> tuple[float, float]:
    """The mean loss, as `evaluate` computes it, and the temperature at which it would be lowest.

    A network that has read its text several times is overconfident. With z the logits, y the target and
    β = 1 / temperature, the mean loss is convex in β, and one Newton step from β = 1 comes close to its minimum::

        L(β) = mean of log Σ exp(β z) - β z_y
        L'(1) = mean of E[z] - z_y,  L''(1) = mean of Var[z]        z distributed by softmax(z)
        β = 1 - L'(1) / L''(1), between 1/2 and 2

    Args:
        model: as `evaluate`.
        ids: as `evaluate`.
        context: as `evaluate`.
        streams: as `evaluate`.
        autocast: as `evaluate`.
        windows: as `evaluate`.

    Returns:
        Nats per token, and the temperature; 1 where the loss is not finite.

    Source: temperature scaling, Guo et al. 2017, "On calibration of modern neural networks".
    """

    def derivatives(logits: Tensor, targets: Tensor, scored: Tensor) -> Tensor:
        z, y = logits[scored], targets[scored]
        loss = functional.cross_entropy(z, y, reduction="sum")
        probabilities = z.softmax(-1)
        mean = (probabilities * z).sum(-1)
        first = mean - z.gather(-1, y[:, None])[:, 0]
        second = (z - mean[:, None]).square_().mul_(probabilities).sum(-1)
        return torch.stack([loss, first.sum(), second.sum()])

    measured = windows(model, ids, context, derivatives, streams=streams, autocast=autocast)
    loss, first, second = total([sums for _, sums in measured]).tolist()
    beta = 1 - first / second if math.isfinite(loss) and second > 0 else 1.0
    return loss / len(ids), 1 / min(2.0, max(0.5, beta))
