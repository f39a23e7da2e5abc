"""Counting: every cell learns aⁿbⁿ for small n and is tested on larger n.

The claim: the LSTM keeps an exact count in its cell state and counts beyond its training, and peepholes help; the GRU
and the rnn, whose states are squashed at every step, do not (Gers & Schmidhuber 2001; Weiss, Goldberg & Yahav 2018).
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
from charlstm.lab.tasks import AnBn
from charlstm.lab.trainee import Trainee
from charlstm.nn.model import CharLM
from charlstm.report.charts import Chart, Curve
from charlstm.report.experiment import Result
from charlstm.report.findings import format_range, judge

TRAIN = TrainConfig(optimizer="soap", lr=0.01, grad_clip=1.0, weight_decay=0.0)
EMBEDDING = 4
MAX_N = 200
"""The greatest n tested."""
_EXTRA = 50
"""How many b more than ``max_n`` a network may write before it is cut off."""


def count_b(model: CharLM, task: AnBn, max_n: int) -> list[int]:
    """How many b the network writes after n times a, always taking the likeliest character.

    A line that does not end with a newline after its b is not in the language: its count is 0. A line with more than
    ``max_n`` + 50 b is cut off there.

    Args:
        model: the network.
        task: the task.
        max_n: the greatest n.

    Returns:
        The counts for n = 1, 2, …, ``max_n``.
    """
    # Row n - 1 is a newline, n times a, and b to the end: what the network would read as long as it predicts b.
    length = 1 + 2 * max_n + _EXTRA
    lines = np.full((max_n, length), task.B)
    lines[:, 0] = task.NEWLINE
    for n in range(1, max_n + 1):
        lines[n - 1, 1 : n + 1] = task.A
    with evaluation_mode(model), torch.no_grad():
        logits, _ = model(torch.from_numpy(lines))
    predictions = logits.argmax(2).numpy()
    counts = []
    for n in range(1, max_n + 1):
        after_b = predictions[n - 1, n + 1 : n + 1 + max_n + _EXTRA]  # what follows the first b, the second, …
        others = np.flatnonzero(after_b != task.B)
        if not len(others):
            counts.append(len(after_b))
        else:
            counts.append(int(others[0]) + 1 if after_b[others[0]] == task.NEWLINE else 0)
    return counts


def counts_up_to(counts: list[int]) -> int:
    """The greatest n up to which every count is right."""
    return len(list(takewhile(lambda pair: pair[0] == pair[1], enumerate(counts, 1))))


def run(comparison: CellComparison, parameters: int, should_stop: ShouldStop = never) -> Experiment:
    """Train every cell on small n, then test how far it counts.

    Args:
        comparison: which cells, how many seeds, how many seconds in total.
        parameters: parameter count of each network, as near as its hidden size allows.
        should_stop: ends the training early when it returns True.

    Yields:
        The progress, and last the result.
    """
    task = AnBn()
    trainees = make_trainees(comparison, parameters, task.vocab_size, EMBEDDING, TRAIN, task.batches)
    counts = yield from train_and_test(trainees, lambda model: count_b(model, task, MAX_N), should_stop)
    partial = not all(trainee.finished for trainee in trainees)
    settings = settings_of(comparison, trainees[0].budget, TRAIN, parameters=parameters, batch=task.batch_size)
    yield _result(task, trainees, counts, settings, partial)


def _result(
    task: AnBn, trainees: list[Trainee], counts: list[list[int]], settings: dict[str, Any], partial: bool
) -> Result:
    of_cell = by_cell(trainees, counts)
    limits = {cell: [float(counts_up_to(seed)) for seed in seeds] for cell, seeds in of_cell.items()}
    models = {trainee.cell: trainee.model for trainee in trainees}
    note = short_training_note(trainees)
    rows = tuple(
        (
            cell, str(model.architecture.hidden_size), f"{model.parameter_count():,}",
            format_range(limits[cell], "{:.0f}", MAX_N),
            f"{sum(value > task.longest for value in limits[cell])} of {len(limits[cell])}",
        )
        for cell, model in models.items()
    )  # fmt: skip
    return Result(
        name="count",
        title="Counting aⁿbⁿ, by cell",
        question=(
            f"After n times a, n times b and a newline must follow. All networks are trained on n = 1 to "
            f"{task.longest}. Each is then given n times a, for every n up to {MAX_N}, and writes the likeliest "
            "characters until it ends the line. It 'counts to' the last n before its first mistake."
        ),
        columns=("cell", "hidden", "parameters", "counts to", f"seeds beyond {task.longest}"),
        rows=rows,
        charts=(_chart(task, of_cell),),
        findings=(*_findings(limits, bool(note)), *note),
        settings=settings,
        partial=partial,
    )


def _chart(task: AnBn, of_cell: dict[str, list[list[int]]]) -> Chart:
    ns = [float(n) for n in range(1, MAX_N + 1)]
    return Chart(
        "",
        "n: number of a in the line",
        "number of b written",
        tuple(Curve.from_seeds(cell, ns, seeds, CELL_NAMES.index(cell)) for cell, seeds in of_cell.items()),
        mark=task.longest,
        mark_label="greatest n in training",
        diagonal="correct",
    )


def _findings(limits: dict[str, list[float]], too_short: bool) -> Iterator[str]:
    claims = (("lstm", "gru"), ("lstm", "rnn"), ("peephole", "gru"), ("peephole", "rnn"), ("peephole", "lstm"))
    for better, worse in claims:
        if better in limits and worse in limits:
            yield judge(
                f"the {better} counts further than the {worse}",
                (better, limits[better]), (worse, limits[worse]),
                number_format="{:.0f}", limit=MAX_N, too_short=too_short,
            )  # fmt: skip
