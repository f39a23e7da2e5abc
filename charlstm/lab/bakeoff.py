"""Which cell learns a text best: validation loss against time, characters read and weights.

Chung et al. 2014 and Greff et al. 2017 compared them so: gated cells beat the rnn, and among the gated the differences
are small. Which is best in a given time also depends on how fast each cell is computed, here and on this machine.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from charlstm.evaluation.loss import evaluate
from charlstm.lab.side_by_side import CELL_NAMES, Contestant, Rules, Stop, one_thread, side_by_side, sized
from charlstm.lab.texts import EMBEDDING, TRAIN, Text
from charlstm.report.data import Chart, Event, Progress, Report, curve
from charlstm.report.findings import judge, spread

MARKS = 8
"""Times at which all are tested, evenly spread over their seconds."""
_STREAMS = 32
_LOSS = "validation loss, nats a character"


@dataclass
class Course:
    """What one contestant reached at each mark."""

    one: Contestant
    seconds: list[float] = field(default_factory=list)
    characters: list[float] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)
    """Nats a character of the held-out text."""

    def test(self, text: Text) -> None:
        """Note where it stands."""
        self.seconds.append(self.one.seconds)
        self.characters.append(float(self.one.characters))
        self.losses.append(evaluate(self.one.model, text.held_out, text.train[-1024:], streams=_STREAMS))


def run(text: Text, rules: Rules, sizes: Sequence[int], stop: Stop = lambda: False) -> Iterator[Event]:
    """Train every cell at every size, testing all at the same times.

    Args:
        text: what they learn, and are tested on.
        rules: who takes part, and for how long.
        sizes: numbers of weights.
        stop: ends the training early.
    """
    each = rules.seconds / (len(rules.cells) * rules.seeds * len(sizes))
    with one_thread():
        courses = {
            (size, cell, seed): Course(
                Contestant(sized(cell, size, text.vocab_size, EMBEDDING), seed, TRAIN, text.windows(seed), each)
            )
            for seed in range(1, rules.seeds + 1)
            for size in sizes
            for cell in rules.cells
        }
        ones = [course.one for course in courses.values()]
        for mark in range(MARKS):
            yield from side_by_side(ones, stop, part=(mark / MARKS, (mark + 1) / MARKS))
            for course in courses.values():
                if course.one.steps:
                    course.test(text)
                    yield Progress((mark + 1) / MARKS, "testing on held-out text")
            if stop():
                break
    by = {
        (size, cell): [courses[size, cell, seed] for seed in range(1, rules.seeds + 1)]
        for size in sizes
        for cell in rules.cells
    }
    yield _report(text, rules, sizes, by, partial=not all(one.finished for one in ones))


By = dict[tuple[int, str], list[Course]]
"""The courses of all seeds, by size and cell."""


def _report(text: Text, rules: Rules, sizes: Sequence[int], by: By, partial: bool) -> Report:
    # Stopped in the first round, some may have had no turn: they have nothing to tell.
    by = {key: tested for key, courses in by.items() if (tested := [course for course in courses if course.losses])}
    middle = sizes[len(sizes) // 2]
    at_middle = {cell: by[middle, cell] for cell in rules.cells if (middle, cell) in by}
    budget = rules.seconds / (len(rules.cells) * rules.seeds * len(sizes))
    return Report(
        name="bake-off",
        title=f"Bake-off on {text.name}: which cell learns it best",
        question=(
            f"Every cell learns the same text for {budget:.3g} s on one CPU thread, with the same optimizer and "
            f"learning rate, not tuned for any; the loss is that of {len(text.held_out):,} characters it never learned "
            f"from. Sentences are about networks of about {middle:,} weights, on this machine, in this implementation."
        ),
        columns=("cell", "hidden", "weights", "characters read", "validation loss", "bits a character"),
        rows=tuple(_row(cell, courses) for (_, cell), courses in by.items()),
        charts=_charts(at_middle, by, rules, sizes, middle),
        findings=tuple(_findings(at_middle)),
        settings={
            "text": text.name, "cells": list(rules.cells), "seeds": rules.seeds, "seconds_each": budget,
            "sizes": list(sizes), "optimizer": TRAIN.optimizer, "lr": TRAIN.lr,
        },
        partial=partial,
    )  # fmt: skip


def _last(courses: list[Course]) -> list[float]:
    return [course.losses[-1] for course in courses]


def _row(cell: str, courses: list[Course]) -> tuple[str, ...]:
    model, losses = courses[0].one.model, _last(courses)
    characters = sum(course.characters[-1] for course in courses) / len(courses)
    bits = sum(losses) / len(losses) / math.log(2)
    return (
        cell, str(model.architecture.hidden_size), f"{model.parameter_count():,}", f"{characters:,.0f}",
        spread(losses, "{:.3f}"), f"{bits:.3f}",
    )  # fmt: skip


def _charts(
    at_middle: dict[str, list[Course]], by: By, rules: Rules, sizes: Sequence[int], middle: int
) -> tuple[Chart, ...]:
    time, read, weights = [], [], []
    for cell in at_middle:
        courses, color = at_middle[cell], CELL_NAMES.index(cell)
        losses = [course.losses for course in courses]
        time.append(curve(cell, _mean([course.seconds for course in courses]), losses, color))
        read.append(curve(cell, _mean([course.characters for course in courses]), losses, color))
        sized_ones = [by[size, cell] for size in sizes if len(by.get((size, cell), ())) == rules.seeds]
        counts = [float(courses[0].one.model.parameter_count()) for courses in sized_ones]
        ends = [list(seed) for seed in zip(*map(_last, sized_ones), strict=True)]
        weights.append(curve(cell, counts, ends, color))
    about = f"about {middle:,} weights"
    return (
        Chart(about, "seconds of training", _LOSS, tuple(time)),
        Chart(about, "characters read", _LOSS, tuple(read), log_x=True),
        Chart("after equal seconds", "weights", _LOSS, tuple(weights), log_x=True),
    )


def _mean(lists: list[list[float]]) -> list[float]:
    return [sum(values) / len(values) for values in zip(*lists, strict=True)]


def _findings(at_middle: dict[str, list[Course]]) -> Iterator[str]:
    losses = {cell: _last(courses) for cell, courses in at_middle.items()}
    for better, worse in (("lstm", "rnn"), ("gru", "rnn"), ("peephole", "rnn"), ("lstm", "gru"), ("lstm", "peephole")):
        if better in losses and worse in losses:
            claim = f"in equal time the {better} reaches a lower loss than the {worse}"
            worst, best = (worse, losses[worse]), (better, losses[better])
            yield judge(claim, worst, best, form="{:.3f}", unit="nats a character")
