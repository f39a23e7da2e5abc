"""What a search and the worker process of a trial send each other: JSON, one message a line.

The search writes one `TrialSpec` to the worker's standard input, and then keeps that open: its end asks the worker to
save and end. The worker writes the events of its training to standard output, all but `StepDone`, of which there are
hundreds a second; if training fails, a `TrialError` comes last.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any, TypeAlias

from charlstm import events
from charlstm.errors import UsageError


@dataclass(frozen=True)
class TrialSpec:
    """What a worker trains, and where."""

    name: str
    """The run's name: its folder below `root`."""
    root: str
    """The folder of the search."""
    cache: str
    """The folder of encoded texts."""
    settings: dict[str, dict[str, Any]]
    """By section, as `training.prepare.prepare` takes them."""
    provenance: dict[str, Any]
    """What the checkpoint records of its origin, besides what training records itself."""


@dataclass(frozen=True)
class TrialError:
    """The `CharlstmError` that ended a trial."""

    message: str
    exit_code: int


Message: TypeAlias = events.Event | TrialError
"""What a worker sends."""


def encode(message: TrialSpec | Message) -> bytes:
    """Return a message as one line of ASCII, which holds any file name."""
    if isinstance(message, TrialSpec | TrialError):
        return (json.dumps({"event": type(message).__name__, **asdict(message)}) + "\n").encode()
    return (events.to_json(message) + "\n").encode()


def decode(line: bytes) -> Message:
    """Return the message of a worker's line.

    Raises:
        ValueError: it is not a message, or was cut short.
    """
    try:
        values = json.loads(line)
        if values["event"] == TrialError.__name__:
            return TrialError(values["message"], values["exit_code"])
        return events.from_json(line.decode())
    except (KeyError, TypeError) as error:
        raise ValueError(f"not a message of a worker: {line[:80]!r}") from error


def decode_spec(line: bytes) -> TrialSpec:
    """Return the `TrialSpec` of a line.

    Raises:
        UsageError: it is not one.
    """
    try:
        values = json.loads(line)
        del values["event"]
        return TrialSpec(**values)
    except (ValueError, KeyError, TypeError) as error:
        raise UsageError("the first line of standard input must be the JSON of a TrialSpec") from error
