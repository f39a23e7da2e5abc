"""Which cell learns a text best: validation loss against time, characters trained on and parameters.

Chung et al. 2014 and Greff et al. 2017 made this comparison: gated cells beat the rnn, and differ little among
themselves. Which is best in a given time also depends on how fast each cell is computed, here and on this machine.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import torch

from charlstm.evaluation.loss import evaluate
from charlstm.lab.progress import Experiment, Progress, ShouldStop, never
from charlstm.lab.side_by_side import (
    CELL_NAMES,
    CellComparison,
    config_of_size,
    settings_of,
    short_training_note,
    train_side_by_side,
)
from charlstm.lab.texts import EMBEDDING, TRAIN, Text
from charlstm.lab.trainee import Trainee
from charlstm.report.charts import Chart, Curve
from charlstm.report.experiment import Result
from charlstm.report.findings import format_range, judge

EVALUATIONS = 8
"""How often every network is evaluated, at equal intervals of its training time."""
_STREAMS = 32
_LOSS = "validation loss, nats per character"


@dataclass
class LossCurve:
    """What one trainee reached at each evaluation."""

    trainee: Trainee
    seconds: list[float] = field(default_factory=list)
    """Training time."""
    characters: list[float] = field(default_factory=list)
    """Characters trained on."""
    losses: list[float] = field(default_factory=list)
    """Nats per character of the held-out text."""

    def evaluate(self, text: Text) -> None:
        """Add a point: evaluate the trainee as it is now."""
        self.seconds.append(self.trainee.seconds)
        self.characters.append(float(self.trainee.characters))
        self.losses.append(evaluate(self.trainee.model, text.held_out, text.train[-1024:], streams=_STREAMS))


LossCurves: TypeAlias = dict[tuple[int, str], list[LossCurve]]
"""The loss curves of all seeds, by size and cell."""


def run(text: Text, comparison: CellComparison, sizes: Sequence[int], should_stop: ShouldStop = never) -> Experiment:
    """Train every cell at every size and evaluate all at the same times.

    Args:
        text: what they are trained and evaluated on.
        comparison: which cells, how many seeds, how many seconds in total.
        sizes: parameter counts, ascending.
        should_stop: ends the training early when it returns True.

    Yields:
        The progress, and last the result.
    """
    budget = comparison.seconds / (len(comparison.cells) * comparison.seeds * len(sizes))
    trainees = {
        (size, cell, seed): Trainee(
            config_of_size(cell, size, text.vocab_size, EMBEDDING), seed, TRAIN, text.batches(seed), budget
        )
        for seed in range(1, comparison.seeds + 1)
        for size in sizes
        for cell in comparison.cells
    }
    curves = {key: LossCurve(trainee) for key, trainee in trainees.items()}
    for index in range(EVALUATIONS):
        begin, end = index / EVALUATIONS, (index + 1) / EVALUATIONS
        yield from train_side_by_side(list(trainees.values()), should_stop, part=(begin, end))
        for curve in curves.values():
            if curve.trainee.steps:
                curve.evaluate(text)
                yield Progress(end, "evaluating on held-out text")
        if should_stop():
            break
    by_size: LossCurves = {}
    for (size, cell, _), curve in curves.items():
        if curve.losses:  # stopped in the first round, some may not have trained yet
            by_size.setdefault((size, cell), []).append(curve)
    partial = not all(trainee.finished for trainee in trainees.values())
    yield _result(text, comparison, sizes, budget, by_size, partial)


def _result(
    text: Text, comparison: CellComparison, sizes: Sequence[int], budget: float, curves: LossCurves, partial: bool
) -> Result:
    middle = sizes[len(sizes) // 2]
    at_middle = {cell: curves[middle, cell] for cell in comparison.cells if (middle, cell) in curves}
    threads = torch.get_num_threads()
    return Result(
        name="bake-off",
        title=f"Bake-off on {text.name}: which cell learns it best",
        question=(
            f"Every network is trained on the same text for {budget:.3g} s on {threads} CPU "
            f"thread{'s' * (threads > 1)}, with the same optimizer and learning rate, tuned for none of them; the loss "
            f"is that of {len(text.held_out):,} held-out characters. The findings are about networks of about "
            f"{middle:,} parameters, on this machine, in this implementation."
        ),
        columns=("cell", "hidden", "parameters", "training chars", "validation loss", "bits/char"),
        rows=tuple(_row(cell, seeds) for (_, cell), seeds in curves.items()),
        charts=_charts(at_middle, curves, comparison, sizes, middle),
        findings=tuple(_findings(at_middle)),
        settings=settings_of(comparison, budget, TRAIN, text=text.name, sizes=list(sizes)),
        partial=partial,
    )


def _final_losses(curves: list[LossCurve]) -> list[float]:
    return [curve.losses[-1] for curve in curves]


def _row(cell: str, curves: list[LossCurve]) -> tuple[str, ...]:
    model, losses = curves[0].trainee.model, _final_losses(curves)
    characters = sum(curve.characters[-1] for curve in curves) / len(curves)
    bits = sum(losses) / len(losses) / math.log(2)
    return (
        cell, str(model.architecture.hidden_size), f"{model.parameter_count():,}", f"{characters:,.0f}",
        format_range(losses, "{:.3f}"), f"{bits:.3f}",
    )  # fmt: skip


def _charts(
    at_middle: dict[str, list[LossCurve]],
    curves: LossCurves,
    comparison: CellComparison,
    sizes: Sequence[int],
    middle: int,
) -> tuple[Chart, ...]:
    by_time, by_characters, by_parameters = [], [], []
    for cell, seeds in at_middle.items():
        color = CELL_NAMES.index(cell)
        losses = [curve.losses for curve in seeds]
        by_time.append(Curve.from_seeds(cell, _mean([curve.seconds for curve in seeds]), losses, color))
        by_characters.append(Curve.from_seeds(cell, _mean([curve.characters for curve in seeds]), losses, color))
        complete = [curves[size, cell] for size in sizes if len(curves.get((size, cell), ())) == comparison.seeds]
        parameters = [float(of_size[0].trainee.model.parameter_count()) for of_size in complete]
        final = list(zip(*map(_final_losses, complete), strict=True))
        by_parameters.append(Curve.from_seeds(cell, parameters, final, color))
    title = f"about {middle:,} parameters"
    return (
        Chart(title, "training time, s", _LOSS, tuple(by_time)),
        Chart(title, "characters trained on", _LOSS, tuple(by_characters), log_x=True),
        Chart("after equal time", "parameters", _LOSS, tuple(by_parameters), log_x=True),
    )


def _mean(lists: list[list[float]]) -> list[float]:
    return [sum(values) / len(values) for values in zip(*lists, strict=True)]


def _findings(at_middle: dict[str, list[LossCurve]]) -> Iterator[str]:
    losses = {cell: _final_losses(curves) for cell, curves in at_middle.items()}
    note = short_training_note([curve.trainee for curves in at_middle.values() for curve in curves])
    for better, worse in (("lstm", "rnn"), ("gru", "rnn"), ("peephole", "rnn"), ("lstm", "gru"), ("lstm", "peephole")):
        if better in losses and worse in losses:
            yield judge(
                f"in equal time the {better} reaches a lower loss than the {worse}",
                (worse, losses[worse]), (better, losses[better]),
                number_format="{:.3f}", unit="nats per character", too_short=bool(note),
            )  # fmt: skip
    yield from note
