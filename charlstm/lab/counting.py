"""Counting: aⁿbⁿ learned for small n, and how much further each cell can count.

The claim: the LSTM keeps an exact count in its cell and goes on beyond what it was trained on, peepholes help; the GRU
and the rnn, whose states are squashed at every step, do not (Gers & Schmidhuber 2001; Weiss, Goldberg & Yahav 2018).
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import takewhile

import numpy as np
import torch

from charlstm.config import TrainConfig
from charlstm.lab.side_by_side import CELL_NAMES, Contestant, Rules, Stop, line_up, one_thread, side_by_side
from charlstm.lab.tasks import Count
from charlstm.nn.model import CharLM
from charlstm.report.data import Chart, Event, Progress, Report, curve
from charlstm.report.findings import judge, spread

TRAIN = TrainConfig(optimizer="soap", lr=0.01, grad_clip=1.0, weight_decay=0.0)
EMBEDDING = 4
FARTHEST = 200
"""The greatest n tested."""
_PATIENCE = 50
"""So many b beyond the greatest n are waited for."""


def written(model: CharLM, task: Count, farthest: int) -> list[int]:
    """How many b the network writes after 1, 2, …, ``farthest`` a, always taking the likeliest character.

    A text that does not end with a newline after its b is not of the language: it counts as 0. More than
    ``farthest`` + `_PATIENCE` b are told as that many.

    Returns:
        the number for each n.
    """
    # Row n - 1 is a newline, n times a, and b to the end; while the network says b that is what it would have read.
    length = 1 + 2 * farthest + _PATIENCE
    lines = np.full((farthest, length), task.B)
    lines[:, 0] = task.NEWLINE
    for n in range(1, farthest + 1):
        lines[n - 1, 1 : n + 1] = task.A
    model.eval()
    with torch.no_grad():
        logits, _ = model(torch.from_numpy(lines))
    said = logits.argmax(2).numpy()
    counts = []
    for n in range(1, farthest + 1):
        after = said[n - 1, n + 1 : n + 1 + farthest + _PATIENCE]  # what it says behind the first b, the second, …
        others = np.flatnonzero(after != task.B)
        if not len(others):
            counts.append(len(after))
        else:
            counts.append(int(others[0]) + 1 if after[others[0]] == task.NEWLINE else 0)
    return counts


def limit(counts: list[int]) -> int:
    """The greatest n up to which every count is right."""
    return len(list(takewhile(lambda pair: pair[0] == pair[1], enumerate(counts, 1))))


def run(rules: Rules, parameters: int, stop: Stop = lambda: False) -> Iterator[Event]:
    """Train every cell on small n, then let each count as far as it can.

    Args:
        rules: who takes part, and for how long.
        parameters: weights of each network, as near as its hidden size allows.
        stop: ends the training early.
    """
    task = Count()
    with one_thread():
        ones = line_up(rules, parameters, task.vocab_size, EMBEDDING, TRAIN, task.windows)
        yield from side_by_side(ones, stop)
        partial = not all(one.finished for one in ones)
        yield Progress(1.0, "counting")
        counts = [written(one.model, task, FARTHEST) for one in ones]
    yield _report(task, ones, counts, rules, parameters, partial)


def _report(
    task: Count, ones: list[Contestant], counts: list[list[int]], rules: Rules, parameters: int, partial: bool
) -> Report:
    of = {cell: [seed for one, seed in zip(ones, counts, strict=True) if one.cell == cell] for cell in rules.cells}
    limits = {cell: [float(limit(seed)) for seed in seeds] for cell, seeds in of.items()}
    rows = []
    for cell in rules.cells:
        model = next(one.model for one in ones if one.cell == cell)
        beyond = sum(value > task.longest for value in limits[cell])
        rows.append((
            cell, str(model.architecture.hidden_size), f"{model.parameter_count():,}",
            spread(limits[cell], "{:.0f}", FARTHEST), f"{beyond} of {rules.seeds}",
        ))  # fmt: skip
    return Report(
        name="count",
        title="Counting aⁿbⁿ, by cell",
        question=(
            f"After n times a, as many b and a newline must follow. All learn n = 1 to {task.longest}; then each is "
            f"given more a and writes the likeliest b until it ends the line, for every n up to {FARTHEST}. It 'counts "
            "to' the last n before its first mistake."
        ),
        columns=("cell", "hidden", "weights", "counts to", f"seeds beyond {task.longest}"),
        rows=tuple(rows),
        charts=(_chart(task, of),),
        findings=tuple(_findings(limits)),
        settings={
            "cells": list(rules.cells), "seeds": rules.seeds, "seconds_each": ones[0].budget, "parameters": parameters,
            "optimizer": TRAIN.optimizer, "lr": TRAIN.lr, "batch": task.batch_size,
        },
        partial=partial,
    )  # fmt: skip


def _chart(task: Count, of: dict[str, list[list[int]]]) -> Chart:
    ns = [float(n) for n in range(1, FARTHEST + 1)]
    return Chart(
        "",
        "a that were read",
        "b that it writes",
        tuple(
            curve(cell, ns, [[float(count) for count in seed] for seed in seeds], CELL_NAMES.index(cell))
            for cell, seeds in of.items()
        ),
        mark=task.longest,
        mark_label="longest learned",
        diagonal="as many b as a",
    )


def _findings(limits: dict[str, list[float]]) -> Iterator[str]:
    for more in ("lstm", "peephole"):
        for less in ("gru", "rnn"):
            yield from _versus(limits, more, less)
    yield from _versus(limits, "peephole", "lstm")


def _versus(limits: dict[str, list[float]], more: str, less: str) -> Iterator[str]:
    if more in limits and less in limits:
        claim = f"the {more} counts further than the {less}"
        yield judge(claim, (more, limits[more]), (less, limits[less]), form="{:.0f}", unit="as n", cap=FARTHEST)
