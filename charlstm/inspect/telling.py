"""What a unit is for: the bits that are lost without it, and what the network writes while it is held high or low."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from charlstm.engine.network import Engine
from charlstm.inspect.hold import HeldEngine, Hold
from charlstm.inspect.subject import Subject
from charlstm.inspect.trace import Floats
from charlstm.inspect.units import Finding, Unit, unit_values
from charlstm.sampling.config import SampleConfig
from charlstm.sampling.sampler import sample

HIGH = 0.98
"""A unit is held high at this quantile of its values over the text, low at the rest of 1."""
_ABLATED = 2000
"""Tokens that are read with each unit held at its mean."""
_HELD = 6
"""How many units are held while the network writes, the surest."""


@dataclass(frozen=True)
class Told:
    """A finding with what was found out about its unit."""

    finding: Finding
    values: Floats
    """Of the unit over the text, c through tanh, (T,)."""
    bits_lost: float | None
    """Bits a token that are lost with the unit at its mean; None of a network that cannot be stepped."""
    low: str = ""
    """What the network writes while the unit is held low; empty if it was not asked to."""
    high: str = ""


def tell(
    subject: Subject,
    findings: Sequence[Finding],
    engine: Engine | None,
    config: SampleConfig | None,
    starts: Sequence[str] = (),
) -> Iterator[Told]:
    """Find out what the units of findings are for.

    Args:
        subject: the network and the text.
        findings: the surest first.
        engine: the same network, stepped; None if it reads both ways, and then no unit is held.
        config: how the network writes with a unit held; None lets it write nothing.
        starts: where its texts begin.

    Yields:
        Each finding, with what it costs to hold its unit at its mean and what the network writes with it held.
    """
    if not findings:
        return
    units = [finding.unit for finding in findings]
    values = [*unit_values(subject, units).T]
    if engine is None:
        yield from (Told(finding, each, None) for finding, each in zip(findings, values, strict=True))
        return
    own = [
        np.arctanh(np.clip(each, -_LARGEST, _LARGEST)) if unit.part == "c" else each
        for unit, each in zip(units, values, strict=True)
    ]
    lost = bits_lost(engine, subject.ids[:_ABLATED], units, np.array([each.mean() for each in own]))
    for number, (finding, each) in enumerate(zip(findings, values, strict=True)):
        low = high = ""
        if config is not None and finding.stands_out and number < _HELD:
            low, high = (
                write_held(engine, Hold(finding.unit, float(end)), subject.ids[:0], config, starts)
                for end in np.quantile(own[number], (1 - HIGH, HIGH))
            )
        yield Told(finding, each, float(lost[number]), low, high)


_LARGEST = 1 - 1e-6
"""A tanh of c beyond it is taken for it, so that c can be told from it."""


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
