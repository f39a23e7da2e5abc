"""Recall across a growing gap: how far each cell can carry a fact.

The claim: an rnn forgets after a few characters, a gated cell remembers (Hochreiter & Schmidhuber 1997, section 5).
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import takewhile
from typing import Any

import numpy as np
import torch

from charlstm.config import TrainConfig
from charlstm.evaluation.windows import evaluation_mode
from charlstm.lab.progress import Experiment, ShouldStop, never
from charlstm.lab.side_by_side import (
    CELL_NAMES,
    CellComparison,
    by_cell,
    make_trainees,
    settings_of,
    short_training_note,
    train_and_test,
)
from charlstm.lab.tasks import DelayedRecall
from charlstm.lab.trainee import Trainee
from charlstm.nn.model import CharLM
from charlstm.report.charts import Chart, Curve, Level
from charlstm.report.experiment import Result
from charlstm.report.findings import format_range, judge

TRAIN = TrainConfig(optimizer="soap", lr=0.01, grad_clip=1.0, weight_decay=0.0)
EMBEDDING = 8
GAPS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)
"""The gaps tested, in characters, up to eight times the longest in training."""
MIN_ACCURACY = 0.9
"""The accuracy from which a network counts as recalling."""
_PREFIXES, _LINES = 10, 20
"""Prefixes drawn for each gap, and lines for each prefix."""


def recall_accuracy(model: CharLM, task: DelayedRecall, gap: int) -> float:
    """The share of lines whose last character the network predicts; every call tests the same lines.

    Args:
        model: the network.
        task: the task.
        gap: the gap of the lines, in characters.

    Returns:
        The accuracy, in [0, 1].
    """
    correct = 0
    with evaluation_mode(model), torch.no_grad():
        for prefix in range(_PREFIXES):
            lines = torch.from_numpy(task.lines(np.random.default_rng((gap, prefix)), gap, _LINES))
            logits, _ = model(lines[:, :-1])
            correct += int((logits[:, -1].argmax(1) == lines[:, -1]).sum())
    return correct / (_PREFIXES * _LINES)


def longest_gap(accuracies: list[float]) -> int:
    """The last of `GAPS` before the accuracy first falls below `MIN_ACCURACY`; 0 if it does so at the first."""
    recalled = [gap for gap, _ in takewhile(lambda pair: pair[1] >= MIN_ACCURACY, zip(GAPS, accuracies, strict=True))]
    return recalled[-1] if recalled else 0


def run(comparison: CellComparison, parameters: int, should_stop: ShouldStop = never) -> Experiment:
    """Train every cell on gaps of all lengths up to a limit, then test gaps within and beyond it.

    Args:
        comparison: which cells, how many seeds, how many seconds in total.
        parameters: parameter count of each network, as near as its hidden size allows.
        should_stop: ends the training early when it returns True.

    Yields:
        The progress, and last the result.
    """
    task = DelayedRecall()
    trainees = make_trainees(comparison, parameters, task.vocab_size, EMBEDDING, TRAIN, task.batches)
    accuracies = yield from train_and_test(
        trainees, lambda model: [recall_accuracy(model, task, gap) for gap in GAPS], should_stop
    )
    partial = not all(trainee.finished for trainee in trainees)
    settings = settings_of(comparison, trainees[0].budget, TRAIN, parameters=parameters, batch=task.batch_size)
    yield _result(task, trainees, accuracies, settings, partial)


def _result(
    task: DelayedRecall, trainees: list[Trainee], accuracies: list[list[float]], settings: dict[str, Any], partial: bool
) -> Result:
    of_cell = by_cell(trainees, accuracies)
    longest = {cell: [float(longest_gap(seed)) for seed in seeds] for cell, seeds in of_cell.items()}
    models = {trainee.cell: trainee.model for trainee in trainees}
    note = short_training_note(trainees)
    return Result(
        name="gap",
        title="Recall across a growing gap, by cell",
        question=(
            "Lines such as gk!dxfah?d: the letter after the '!' must be recalled after the '?', across a gap of other "
            f"letters. All networks are trained on gaps of 1 to {task.longest} characters and tested on gaps of up to "
            f"{GAPS[-1]}. A cell 'recalls up to' the last gap before its accuracy first falls below "
            f"{MIN_ACCURACY:.0%}; guessing has an accuracy of {1 / task.letters:.1%}."
        ),
        columns=("cell", "hidden", "parameters", "recalls up to", *(f"gap {gap}" for gap in GAPS)),
        rows=tuple(
            (
                cell, str(models[cell].architecture.hidden_size), f"{models[cell].parameter_count():,}",
                format_range(longest[cell], "{:.0f}", GAPS[-1]),
                *(f"{sum(values) / len(values):.0%}" for values in zip(*seeds, strict=True)),
            )
            for cell, seeds in of_cell.items()
        ),
        charts=(_chart(task, of_cell),),
        findings=(
            f"Seeds that recall across every gap of the training, up to {task.longest} characters: "
            f"{_successes(longest, task.longest)}.",
            *_findings(longest, bool(note)),
            *note,
        ),
        settings=settings,
        partial=partial,
    )  # fmt: skip


def _chart(task: DelayedRecall, of_cell: dict[str, list[list[float]]]) -> Chart:
    gaps = [float(gap) for gap in GAPS]
    return Chart(
        "",
        "gap, characters",
        "accuracy",
        tuple(Curve.from_seeds(cell, gaps, seeds, CELL_NAMES.index(cell)) for cell, seeds in of_cell.items()),
        log_x=True,
        mark=task.longest,
        mark_label="longest gap in training",
        levels=(Level(1 / task.letters, "guessing"),),
    )


def _successes(longest: dict[str, list[float]], least: int) -> str:
    """How many seeds of each cell reach ``least``."""
    return ", ".join(
        f"{cell} {sum(value >= least for value in values)} of {len(values)}" for cell, values in longest.items()
    )


def _findings(longest: dict[str, list[float]], too_short: bool) -> Iterator[str]:
    for better, worse in (("lstm", "rnn"), ("gru", "rnn"), ("peephole", "rnn"), ("lstm", "gru")):
        if better in longest and worse in longest:
            yield judge(
                f"the {better} recalls across longer gaps than the {worse}",
                (better, longest[better]), (worse, longest[worse]),
                number_format="{:.0f}", unit="characters", limit=GAPS[-1], too_short=too_short,
            )  # fmt: skip
