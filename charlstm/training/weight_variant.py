"""What of a network in training is scored and saved: its last or its average weights, at the temperature that fits."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

import torch

from charlstm.nn.model import CharLM
from charlstm.training.optim.ema import Average


@dataclass(frozen=True)
class Candidate:
    """One way to take a network out of training."""

    weights: Literal["last", "average"]
    temperature: float = 1.0
    """What its logits are divided by."""


@contextmanager
def standing(candidate: Candidate, model: CharLM, average: Average | None) -> Iterator[None]:
    """The candidate in the model's place for a while; afterwards every weight is what it was, bit for bit."""
    swapped = average if candidate.weights == "average" else None
    if swapped is not None:
        swapped.swap()
    head = [model.head.weight, model.head.bias]
    kept = [part.detach().clone() for part in head]
    try:
        with torch.no_grad():
            for part in head:
                part.div_(candidate.temperature)
        yield
    finally:
        with torch.no_grad():
            for part, before in zip(head, kept, strict=True):
                part.copy_(before)
        if swapped is not None:
            swapped.swap()
