"""The charts of training runs: losses, learning rate, gradient norm and speed, of one run or of several."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from charlstm.inspect.runs import RunRecord
from charlstm.report.charts import Chart, Curve, Level

Against: TypeAlias = Literal["text", "time"]

_TIMES = ((86400.0, "days"), (3600.0, "hours"), (60.0, "minutes"))
_MOST_TRAINING = 2
"""Runs whose training losses are shown beside their validation losses."""
_OVER_UNIFORM = 1.25
"""A loss is shown up to this factor of that of equally likely tokens; one that diverged has no end."""


@dataclass(frozen=True)
class Units:
    """What the losses and the text of a run are counted in."""

    bits_per_nat: float
    """Converts nats per token to the unit of the loss."""
    loss: str
    """The unit of the loss."""
    text: str
    """The unit of text, in the plural."""
    characters_per_token: float
    """How many of that unit a token is."""


def units_of(run: RunRecord) -> Units:
    """Return what a run is counted in: bits and characters or bytes; nats and tokens where the ratio is not known."""
    kind = None if run.header is None else run.header.tokenizer.get("kind")
    ratio = 1 / math.log(2) if kind in ("byte", "char") else _measured_ratio(run)
    if ratio is None:
        return Units(1.0, "nats per token", "tokens", 1.0)
    return Units(ratio, f"bits per {run.unit}", f"{run.unit}s", 1 / (ratio * math.log(2)))


def common_baselines(runs: Sequence[RunRecord]) -> dict[str, float]:
    """Return the baselines that all runs have alike, as runs on the same text do.

    Args:
        runs: at least one.
    """
    first, *others = (run.baselines for run in runs)
    return {name: bits for name, bits in first.items() if all(other.get(name) == bits for other in others)}


def loss_chart(runs: Sequence[RunRecord], against: Against) -> Chart | None:
    """Losses against text read or time; baselines as levels where the runs agree on them.

    Args:
        runs: at least one.
        against: the x axis. Text is on a logarithmic scale: losses fall by about equal steps each time it doubles.

    Returns:
        The chart; None if no loss was recorded.
    """
    units = units_of(runs[0])
    curves: list[Curve] = []
    for color, run in enumerate(runs):
        names = (f"{run.name}, training", run.name) if len(runs) > 1 else ("training", "validation")
        if len(runs) <= _MOST_TRAINING:
            curves += _of_steps(run, "loss", names[0], color, against, runs, _bits(run), dashed=True)
        curves += _of_evaluations(run, names[1], color, against, runs)
    if not curves:
        return None
    return Chart(
        f"Loss against {f'{units.text} read' if against == 'text' else 'time'}",
        _x_label(runs, against),
        units.loss,
        tuple(curves),
        log_x=against == "text",
        levels=tuple(Level(bits, name) for name, bits in common_baselines(runs).items()),
    )


def step_charts(runs: Sequence[RunRecord]) -> tuple[Chart, ...]:
    """Learning rate, gradient norm and speed against time; without those of which nothing was recorded.

    Args:
        runs: at least one.
    """
    text = units_of(runs[0]).text
    charts = []
    for name, title, y_label, log_y in (
        ("lr", "Learning rate", "step size", False),
        ("grad_norm", "Gradient norm", "norm before clipping", True),
        ("speed", "Speed", f"{text} per second", False),
    ):
        curves: list[Curve] = []
        for color, run in enumerate(runs):
            scale = _Scale(units_of(run).characters_per_token if name == "speed" else 1.0)
            curves += _of_steps(run, name, run.name, color, "time", runs, scale)
        if curves:
            charts.append(Chart(title, _x_label(runs, "time"), y_label, tuple(curves), log_y=log_y))
    return tuple(charts)


@dataclass(frozen=True)
class _Scale:
    """A factor, and the largest value that is shown."""

    factor: float
    most: float = math.inf

    def __call__(self, value: float) -> float:
        return min(value * self.factor, self.most)  # NaN stays

    def all(self, values: Sequence[float]) -> tuple[float, ...]:
        return tuple(map(self, values))


def _bits(run: RunRecord) -> _Scale:
    """From nats per token to the unit of the loss."""
    ratio = units_of(run).bits_per_nat
    if run.header is None:
        return _Scale(ratio)
    return _Scale(ratio, _OVER_UNIFORM * ratio * math.log(max(2, run.header.run.model.vocab_size)))


def _of_steps(
    run: RunRecord, name: str, label: str, color: int, against: Against, runs: Sequence[RunRecord], scale: _Scale,
    *, dashed: bool = False,
) -> Iterator[Curve]:  # fmt: skip
    binned = run.history.binned(name)
    if binned.mean:
        x = _x(run, binned.tokens, binned.seconds, against, runs)
        low, high = (scale.all(values) for values in (binned.low, binned.high))
        yield Curve(label, x, scale.all(binned.mean), low, high, color, dashed)


def _of_evaluations(
    run: RunRecord, label: str, color: int, against: Against, runs: Sequence[RunRecord]
) -> Iterator[Curve]:
    evaluations = [each for each in run.history.evaluations if each.step or against == "time"]  # 0 has no logarithm
    if evaluations:
        places = [run.history.place(each.step) for each in evaluations]
        x = _x(run, [place.tokens for place in places], [place.seconds for place in places], against, runs)
        y = _bits(run).all([each.val_loss for each in evaluations])
        yield Curve(label, x, y, y, y, color)


def _x(
    run: RunRecord, tokens: Sequence[float], seconds: Sequence[float], against: Against, runs: Sequence[RunRecord]
) -> tuple[float, ...]:
    if against == "text":
        return _Scale(units_of(run).characters_per_token).all(tokens)
    return _Scale(1 / _time_unit(runs)[0]).all(seconds)


def _x_label(runs: Sequence[RunRecord], against: Against) -> str:
    return f"{units_of(runs[0]).text} read" if against == "text" else f"{_time_unit(runs)[1]} of training"


def _time_unit(runs: Sequence[RunRecord]) -> tuple[float, str]:
    """The largest unit of which the longest run has at least two."""
    longest = max(run.seconds for run in runs)
    return next((unit for unit in _TIMES if longest >= 2 * unit[0]), (1.0, "seconds"))


def _measured_ratio(run: RunRecord) -> float | None:
    """Bits per character for each nat per token, from an evaluation or a model that has both."""
    for evaluation in run.history.evaluations:
        if evaluation.val_loss > 0 and evaluation.bits_per_char > 0:
            return evaluation.bits_per_char / evaluation.val_loss
    about = None if run.header is None else run.header.provenance
    if about is not None and about.val_loss and about.bits_per_char:
        return about.bits_per_char / about.val_loss
    return None
