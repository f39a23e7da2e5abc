"""What a search tells while it runs: plain values, one JSON line each."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any, Literal, TypeAlias


@dataclass(frozen=True)
class Trial:
    """A trial that is over."""

    number: int
    """From 0, which is the default choice."""
    state: Literal["finished", "pruned", "failed", "interrupted"]
    """Whether it ran to its end, was stopped as hopeless, failed by itself, or was cut off with the search."""
    loss: float | None
    """Its lowest validation loss so far, nats per token; None if it came to no evaluation."""
    bits_per_char: float | None
    seconds: float
    """From the start of its process to its end."""
    settings: dict[str, Any]
    """Those that the search varies."""
    changed: dict[str, Any]
    """Those of them that are not the default's."""
    reason: str = ""
    """Why it failed, in plain words."""


@dataclass(frozen=True)
class SearchStarted:
    """The first trial is about to begin, or the search goes on."""

    folder: str
    default: dict[str, Any]
    """The settings of trial 0 that the search varies."""
    trial_time: float
    """Seconds of training of each trial."""
    trials: int
    """Trials done in earlier sessions."""
    seconds_left: float


@dataclass(frozen=True)
class TrialStarted:
    """A trial's process runs."""

    number: int
    settings: dict[str, Any]
    changed: dict[str, Any]


@dataclass(frozen=True)
class TrialDone:
    """A trial's process has ended."""

    trial: Trial
    best: Trial | None
    """The best of all that finished."""
    seconds_left: float


@dataclass(frozen=True)
class SearchDone:
    """The search is over for this session; always the last event."""

    reason: Literal["finished", "interrupted"]
    best: Trial | None
    trials: tuple[Trial, ...]
    """All of all sessions, in their order."""
    settings_file: str | None
    """The settings of the best, for ``charlstm train --config``."""
    checkpoint: str | None
    """What the best trial learned."""
    seconds: float
    """Of searching, over all sessions."""


Event: TypeAlias = SearchStarted | TrialStarted | TrialDone | SearchDone


def to_json(event: Event) -> str:
    """The event as one line of JSON, its type under ``"event"``."""
    return json.dumps({"event": type(event).__name__, **asdict(event)}, ensure_ascii=False, allow_nan=False)
