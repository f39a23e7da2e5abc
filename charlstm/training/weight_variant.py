"""Which weights of a network in training are scored and saved: the last or the averaged ones, at which temperature."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

import torch

from charlstm.nn.model import CharLM
from charlstm.training.optim.ema import WeightEMA


@dataclass(frozen=True)
class WeightVariant:
    """One way to take a network out of training."""

    weights: Literal["last", "ema"]
    temperature: float = 1.0
    """What its logits are divided by."""


@contextmanager
def use_weights(variant: WeightVariant, model: CharLM, ema: WeightEMA | None) -> Iterator[None]:
    """The model with the weights of a variant for a while; afterwards every weight is what it was, bit for bit.

    Args:
        variant: which weights.
        model: whose weights are exchanged.
        ema: their averages, if there are any.
    """
    swapped = ema if variant.weights == "ema" else None
    if swapped is not None:
        swapped.swap()
    head = [model.head.weight, model.head.bias]
    kept = [part.detach().clone() for part in head]
    try:
        with torch.no_grad():
            for part in head:
                part.div_(variant.temperature)
        yield
    finally:
        with torch.no_grad():
            for part, before in zip(head, kept, strict=True):
                part.copy_(before)
        if swapped is not None:
            swapped.swap()
