"""One network in training, for a given time."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator

import torch

from charlstm.config import TrainConfig
from charlstm.nn.architecture import Architecture
from charlstm.nn.model import CharLM
from charlstm.nn.state import State
from charlstm.training.batches import Batch
from charlstm.training.optim.schedule import schedule
from charlstm.training.step import TrainStep

_LOSS_DECAY = 0.95


class Trainee:
    """One network in training.

    Args:
        architecture: of the network.
        seed: seed of the initial weights.
        train: the optimizer's settings.
        batches: endless training data.
        budget: seconds of training.
        steps: uses up the budget in so many steps, whatever time they take; None is as many as the time allows.

    Attributes:
        model: the network.
        seconds: seconds spent on training steps.
        steps: training steps taken.
        characters: characters trained on.
        loss: running mean of the training loss, in nats per character; nan before the first step.
    """

    def __init__(
        self,
        architecture: Architecture,
        seed: int,
        train: TrainConfig,
        batches: Iterator[Batch],
        budget: float,
        steps: int | None = None,
    ) -> None:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.model = CharLM(architecture)
        self.cell: str = architecture.cell
        self.budget = budget
        self.seconds, self.steps, self.characters, self.loss = 0.0, 0, 0, math.nan
        self._train, self._batches, self._budget_steps = train, batches, steps
        self._train_step = TrainStep(self.model, train)
        self._states: dict[int, State] = {}

    @property
    def spent(self) -> float:
        """How much of the budget is used up, in seconds; with a given number of steps, each counts as its share."""
        return self.seconds if self._budget_steps is None else self.budget * (self.steps / self._budget_steps)

    @property
    def finished(self) -> bool:
        """Whether the budget is used up."""
        return self.spent >= self.budget

    def train_until(self, seconds: float) -> None:
        """Train until ``seconds`` of the budget are used up; at least one step."""
        self.model.train()
        while True:
            batch = next(self._batches)
            start = time.perf_counter()
            loss = self._step(batch)
            self.seconds += time.perf_counter() - start
            self.steps += 1
            self.characters += int((batch.targets >= 0).sum())
            self.loss = loss if self.steps == 1 else _LOSS_DECAY * self.loss + (1 - _LOSS_DECAY) * loss
            if self.spent >= seconds:
                return

    def _step(self, batch: Batch) -> float:
        """Take one step of the optimizer and return the loss, in nats per character."""
        lr = self._train.lr * schedule(min(1.0, self.spent / self.budget), self._train.warmup)
        state = None if batch.reset_mask.all() else self._states.get(batch.group)
        result = self._train_step(batch, state, lr)  # a diverged network stays as it is, and its results show that
        self._states[batch.group] = result.state
        return result.loss
