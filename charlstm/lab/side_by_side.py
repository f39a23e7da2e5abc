"""Cells trained side by side: as equal in weights as whole hidden sizes allow, and equal in seconds.

All take turns of a fraction of a second, so that a machine that is busy now and then is so for all alike. What differs
between two contestants is the cell, its hidden size and the seed; optimizer, learning rate and text are the same.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch

from charlstm.config import TrainConfig
from charlstm.errors import UsageError
from charlstm.nn.architecture import Architecture
from charlstm.nn.model import CharLM
from charlstm.nn.shapes import CELLS, parameter_count
from charlstm.nn.state import State
from charlstm.report.data import Progress
from charlstm.training.batches import Batch
from charlstm.training.optim.schedule import schedule
from charlstm.training.step import TrainStep

CELL_NAMES = tuple(CELLS)
_TURN = 0.3
"""Seconds, at most."""
_LOSS_MEMORY = 0.95

Stop = Callable[[], bool]


@dataclass(frozen=True)
class Rules:
    """Who takes part, and for how long."""

    cells: tuple[str, ...] = CELL_NAMES
    seeds: int = 3
    seconds: float = 240.0
    """Of training, all contestants together."""

    def __post_init__(self) -> None:
        unknown = [cell for cell in self.cells if cell not in CELLS]
        if unknown or not self.cells:
            what = f"no cell {unknown[0]!r}" if unknown else "no cell is named"
            raise UsageError(what, where="--cells", hint=f"There are {', '.join(CELL_NAMES)}.")
        if len(set(self.cells)) < len(self.cells):
            raise UsageError("a cell is named twice", where="--cells")
        if self.seeds < 1:
            raise UsageError(f"{self.seeds} is no number of seeds", where="--seeds", hint="At least 1 is needed.")


def sized(cell: str, parameters: int, vocab_size: int, embedding_size: int) -> Architecture:
    """The one-layer network of a cell whose number of weights is nearest to ``parameters``."""

    def of(hidden: int) -> Architecture:
        size = {"vocab_size": vocab_size, "embedding_size": embedding_size, "hidden_size": hidden}
        return Architecture.from_settings({**size, "num_layers": 1, "cell": cell})

    def off(hidden: int) -> int:
        return abs(parameter_count(of(hidden)) - parameters)

    hidden = 1
    while off(hidden + 1) < off(hidden):  # the count only grows with the hidden size
        hidden += 1
    return of(hidden)


class Contestant:
    """One network in training.

    Args:
        config: the network's shape.
        seed: of its first weights.
        train: the optimizer's settings.
        windows: what it learns from, without end.
        seconds: its budget.
    """

    def __init__(
        self, config: Architecture, seed: int, train: TrainConfig, windows: Iterator[Batch], seconds: float
    ) -> None:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.model = CharLM(config)
        self.cell, self.seed, self.budget = config.cell, seed, seconds
        self.seconds, self.steps, self.characters, self.loss = 0.0, 0, 0, math.nan
        self._train, self._windows = train, windows
        self._train_step = TrainStep(self.model, train)
        self._states: dict[int, State] = {}

    @property
    def finished(self) -> bool:
        """Whether its seconds are used up."""
        return self.seconds >= self.budget

    def train_until(self, seconds: float) -> None:
        """Train until so many seconds in all have been spent on steps; at least one step."""
        self.model.train()
        while True:
            window = next(self._windows)
            began = time.perf_counter()
            self._step(window)
            self.seconds += time.perf_counter() - began
            if self.seconds >= seconds:
                return

    def _step(self, batch: Batch) -> None:
        share = min(1.0, self.seconds / self.budget)
        state = None if batch.reset_mask.all() else self._states.get(batch.group)
        result = self._train_step(batch, state, self._train.lr * schedule(share, self._train.warmup))
        self._states[batch.group] = result.state
        self.steps += 1
        self.characters += int((batch.targets >= 0).sum())
        mean = _LOSS_MEMORY * self.loss + (1 - _LOSS_MEMORY) * result.loss
        self.loss = result.loss if self.steps == 1 else mean


def line_up(
    rules: Rules,
    parameters: int,
    vocab_size: int,
    embedding_size: int,
    train: TrainConfig,
    windows: Callable[[int], Iterator[Batch]],
) -> list[Contestant]:
    """One contestant for each seed and cell, all of one size, each with its share of the time.

    Args:
        rules: who takes part, and for how long.
        parameters: weights of each.
        vocab_size: of what they learn.
        embedding_size: features of a character, the same for all.
        train: the optimizer's settings.
        windows: what they learn from, by seed.
    """
    each = rules.seconds / (len(rules.cells) * rules.seeds)
    return [
        Contestant(sized(cell, parameters, vocab_size, embedding_size), seed, train, windows(seed), each)
        for seed in range(1, rules.seeds + 1)
        for cell in rules.cells
    ]


def side_by_side(
    contestants: Sequence[Contestant], stop: Stop = lambda: False, *, part: tuple[float, float] = (0.0, 1.0)
) -> Iterator[Progress]:
    """Train all in turns until each has used up its seconds.

    Args:
        contestants: who takes part.
        stop: asked after every turn; once it says True, all stay as they are.
        part: from which share of their seconds to which; the next call goes on.

    Yields:
        how far it is, after every turn.
    """
    begin, end = part
    rounds = max(1, math.ceil(max(each.budget for each in contestants) * (end - begin) / _TURN))
    for turn in range(1, rounds + 1):
        until = begin + (end - begin) * turn / rounds
        for number, each in enumerate(contestants, 1):
            each.train_until(each.budget * until)
            share = begin + (end - begin) * (turn - 1 + number / len(contestants)) / rounds
            yield Progress(share, " · ".join(_losses(contestants)))
            if stop():
                return


def _losses(contestants: Sequence[Contestant]) -> Iterator[str]:
    """The loss of each cell in training, over its seeds and sizes."""
    for cell in dict.fromkeys(each.cell for each in contestants):
        losses = [each.loss for each in contestants if each.cell == cell and each.steps]
        if losses:
            yield f"{cell} {sum(losses) / len(losses):.3f}"


@contextmanager
def one_thread() -> Iterator[None]:
    """One CPU thread for a while: networks this small gain nothing from two, and two wait for a busy neighbour."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
