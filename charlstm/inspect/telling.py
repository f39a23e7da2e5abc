"""What a unit is for: the bits that are lost without it, and what the network writes while it is held high or low."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from charlstm.engine.network import Engine
from charlstm.inspect.hold import HeldEngine, Hold
from charlstm.inspect.units import Unit
from charlstm.sampling.config import SampleConfig
from charlstm.sampling.sampler import sample

HIGH = 0.98
"""A unit is held high at this quantile of its values over the text, low at the rest of 1."""


def bits_lost(
    engine: Engine, ids: NDArray[np.integer[Any]], units: Sequence[Unit], values: NDArray[np.floating[Any]]
) -> NDArray[np.float64]:
    """How many bits a token the loss rises by when a unit is held at its mean, one unit at a time.

    Args:
        engine: the network.
        ids: the text, (T,), at least two tokens.
        units: the units, U of them.
        values: the mean of each unit's own values, c itself, (U,).

    Returns:
        Bits per token, (U,); a unit without use loses nothing.
    """
    holds = [None, *(Hold(unit, float(value)) for unit, value in zip(units, values, strict=True))]
    held, rows = HeldEngine(engine, holds), len(holds)
    state: Any = None
    nats = np.zeros(rows)
    for token, target in zip(ids[:-1].tolist(), ids[1:].tolist(), strict=True):
        logits, state = held.step(np.full(rows, token), state)
        logits = logits.astype(np.float64)
        nats += np.logaddexp.reduce(logits, axis=1) - logits[:, target]
    losses: NDArray[np.float64] = (nats[1:] - nats[0]) / (len(ids) - 1) / math.log(2)
    return losses


def write_held(
    engine: Engine, hold: Hold | None, prompt: NDArray[np.integer[Any]], config: SampleConfig, starts: Sequence[str]
) -> str:
    """Let a network write while a unit is held.

    Args:
        engine: the network.
        hold: the unit and its value; None holds nothing.
        prompt: the tokens to continue; none begins as the network begins its texts.
        config: length, filters, seed.
        starts: where a text without a prompt begins.

    Returns:
        The text.
    """
    model = engine if hold is None else HeldEngine(engine, [hold])
    return "".join(fragment.text for fragment in sample(model, prompt.tolist(), config, starts=starts))
