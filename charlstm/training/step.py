"""One training step: takes a batch and a state, updates the weights, returns the loss and the next state."""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, NamedTuple

import torch
from numpy.typing import NDArray
from torch.nn import functional

from charlstm.config import TrainConfig
from charlstm.nn.dropout import DropoutRng
from charlstm.nn.model import CharLM
from charlstm.nn.parameters import dense_parameters, sparse_tables
from charlstm.nn.state import State
from charlstm.training.batches import NO_TARGET, Batch
from charlstm.training.distributed import SINGLE_PROCESS, Ranks
from charlstm.training.optim.build import make_optimizers
from charlstm.training.optim.decay_to_start import DecayToStart

_HOPELESS = 1e6
"""Nats per token: a hundred thousand times what chance alone gives."""


class StepResult(NamedTuple):
    """The result of a step."""

    loss: float
    """Nats per token: of several processes the mean over all of them is that of the batch."""
    grad_norm: float
    """Global norm of the dense gradients, averaged over all processes, before clipping."""
    state: State
    """The next state, detached: gradients end at the window."""


class TrainStep:
    """A network with its optimizers; calling it takes one step.

    Args:
        model: the network, on its device.
        config: the settings `optimizer`, `lr`, `beta2`, `weight_decay`, `decay_to_start`, `grad_clip` and `precision`.
        generator: the generator of dropout masks, on the model's device; None is torch's global one.
        ranks: this process among those that train together.
        new_tokens: the ids of the tokens that were added to a trained network.

    Attributes:
        model: the network.
        optimizers: the optimizer of the dense weights, then one for each sparse table.
        scaler: the loss scaler, disabled unless the precision is fp16.
        decay_to_start: completes each step with that setting; None without it.
    """

    def __init__(
        self,
        model: CharLM,
        config: TrainConfig,
        *,
        generator: torch.Generator | None = None,
        ranks: Ranks = SINGLE_PROCESS,
        new_tokens: Sequence[int] | NDArray[Any] = (),
    ) -> None:
        self.model, self._config, self._generator, self._ranks = model, config, generator, ranks
        self._device = model.embedding.weight.device
        self._forward = ranks.wrap(model)  # first, because it replaces the weights by those of rank 0
        self._dense = list(dense_parameters(model).values())
        self._sparse = [table.weight for table in sparse_tables(model)]
        self.optimizers = make_optimizers(model, config)
        is_new = torch.zeros(model.architecture.vocab_size, dtype=torch.bool, device=self._device)
        is_new[torch.tensor(new_tokens, dtype=torch.int64)] = True
        self.decay_to_start = DecayToStart(model, self.optimizers, is_new) if config.decay_to_start else None
        self.scaler = torch.amp.GradScaler(self._device.type, enabled=config.precision == "fp16")

    def __call__(self, batch: Batch, state: State | None, lr: float) -> StepResult:
        """Take one step. If the loss or the gradient is not finite, the weights do not change.

        Args:
            batch: the batch, with the rows of all processes.
            state: the state of this process's rows before the window; None is the state before any text.
            lr: the learning rate of this step.

        Returns:
            The result of the step.
        """
        for optimizer in self.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = lr
        nats, state = self._compute_gradients(batch, state, self._generator)
        return StepResult(nats, self._update_weights(nats), state.detach())

    def has_diverged(self, batch: Batch, state: State | None) -> bool:
        """Return whether another step is hopeless; nothing changes.

        Weights may be finite and yet so large that the next loss or gradient is not, or about to be.

        Args:
            batch: any batch, with the rows of all processes.
            state: the state of this process's rows before it; None is the state before any text.
        """
        nats, _ = self._compute_gradients(batch, state, torch.Generator(self._device).manual_seed(0))
        norm = torch.nn.utils.get_total_norm([weight.grad for weight in self._dense if weight.grad is not None]).item()
        self.model.zero_grad(set_to_none=True)
        return not (nats < _HOPELESS and (self.scaler.is_enabled() or math.isfinite(norm)))

    def _compute_gradients(
        self, batch: Batch, state: State | None, generator: torch.Generator | None
    ) -> tuple[float, State]:
        """Return the loss in nats per token and the next state, and leave the gradients in the weights."""
        size = len(batch.inputs)
        rows = self._ranks.rows(size)
        inputs, targets = batch.inputs[rows].to(self._device), batch.targets[rows].to(self._device)
        if batch.before is not None:
            state = self.model.remember(batch.before[rows].to(self._device))
        elif state is not None and batch.reset_mask.any():
            state = state.reset(batch.reset_mask[rows].to(self._device))
        with self.autocast():
            logits, state = self._forward(inputs, state, DropoutRng(generator, rows.start, size))
        members = len(logits) // len(targets)  # of an ensemble; each has its own loss
        losses = functional.cross_entropy(
            logits.float().flatten(0, 1), targets.repeat(members, 1).flatten(), ignore_index=NO_TARGET, reduction="sum"
        )
        # The mean over all processes of this is the mean over all targets, wherever their rows are.
        loss = losses * (self._ranks.world_size / (members * batch.tokens))
        torch.autograd.backward(self.scaler.scale(loss))
        return loss.item(), state

    def autocast(self) -> AbstractContextManager[Any]:
        """Return the autocast context of the configured precision."""
        kinds = {"bf16": torch.bfloat16, "fp16": torch.float16}
        if self._config.precision == "fp32":
            return nullcontext()
        return torch.autocast(self._device.type, kinds[self._config.precision])

    def _update_weights(self, loss: float) -> float:
        """Clip the gradients, take a step of each optimizer, and return the norm of the dense gradients."""
        self._ranks.average_sparse(self._sparse)
        for optimizer in self.optimizers:
            self.scaler.unscale_(optimizer)  # type: ignore[arg-type]  # ours have everything it uses
        norm = torch.nn.utils.clip_grad_norm_(self._dense, self._config.grad_clip).item()
        scaled = self.scaler.is_enabled()
        if math.isfinite(loss) and (scaled or math.isfinite(norm)):
            for optimizer in self.optimizers:
                self.scaler.step(optimizer)  # type: ignore[arg-type]
            self.scaler.update()
            if self.decay_to_start is not None:
                self.decay_to_start.apply()
        self.model.zero_grad(set_to_none=True)
        # With loss scaling a gradient overflows now and then; that step is skipped, which does no harm.
        return self._config.grad_clip if scaled and not math.isfinite(norm) else norm
