"""What ``metrics.jsonl`` tells of a run: its curves, its samples, its sessions, each against text read and time.

A file may end in half a line, may lack what older versions did not record, and may hold steps twice: a session that is
resumed repeats what its predecessor had not saved. What came last counts.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from charlstm.events import KINDS, EvalDone, Event, Notice, Preview, Started, StepDone, Stopped
from charlstm.files import storage_error

Values = NDArray[np.float64]
_FEWEST_BINS, _BINS, _SMOOTHED = 40, 240, 5
"""Points of a curve of steps: one for each step where they are few, else one for so many of them, up to a limit."""
_EARLY = 1.5
"""Above 1, the first points stand for fewer steps than the last: losses fall fastest at first."""
_LARGEST = 1e18
"""No training has so many steps, tokens or seconds: a number beyond it is damage."""
_MOST_STEPS = 20_000
"""Steps that are read, at most, so that a training of weeks is shown as fast as one of hours."""


@dataclass(frozen=True)
class Place:
    """How far training was."""

    step: int
    tokens: float
    """Training tokens read, over all passes."""
    seconds: float
    """Seconds of training."""


@dataclass(frozen=True)
class Binned:
    """A curve of many steps in few points: the mean of each bin, with the lowest and the highest value in it."""

    tokens: tuple[float, ...]
    """Of the last step of each bin."""
    seconds: tuple[float, ...]
    mean: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]


@dataclass(frozen=True)
class History:
    """The events of a run, in order, without those that were repeated."""

    sessions: tuple[Started, ...] = ()
    steps: tuple[StepDone, ...] = ()
    evaluations: tuple[EvalDone, ...] = ()
    previews: tuple[Preview, ...] = ()
    notices: tuple[Notice, ...] = ()
    stopped: Stopped | None = None
    """The end of the last session; None while it trains, or if it was killed."""
    _places: tuple[Values, Values, Values] = field(default=(np.zeros(1),) * 3, repr=False)
    """Steps, and the tokens and seconds that belong to them, rising."""

    def place(self, step: int) -> Place:
        """Return how much text and time a step stands for, between recorded steps by interpolation."""
        steps, tokens, seconds = self._places
        return Place(step, _interpolate(step, steps, tokens), _interpolate(step, steps, seconds))

    @property
    def end(self) -> Place:
        """The last place that is known."""
        last = [each.step for each in self.steps[-1:]] + [each.step for each in self.evaluations[-1:]]
        return self.place(max([*last, self.stopped.step if self.stopped else 0]))

    def binned(self, name: str) -> Binned:
        """Return a value of the steps as a curve.

        Args:
            name: of a field of `StepDone`, or ``speed``: tokens per second since the recorded step before.
        """
        tokens, seconds, values = self._values(name)
        count = min(len(values), max(_FEWEST_BINS, len(values) // _SMOOTHED), _BINS)
        shares = np.linspace(0, 1, count + 1) ** (_EARLY if count < len(values) else 1)
        edges = np.unique(np.round(len(values) * shares).astype(int))
        parts = [values[a:b] for a, b in itertools.pairwise(edges)]
        last = edges[1:] - 1
        return Binned(
            tuple(tokens[last].tolist()),
            tuple(seconds[last].tolist()),
            tuple(float(part.mean()) for part in parts),
            tuple(float(part.min()) for part in parts),
            tuple(float(part.max()) for part in parts),
        )

    def _values(self, name: str) -> tuple[Values, Values, Values]:
        columns = [np.array([getattr(step, each) for step in self.steps], float) for each in ("tokens", "seconds")]
        tokens, seconds = columns
        if name != "speed":
            return tokens, seconds, np.array([getattr(step, name) for step in self.steps], float)
        read, took = np.diff(tokens), np.diff(seconds)
        is_measured = (read > 0) & (took > 0)
        return tokens[1:][is_measured], seconds[1:][is_measured], read[is_measured] / took[is_measured]


def read_history(path: Path) -> History:
    """Read the history of a run; of very many steps, only every so many.

    Args:
        path: its ``metrics.jsonl``; it need not exist.

    Returns:
        The history; empty if there is no such file.

    Raises:
        StorageError: it cannot be read.
    """
    try:
        lines = path.read_bytes().splitlines() if path.is_file() else []  # a pipe there would block
    except OSError as fault:
        raise storage_error(path, fault, "cannot be read") from fault
    return history_of(event for line in _thinned(lines) if (event := read_event(line)) is not None)


def _thinned(lines: list[bytes]) -> Iterator[bytes]:
    """Every line but those of steps, and as many of these, evenly spread, as can be read."""
    stride, steps = 1 + len(lines) // _MOST_STEPS, 0
    for line in lines:
        is_step = line.startswith(b'{"event": "StepDone"')
        if not is_step or steps % stride == 0:
            yield line
        steps += is_step


def history_of(events: Iterable[Event]) -> History:
    """Arrange events; one at an earlier step than the event before it begins again from there.

    Args:
        events: in the order in which they were recorded.

    Returns:
        The history.
    """
    kept: list[Event] = []
    for event in events:
        while kept and (kept[-1].step > event.step or _repeats(kept[-1], event)):
            kept.pop()
        kept.append(event)
    of_kind: dict[type[Any], list[Any]] = {kind: [] for kind in KINDS.values()}
    for event in kept:
        of_kind[type(event)].append(event)
    return History(
        tuple(of_kind[Started]),
        tuple(of_kind[StepDone]),
        tuple(of_kind[EvalDone]),
        tuple(of_kind[Preview]),
        tuple(of_kind[Notice]),
        kept[-1] if kept and isinstance(kept[-1], Stopped) else None,
        _places(of_kind[StepDone], of_kind[EvalDone]),
    )


def read_event(line: bytes | str) -> Event | None:
    """Read a line of ``metrics.jsonl``; null is a number that was not finite.

    Args:
        line: one line.

    Returns:
        The event; None if it is none, or of a kind or shape that this version does not know.
    """
    try:
        values = msgspec.json.decode(line)
        kind = KINDS[values.pop("event")]
        for name in _NUMBERS[kind]:
            if values.get(name, 0.0) is None:
                values[name] = math.nan
        event: Event = msgspec.convert(values, kind)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
    return event if _has_place(event) else None


def _has_place(event: Event) -> bool:
    """Whether its step, its text and its time, as far as it has them, are numbers that can be drawn."""
    return all(abs(getattr(event, name, 0)) < _LARGEST for name in ("step", "tokens", "seconds"))  # NaN is not


_NUMBERS = {
    kind: tuple(each.name for each in dataclasses.fields(kind) if each.type == "float") for kind in KINDS.values()
}
"""The fields of each kind in which null stands for a number that was not finite."""


def _repeats(before: Event, event: Event) -> bool:
    """Whether an event is the one before it again: the same step, taken or evaluated twice."""
    return type(before) is type(event) in (StepDone, EvalDone) and before.step == event.step


def _places(steps: Iterable[StepDone], evaluations: Iterable[EvalDone]) -> tuple[Values, Values, Values]:
    """Where tokens and seconds are known; an evaluation knows only the time."""
    read = {0: 0.0} | {each.step: float(each.tokens) for each in steps}
    took = {0: 0.0} | {each.step: each.seconds for each in steps} | {each.step: each.seconds for each in evaluations}
    at, tokens = np.array(sorted(read), float), np.array([read[step] for step in sorted(read)])
    every = np.array(sorted(took), float)
    seconds = np.maximum.accumulate([took[step] for step in sorted(took)])
    return every, np.array([_interpolate(step, at, tokens) for step in every.tolist()]), seconds


def _interpolate(step: float, steps: Values, values: Values) -> float:
    """The value at a step, in a straight line between those that are known and beyond the last two."""
    if len(steps) > 1 and step > steps[-1]:
        slope = (values[-1] - values[-2]) / (steps[-1] - steps[-2])
        return float(values[-1] + slope * (step - steps[-1]))
    return float(np.interp(step, steps, values))
