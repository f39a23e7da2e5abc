"""Cells trained side by side: parameter counts as equal as whole hidden sizes allow, and equal training time.

All take turns of a fraction of a second, so that a machine that is busy at times slows all of them alike. Two trainees
differ in the cell, its hidden size and the seed; optimizer, learning rate and data are the same.

Networks this small gain nothing from a second thread, and two threads wait for each other on a busy machine. The number
of threads is the caller's to set; the command line sets one.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import torch

from charlstm.config import TrainConfig
from charlstm.errors import UsageError
from charlstm.lab.progress import Progress, ShouldStop, never
from charlstm.lab.trainee import Trainee
from charlstm.nn.architecture import Architecture
from charlstm.nn.model import CharLM
from charlstm.nn.shapes import CELLS, parameter_count
from charlstm.training.batches import Batch

T = TypeVar("T")

CELL_NAMES = tuple(CELLS)
MIN_SECONDS = 8.0
"""Seconds of training that each network needs for a verdict.

Measured with two seeds on one thread of a busy two-core machine: three verdicts that the long-range experiment gave
after 7 s a network were gone after 9 s, and those of 9 and 12 s agreed; on a text, "the lstm beats the gru" looked
supported up to 7 s and was refuted at 12 s. The default times are longer than this.
"""
_TURN = 0.3
"""Seconds of a turn, at most."""


@dataclass(frozen=True)
class CellComparison:
    """Which cells are compared, and for how long they train."""

    cells: tuple[str, ...] = CELL_NAMES
    seeds: int = 3
    """Networks of each cell."""
    seconds: float = 240.0
    """Training time of all networks together."""

    def __post_init__(self) -> None:
        unknown = [cell for cell in self.cells if cell not in CELLS]
        if unknown or not self.cells:
            what = f"there is no cell {unknown[0]!r}" if unknown else "no cell is named"
            raise UsageError(f"`cells`: {what}", hint=f"Choose from {', '.join(CELL_NAMES)}.")
        if len(set(self.cells)) < len(self.cells):
            raise UsageError("`cells`: one is named twice", hint="Name each cell once.")
        if self.seeds < 1:
            raise UsageError(f"`seeds={self.seeds}` is too few", hint="At least 1 is needed.")


def config_of_size(cell: str, parameters: int, vocab_size: int, embedding_size: int, **settings: Any) -> Architecture:
    """The network, of one layer unless it is said, whose parameter count is nearest to a given one.

    Args:
        cell: the name of the cell.
        parameters: the parameter count wanted.
        vocab_size: characters in the vocabulary.
        embedding_size: features of a character's embedding.
        settings: others of its architecture.

    Returns:
        The network's configuration.
    """

    def with_hidden(hidden_size: int) -> Architecture:
        size = {"vocab_size": vocab_size, "embedding_size": embedding_size, "hidden_size": hidden_size}
        return Architecture.from_settings({**size, "num_layers": 1, "cell": cell, **settings})

    def error(hidden_size: int) -> int:
        return abs(parameter_count(with_hidden(hidden_size)) - parameters)

    hidden_size = 1
    while error(hidden_size + 1) < error(hidden_size):  # the count grows with the hidden size
        hidden_size += 1
    return with_hidden(hidden_size)


def make_trainees(
    comparison: CellComparison,
    parameters: int,
    vocab_size: int,
    embedding_size: int,
    train: TrainConfig,
    batches: Callable[[int], Iterator[Batch]],
) -> list[Trainee]:
    """One trainee for each seed and cell, all of about one size, each with an equal share of the time.

    Args:
        comparison: which cells, how many seeds, how many seconds in total.
        parameters: parameter count of each network.
        vocab_size: characters in the vocabulary.
        embedding_size: features of a character's embedding, the same for all.
        train: the optimizer's settings.
        batches: returns the endless training data of a seed.

    Returns:
        The trainees, all cells of the first seed first.
    """
    budget = comparison.seconds / (len(comparison.cells) * comparison.seeds)
    return [
        Trainee(config_of_size(cell, parameters, vocab_size, embedding_size), seed, train, batches(seed), budget)
        for seed in range(1, comparison.seeds + 1)
        for cell in comparison.cells
    ]


def train_side_by_side(
    trainees: Sequence[Trainee], should_stop: ShouldStop = never, *, part: tuple[float, float] = (0.0, 1.0)
) -> Iterator[Progress]:
    """Train all in turns until each has used up its budget.

    Args:
        trainees: the networks.
        should_stop: checked after every turn; once it returns True, training ends.
        part: the shares of the budgets between which to train; the next call continues.

    Yields:
        The progress, after every turn.
    """
    begin, end = part
    rounds = max(1, math.ceil(max(trainee.budget for trainee in trainees) * (end - begin) / _TURN))
    for turn in range(1, rounds + 1):
        until = begin + (end - begin) * turn / rounds
        for number, trainee in enumerate(trainees, 1):
            trainee.train_until(trainee.budget * until)
            share = begin + (end - begin) * (turn - 1 + number / len(trainees)) / rounds
            yield Progress(share, f"loss in nats {' · '.join(_losses(trainees))}")
            if should_stop():
                return


def train_and_test(
    trainees: Sequence[Trainee], test: Callable[[CharLM], T], should_stop: ShouldStop = never
) -> Generator[Progress, None, list[T]]:
    """Train all as `train_side_by_side` does, then test one after the other.

    Args:
        trainees: the networks.
        test: measures a trained network.
        should_stop: as in `train_side_by_side`; what was trained until then is tested.

    Yields:
        The progress.

    Returns:
        What ``test`` measured, one for each network.
    """
    yield from train_side_by_side(trainees, should_stop)
    measured = []
    for number, trainee in enumerate(trainees, 1):
        yield Progress(1.0, f"testing network {number} of {len(trainees)}")
        measured.append(test(trainee.model))
    return measured


def short_training_note(trainees: Sequence[Trainee]) -> tuple[str, ...]:
    """One sentence, if a network trained for less than `MIN_SECONDS`, so that no verdict can be given; else none."""
    seconds = min((trainee.seconds for trainee in trainees), default=MIN_SECONDS)
    if seconds >= MIN_SECONDS:
        return ()
    return (f"A verdict needs {MIN_SECONDS:g} s of training for each network; here it was {seconds:.1f} s.",)


def settings_of(comparison: CellComparison, budget: float, train: TrainConfig, **others: object) -> dict[str, Any]:
    """The settings that a result states.

    Args:
        comparison: which cells, how many seeds.
        budget: seconds of training of each network.
        train: the optimizer's settings.
        others: settings of this experiment only.

    Returns:
        The values by name.
    """
    return {
        "cells": list(comparison.cells), "seeds": comparison.seeds, "seconds_each": budget,
        "threads": torch.get_num_threads(), "optimizer": train.optimizer, "lr": train.lr, **others,
    }  # fmt: skip


def by_cell(trainees: Sequence[Trainee], values: Sequence[T]) -> dict[str, list[T]]:
    """Group the values by cell.

    Args:
        trainees: the networks.
        values: one for each network.

    Returns:
        The values of each cell's seeds, in the order of ``trainees``.
    """
    grouped: dict[str, list[T]] = {}
    for trainee, value in zip(trainees, values, strict=True):
        grouped.setdefault(trainee.cell, []).append(value)
    return grouped


def _losses(trainees: Sequence[Trainee]) -> Iterator[str]:
    """The training loss of each cell, averaged over its seeds and sizes."""
    started = [trainee for trainee in trainees if trainee.steps]
    for cell, losses in by_cell(started, [trainee.loss for trainee in started]).items():
        yield f"{cell} {sum(losses) / len(losses):.3f}"
