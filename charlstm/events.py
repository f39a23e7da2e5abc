"""What training tells while it runs: plain values, and one JSON line each in ``metrics.jsonl``."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass
from typing import Any, Literal, TypeAlias


@dataclass(frozen=True)
class Started:
    """Training is about to take its first step of this session."""

    run: str
    step: int
    """Steps done before this session; 0 unless resumed."""
    parameters: int
    train_tokens: int
    val_tokens: int


@dataclass(frozen=True)
class StepDone:
    """One step of the optimizer."""

    step: int
    progress: float
    """Share of the budget used, in [0, 1]."""
    loss: float
    """Nats per token, of this step's windows."""
    lr: float
    grad_norm: float
    """Global norm of the gradient before clipping."""
    tokens: int
    """Tokens seen so far, over all sessions."""
    seconds: float
    """Seconds of training so far, over all sessions."""


@dataclass(frozen=True)
class EvalDone:
    """One pass over the validation text."""

    step: int
    train_loss: float
    """Nats per token, a running mean over recent steps."""
    val_loss: float
    """Nats per token over every validation token."""
    bits_per_char: float
    weights: Literal["last", "ema"]
    """Which weights were better and are meant."""
    best: bool
    """Whether this is the lowest validation loss so far; those weights are kept."""
    seconds: float
    """Seconds of training so far."""


@dataclass(frozen=True)
class Preview:
    """A little text written by the network as it is now."""

    step: int
    text: str


@dataclass(frozen=True)
class CheckpointSaved:
    """A file is whole and on the disk."""

    step: int
    path: str
    kind: Literal["model", "resume"]


@dataclass(frozen=True)
class Notice:
    """Something a person should know, in plain words."""

    step: int
    text: str


@dataclass(frozen=True)
class Stopped:
    """Training is over for this session; always the last event."""

    step: int
    reason: Literal["finished", "interrupted", "early", "diverged"]
    best_val_loss: float | None
    """Nats per token; None when there was no validation."""
    seconds: float
    message: str = ""
    """For a divergence: what happened, in plain words."""


Event: TypeAlias = Started | StepDone | EvalDone | Preview | CheckpointSaved | Notice | Stopped


def to_json(event: Event) -> str:
    """The event as one line of JSON in ASCII, its type under ``"event"``; a number that is not finite is null there."""
    values = {
        name: None if isinstance(value, float) and not math.isfinite(value) else value
        for name, value in asdict(event).items()
    }
    return json.dumps({"event": type(event).__name__, **values}, allow_nan=False)


def from_json(line: str) -> Event:
    """Undo `to_json`."""
    values: dict[str, Any] = json.loads(line)
    event: Event = _KINDS[values.pop("event")](**values)
    return event


_KINDS: dict[str, type[Any]] = {
    kind.__name__: kind for kind in (Started, StepDone, EvalDone, Preview, CheckpointSaved, Notice, Stopped)
}
