"""One network in training, for a given time."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator

import torch
from torch.nn import functional

from charlstm.config import ModelConfig, TrainConfig
from charlstm.nn.model import CharLM, State, detach, reset_rows
from charlstm.training.batches import Window
from charlstm.training.optim.build import make_optimizers
from charlstm.training.optim.schedule import schedule

_LOSS_DECAY = 0.95


class Trainee:
    """One network in training.

    Args:
        config: the network's shape.
        seed: seed of the initial weights.
        train: the optimizer's settings.
        batches: endless training data.
        budget: seconds of training.

    Attributes:
        model: the network.
        seconds: seconds spent on training steps.
        steps: training steps taken.
        characters: characters trained on.
        loss: running mean of the training loss, in nats per character; nan before the first step.
    """

    def __init__(
        self, config: ModelConfig, seed: int, train: TrainConfig, batches: Iterator[Window], budget: float
    ) -> None:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.model = CharLM(config)
        self.cell: str = config.cell
        self.budget = budget
        self.seconds, self.steps, self.characters, self.loss = 0.0, 0, 0, math.nan
        self._train, self._batches = train, batches
        (self._optimizer,) = make_optimizers(self.model, train)
        self._states: dict[int, State] = {}

    @property
    def finished(self) -> bool:
        """Whether the budget is used up."""
        return self.seconds >= self.budget

    def train_until(self, seconds: float) -> None:
        """Train until the steps have taken ``seconds`` in total; at least one step."""
        self.model.train()
        while True:
            batch = next(self._batches)
            start = time.perf_counter()
            loss = self._step(batch)
            self.seconds += time.perf_counter() - start
            self.steps += 1
            self.characters += int((batch.targets >= 0).sum())
            self.loss = loss if self.steps == 1 else _LOSS_DECAY * self.loss + (1 - _LOSS_DECAY) * loss
            if self.seconds >= seconds:
                return

    def _step(self, batch: Window) -> float:
        """Take one step of the optimizer and return the loss, in nats per character."""
        for group in self._optimizer.param_groups:
            group["lr"] = self._train.lr * schedule(min(1.0, self.seconds / self.budget), self._train.warmup)
        state = None if batch.fresh.all() else self._states.get(batch.group)
        if state is not None and batch.fresh.any():
            state = reset_rows(state, batch.fresh)
        logits, state = self.model(batch.inputs, state)
        loss = functional.cross_entropy(logits.flatten(0, 1), batch.targets.flatten())
        torch.autograd.backward(loss)
        norm = torch.nn.utils.clip_grad_norm_(self.model.parameters(), self._train.grad_clip).item()
        if math.isfinite(norm):  # a diverged network stays as it is, and its results show that
            self._optimizer.step()
        self.model.zero_grad(set_to_none=True)
        self._states[batch.group] = detach(state)
        return loss.item()
