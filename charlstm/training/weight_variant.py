"""Variants of the weights to score and save: the last or the averaged ones, and their temperature."""

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
    """A choice of weights and temperature."""

    weights: Literal["last", "ema"]
    temperature: float = 1.0
    """The divisor of the logits."""


@contextmanager
def use_weights(variant: WeightVariant, model: CharLM, ema: WeightEMA | None) -> Iterator[None]:
    """Give the model the weights of a variant inside a ``with`` block, and restore them exactly afterwards.

    Args:
        variant: the weights to use.
        model: the network.
        ema: the moving average of its weights, or None without one.
    """
    swapped = ema if variant.weights == "ema" else None
    if swapped is not None:
        swapped.swap()
    head = [model.head.weight, model.head.bias]
    saved = [part.detach().clone() for part in head]
    try:
        with torch.no_grad():
            for part in head:
                part.div_(variant.temperature)
        yield
    finally:
        with torch.no_grad():
            for part, value in zip(head, saved, strict=True):
                part.copy_(value)
        if swapped is not None:
            swapped.swap()
