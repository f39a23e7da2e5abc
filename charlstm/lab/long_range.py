"""Recall across a growing gap: where each cell stops to remember a fact it was told.

The claim: an rnn forgets after a few characters, a gated cell remembers (Hochreiter & Schmidhuber 1997, section 5).
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import takewhile

import numpy as np
import torch

from charlstm.config import TrainConfig
from charlstm.lab.side_by_side import CELL_NAMES, Contestant, Rules, Stop, line_up, one_thread, side_by_side
from charlstm.lab.tasks import Recall
from charlstm.nn.model import CharLM
from charlstm.report.data import Chart, Event, Progress, Report, curve
from charlstm.report.findings import judge, spread

TRAIN = TrainConfig(optimizer="soap", lr=0.01, grad_clip=1.0, weight_decay=0.0)
EMBEDDING = 8
GAPS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)
"""The gaps asked across, up to eight times the longest that is learned."""
RIGHT = 0.9
"""Share of answers that counts as recalling."""
_LEADS, _LINES = 10, 20
"""So many leads are drawn for each gap, and so many lines for each lead."""


def recall(model: CharLM, task: Recall, gap: int) -> float:
    """The share of lines with this gap at whose end the network thinks the fact likeliest; the same lines for all."""
    model.eval()
    right = 0
    for lead in range(_LEADS):
        lines = torch.from_numpy(task.lines(np.random.default_rng((gap, lead)), gap, _LINES))
        with torch.no_grad():
            logits, _ = model(lines[:, :-1])
        right += int((logits[:, -1].argmax(1) == lines[:, -1]).sum())
    return right / (_LEADS * _LINES)


def limit(shares: list[float]) -> int:
    """The longest gap up to which a network recalls across all of `GAPS`; 0 if not even across the first."""
    recalled = [gap for gap, _ in takewhile(lambda pair: pair[1] >= RIGHT, zip(GAPS, shares, strict=True))]
    return recalled[-1] if recalled else 0


def run(rules: Rules, parameters: int, stop: Stop = lambda: False) -> Iterator[Event]:
    """Train every cell on lines with all gaps, then ask across each.

    Args:
        rules: who takes part, and for how long.
        parameters: weights of each network, as near as its hidden size allows.
        stop: ends the training early.
    """
    task = Recall()
    with one_thread():
        ones = line_up(rules, parameters, task.vocab_size, EMBEDDING, TRAIN, task.windows)
        yield from side_by_side(ones, stop)
        partial = not all(one.finished for one in ones)
        yield Progress(1.0, "asking")
        shares = [[recall(one.model, task, gap) for gap in GAPS] for one in ones]
    yield _report(task, ones, shares, rules, parameters, partial)


def _report(
    task: Recall, ones: list[Contestant], shares: list[list[float]], rules: Rules, parameters: int, partial: bool
) -> Report:
    of = {cell: [seed for one, seed in zip(ones, shares, strict=True) if one.cell == cell] for cell in rules.cells}
    limits = {cell: [float(limit(seed)) for seed in seeds] for cell, seeds in of.items()}
    sizes: dict[str, tuple[int, int]] = {
        one.cell: (one.model.architecture.hidden_size, one.model.parameter_count()) for one in ones
    }
    return Report(
        name="gap",
        title="Recall across a growing gap, by cell",
        question=(
            f"Lines like gk!dxfah?d: the letter behind the '!' is the answer to the '?', with a gap of other letters "
            f"between. All learn lines with gaps of 1 to {task.longest} characters, and are asked across gaps of up to "
            f"{GAPS[-1]}. A cell 'recalls up to' the last gap before it first gives less than {RIGHT:.0%} right "
            f"answers; guessing gives {1 / task.letters:.0%}."
        ),
        columns=("cell", "hidden", "weights", "recalls up to", *(f"gap {gap}" for gap in GAPS)),
        rows=tuple(
            (
                cell, str(sizes[cell][0]), f"{sizes[cell][1]:,}", spread(limits[cell], "{:.0f}", GAPS[-1]),
                *(f"{sum(answers) / len(answers):.0%}" for answers in zip(*of[cell], strict=True)),
            )
            for cell in rules.cells
        ),
        charts=(
            Chart(
                "",
                "gap, characters",
                "share of right answers",
                tuple(
                    curve(cell, [float(gap) for gap in GAPS], seeds, CELL_NAMES.index(cell))
                    for cell, seeds in of.items()
                ),
                log_x=True,
                mark=task.longest,
                mark_label="longest gap learned",
                level=1 / task.letters,
                level_label="guessing",
            ),
        ),
        findings=(
            f"Across every gap learned, up to {task.longest} characters, recalls: {_seeds(limits, task.longest)}.",
            *_findings(limits),
        ),
        settings={
            "cells": list(rules.cells), "seeds": rules.seeds, "seconds_each": ones[0].budget, "parameters": parameters,
            "optimizer": TRAIN.optimizer, "lr": TRAIN.lr, "batch": task.batch_size,
        },
        partial=partial,
    )  # fmt: skip


def _seeds(limits: dict[str, list[float]], least: int) -> str:
    """In how many seeds each cell gets so far."""
    return ", ".join(
        f"{cell} in {sum(value >= least for value in values)} of {len(values)} seeds" for cell, values in limits.items()
    )


def _findings(limits: dict[str, list[float]]) -> Iterator[str]:
    def versus(claim: str, a: str, b: str) -> Iterator[str]:
        if a in limits and b in limits:
            yield judge(claim, (a, limits[a]), (b, limits[b]), form="{:.0f}", unit="characters", cap=GAPS[-1])

    for cell in ("lstm", "gru", "peephole"):
        yield from versus(f"the {cell} recalls across longer gaps than the rnn", cell, "rnn")
    yield from versus("the lstm recalls across longer gaps than the gru", "lstm", "gru")
