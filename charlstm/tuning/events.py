"""The events of a search: plain values, and one JSON line each."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any, Literal, TypeAlias

TrialState: TypeAlias = Literal["finished", "pruned", "failed", "interrupted"]
"""How a trial ended: it used all its time, was stopped early as hopeless, failed, or was cut off with the search."""


@dataclass(frozen=True)
class Trial:
    """A trial that has ended."""

    number: int
    """From 0; trial 0 has the default settings."""
    state: TrialState
    loss: float | None
    """Its lowest validation loss, nats per token; None if it had no evaluation."""
    bits_per_char: float | None
    seconds: float
    """From the start of its process to its end."""
    settings: dict[str, Any]
    """The settings that the search varies."""
    changed: dict[str, Any]
    """Those of them that differ from the default."""
    reason: str = ""
    """Why it failed."""


@dataclass(frozen=True)
class SearchStarted:
    """The search starts or continues; always the first event."""

    folder: str
    default: dict[str, Any]
    """The settings of trial 0 that the search varies."""
    trial_time: float
    """Seconds of training of each trial."""
    trials: int
    """Trials completed in earlier sessions."""
    seconds_left: float
    """Of the budget."""


@dataclass(frozen=True)
class TrialStarted:
    """The process of a trial has started."""

    number: int
    settings: dict[str, Any]
    changed: dict[str, Any]


@dataclass(frozen=True)
class TrialDone:
    """The process of a trial has ended."""

    trial: Trial
    best: Trial | None
    """The best of all finished trials."""
    seconds_left: float
    """Of the budget."""


@dataclass(frozen=True)
class SearchDone:
    """The search has ended for this session; always the last event."""

    reason: Literal["finished", "interrupted"]
    best: Trial | None
    trials: tuple[Trial, ...]
    """Those of all sessions, in order."""
    settings_file: str | None
    """The settings of the best trial, for ``charlstm train --config``."""
    checkpoint: str | None
    """The run folder of the best trial."""
    seconds: float
    """Of searching, over all sessions."""


Event: TypeAlias = SearchStarted | TrialStarted | TrialDone | SearchDone


def to_json(event: Event) -> str:
    """Return the event as one line of ASCII JSON, with its type under ``"event"``."""
    return json.dumps({"event": type(event).__name__, **asdict(event)}, allow_nan=False)
