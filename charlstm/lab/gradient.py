"""The vanishing gradient, measured on untrained and trained cells, or on a checkpoint.

The claim: through an rnn the gradient shrinks by a factor at every character, so it learns nothing from distant
characters; the LSTM's cell state preserves it (Hochreiter & Schmidhuber 1997). `inspect.gradients` defines the measure.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray

from charlstm.inspect.gradients import THRESHOLD, gradient_norms, gradient_reach, relative_gradient
from charlstm.lab.progress import Experiment, Progress, ShouldStop, never
from charlstm.lab.side_by_side import (
    CELL_NAMES,
    CellComparison,
    by_cell,
    make_trainees,
    settings_of,
    short_training_note,
    train_side_by_side,
)
from charlstm.lab.texts import EMBEDDING, TRAIN, Text
from charlstm.lab.trainee import Trainee
from charlstm.nn.model import CharLM
from charlstm.report.charts import Chart, Curve, Level
from charlstm.report.experiment import Result
from charlstm.report.findings import format_range, judge

MAX_DISTANCE = 100
"""The greatest distance measured, in tokens."""
LENGTH = 2 * MAX_DISTANCE
"""Tokens of an excerpt; those before the last hundred only warm the network up."""
EXCERPTS = 8
FAR = 50
"""The distance at which cells are compared, in tokens."""
_QUESTION = (
    "How strongly does a prediction depend on the {unit} read k {unit}s before? Shown is the norm of "
    "d logits(t) / d input(t-k), the exact gradient, relative to the norm at k = 0, averaged over {excerpts} excerpts "
    "of {text}. The gradient reach is the last k before this share first falls below 1 %; k goes up to {max}, and "
    "'{max}+' means at least that."
)

Norms: TypeAlias = NDArray[np.float64]
"""The mean norm at each distance relative to distance 0, (MAX_DISTANCE + 1,)."""


def compare_cells(
    text: Text, comparison: CellComparison, parameters: int, should_stop: ShouldStop = never
) -> Experiment:
    """Measure every cell untrained, train all side by side, and measure them again.

    Args:
        text: what they are trained and measured on.
        comparison: which cells, how many seeds, how many seconds in total.
        parameters: parameter count of each network, as near as its hidden size allows.
        should_stop: ends the training early when it returns True.

    Yields:
        The progress, and last the result.
    """
    excerpts = text.excerpts(EXCERPTS, LENGTH)
    trainees = make_trainees(comparison, parameters, text.vocab_size, EMBEDDING, TRAIN, text.batches)
    models = [trainee.model for trainee in trainees]
    untrained = yield from _measure_all(models, excerpts, "untrained", 0.0)
    yield from train_side_by_side(trainees, should_stop)
    partial = not all(trainee.finished for trainee in trainees)
    trained = yield from _measure_all(models, excerpts, "trained", 1.0)
    settings = settings_of(comparison, trainees[0].budget, TRAIN, parameters=parameters)
    yield _result(trainees, untrained, trained, text, settings, partial)


def measure_checkpoint(
    name: str, model: CharLM, excerpts: NDArray[Any], seeds: int, unit: str = "character"
) -> Experiment:
    """Measure a trained network, and for comparison the same architecture untrained.

    Args:
        name: the network's name in the result.
        model: the network, on the CPU.
        excerpts: token ids, (N, `LENGTH`).
        seeds: number of untrained networks.
        unit: what one token is, in the singular.

    Yields:
        The progress, and last the result.
    """
    part = 1 / (seeds + 1)
    trained = yield from _measure(model, excerpts, f"measuring {name}", 0.0, part)
    untrained = []
    for seed in range(1, seeds + 1):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            network = CharLM(model.architecture)
        text = f"measuring untrained network {seed} of {seeds}"
        untrained.append((yield from _measure(network, excerpts, text, seed * part, (seed + 1) * part)))
    yield _checkpoint_result(name, model, trained, untrained, len(excerpts), unit)


def _measure_all(
    models: Sequence[CharLM], excerpts: NDArray[Any], which: str, share: float
) -> Generator[Progress, None, list[Norms]]:
    """Measure networks one after the other, while the experiment's progress stays at ``share``."""
    measured = []
    for number, model in enumerate(models, 1):
        text = f"measuring {which} network {number} of {len(models)}"
        measured.append((yield from _measure(model, excerpts, text, share, share)))
    return measured


def _measure(
    model: CharLM, excerpts: NDArray[Any], text: str, begin: float, end: float
) -> Generator[Progress, None, Norms]:
    """Measure one network, with progress from ``begin`` to ``end``, before every excerpt."""
    norms = []
    for number, excerpt in enumerate(excerpts):
        yield Progress(begin + (end - begin) * number / len(excerpts), text)
        norms.append(gradient_norms(model, excerpt[None], MAX_DISTANCE)[0])
    return relative_gradient(np.stack(norms))


def _result(
    trainees: list[Trainee],
    untrained: list[Norms],
    trained: list[Norms],
    text: Text,
    settings: dict[str, Any],
    partial: bool,
) -> Result:
    before, after = by_cell(trainees, untrained), by_cell(trainees, trained)
    note = short_training_note(trainees)
    rows = []
    for cell, seeds in by_cell(trainees, trainees).items():
        characters = sum(trainee.characters for trainee in seeds) / len(seeds)
        model = seeds[0].model
        rows.append((
            cell, str(model.architecture.hidden_size), f"{model.parameter_count():,}", f"{characters:,.0f}",
            _format_reach(before[cell]), _format_reach(after[cell]),
        ))  # fmt: skip
    return Result(
        name="gradient",
        title="The vanishing gradient, by cell",
        question=_QUESTION.format(
            unit="character", excerpts=EXCERPTS, text=f"the held-out part of {text.name}", max=MAX_DISTANCE
        ),
        columns=("cell", "hidden", "parameters", "training chars", "reach, untrained", "reach, trained"),
        rows=tuple(rows),
        charts=tuple(
            _chart(title, [_curve(cell, seeds, cell) for cell, seeds in norms.items()])
            for title, norms in (("untrained", before), ("trained for equal time", after))
        ),
        findings=(*_findings("untrained", before), *_findings("trained", after, bool(note)), *note),
        settings=settings,
        partial=partial,
    )


def _checkpoint_result(
    name: str, model: CharLM, trained: Norms, untrained: list[Norms], excerpts: int, unit: str
) -> Result:
    config, cell = model.architecture, model.architecture.cell
    layers = f"{config.ensemble} × {config.num_layers}" if config.ensemble > 1 else str(config.num_layers)
    reach, reach_untrained = _format_reach([trained]), _format_reach(untrained)
    shares = ", ".join(f"{trained[k]:.2g} at k = {k}" for k in (1, 10, 30, MAX_DISTANCE))
    return Result(
        name="gradient",
        title=f"Gradient reach of {name}",
        question=_QUESTION.format(unit=unit, excerpts=excerpts, text="text that it generated", max=MAX_DISTANCE),
        columns=("network", "cell", "layers", "hidden", "reach"),
        rows=tuple(
            (label, cell, layers, str(config.hidden_size), value)
            for label, value in ((name, reach), ("untrained", reach_untrained))
        ),
        charts=(_chart("", [_curve(name, [trained], cell), _curve("untrained", untrained, cell, dashed=True)], unit),),
        findings=(
            f"Relative to k = 0, the gradient of {name} is {shares}.",
            f"Its reach is {reach} {unit}s; that of the same architecture untrained is {reach_untrained}.",
        ),
        settings={"checkpoint": name, "seeds": len(untrained), "excerpts": excerpts},
    )


def _findings(when: str, norms: dict[str, list[Norms]], too_short: bool = False) -> Iterator[str]:
    far = {cell: [float(seed[FAR]) for seed in seeds] for cell, seeds in norms.items()}
    for cell in far:
        if cell != "rnn" and "rnn" in far:
            claim = f"{when}, the {cell} preserves more of the gradient across {FAR} characters than the rnn"
            yield judge(
                claim, (cell, far[cell]), ("rnn", far["rnn"]),
                number_format="{:.0e}", unit="of the gradient at k = 0", too_short=too_short,
            )  # fmt: skip


def _chart(title: str, curves: Sequence[Curve], unit: str = "character") -> Chart:
    return Chart(
        title,
        f"distance k, {unit}s",
        "gradient norm relative to k = 0",
        tuple(curves),
        log_y=True,
        levels=(Level(THRESHOLD, "1 %"),),
    )


def _curve(label: str, seeds: list[Norms], cell: str, *, dashed: bool = False) -> Curve:
    distances = [float(k) for k in range(MAX_DISTANCE + 1)]
    return Curve.from_seeds(label, distances, [seed.tolist() for seed in seeds], CELL_NAMES.index(cell), dashed=dashed)


def _format_reach(seeds: list[Norms]) -> str:
    return format_range([float(gradient_reach(norms)) for norms in seeds], "{:.0f}", MAX_DISTANCE)
