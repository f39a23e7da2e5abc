"""Starting the command line, and computing the exact validation loss of the checkpoint it wrote."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import cross_entropy

import charlstm
from charlstm.corpora.encode import split
from charlstm.engine.load import torch_model
from charlstm.evaluation.loss import evaluate
from charlstm.paths import cache_folder

CHARLSTM = [sys.executable, "-m", "charlstm"]
"""The command, as another process is started with it."""

TRAIN = [*CHARLSTM, "train", "--init-from", "none"]
"""The command that trains from random weights: what is compared with other programs has read no more than they have."""

WINDOW, WINDOWS_AT_ONCE = 256, 64
"""nanoGPT's protocol: windows of 256 tokens, each from a zero state."""


def cache() -> Path:
    """The folder where the command line keeps encoded texts and fetched corpora."""
    return Path(os.environ.get("CHARLSTM_CACHE") or cache_folder())


@dataclass(frozen=True)
class ValidationLoss:
    """The loss over every validation token, in nats per token."""

    tokens: int
    stateful: float
    """One pass in order; the state is carried from the first token to the last."""
    windows: float
    """Windows of 256 from a zero state, all positions averaged."""


def validation_loss(run: Path, text: str) -> tuple[charlstm.Model, ValidationLoss]:
    """Score the validation part of a text with the checkpoint that was trained on the rest.

    Args:
        run: the run's folder.
        text: the whole text the run was given.

    Returns:
        The trained model, and its losses.
    """
    trained = charlstm.load(run)
    _, val = split(trained.tokenizer.encode(text), trained.config.data.val_fraction)
    model = torch_model(trained.checkpoint)

    def window_loss(inputs: Tensor, targets: Tensor) -> float:
        return cross_entropy(model(inputs)[0].flatten(0, 1), targets.flatten(), reduction="sum").item()

    stateful = evaluate(model, val[1:], val[:1])
    return trained, ValidationLoss(len(val), stateful, loss_in_windows(window_loss, val, WINDOW))


def loss_in_windows(window_loss: Callable[[Tensor, Tensor], float], ids: NDArray[Any], window: int) -> float:
    """The mean loss of a text cut into windows; the last, shorter window counts too.

    Args:
        window_loss: (inputs, targets), both (windows, time) → the sum of the loss over all targets, in nats.
        ids: the text, (tokens,), at least two.
        window: tokens per window.

    Returns:
        Nats per token over all tokens but the first.
    """
    total, at_once = 0.0, window * WINDOWS_AT_ONCE
    with torch.inference_mode():
        for begin in range(0, len(ids) - 1, at_once):
            part = torch.from_numpy(ids[begin : begin + at_once + 1].astype(np.int64))
            whole = (len(part) - 1) // window * window
            if whole:
                total += window_loss(part[:whole].view(-1, window), part[1 : whole + 1].view(-1, window))
            if whole < len(part) - 1:
                total += window_loss(part[whole:-1][None], part[whole + 1 :][None])
    return total / (len(ids) - 1)
