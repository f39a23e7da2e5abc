"""All that an exact resume needs, as plain arrays and plain values: ``resume.safetensors`` holds them."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from charlstm.nn.model import CharLM, State
from charlstm.training.optim.base import Optimizer
from charlstm.training.optim.ema import Average

Arrays = dict[str, NDArray[Any]]


@dataclass
class Cursor:
    """Where a run stands; every field is as it is after the last whole step."""

    step: int = 0
    epoch: int = 0
    index: int = 0
    """Of the next window in its epoch."""
    tokens: int = 0
    seconds: float = 0.0
    train_loss: float = 0.0
    """Nats per token, a running mean over recent steps."""
    best_val_loss: float | None = None
    stale_evals: int = 0
    """Evaluations since the best one."""
    evaluated: int = -1
    """The last step that was evaluated."""
    eval_losses: tuple[float, ...] = ()
    """Validation loss at each evaluation, for the diagnosis."""

    def to_json(self) -> dict[str, Any]:
        """Plain values; floats survive JSON exactly."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Cursor:
        """Undo `to_json`."""
        return cls(**{**values, "eval_losses": tuple(values["eval_losses"])})


@dataclass(frozen=True)
class Moving:
    """Everything that changes from step to step."""

    model: CharLM
    optimizers: list[Optimizer]
    average: Average | None
    states: list[State | None]
    """Of each group of streams."""
    generator: torch.Generator
    scaler: torch.amp.GradScaler


def take(moving: Moving) -> Arrays:
    """A copy of it all on the CPU."""
    named: dict[str, Tensor] = {f"model.{name}": weight for name, weight in moving.model.state_dict().items()}
    for first, optimizer in _numbered(moving.optimizers):
        for k, moments in optimizer.state_dict()["state"].items():
            named |= {f"optimizer.{first + k}.{name}": value for name, value in moments.items()}
    if moving.average is not None:
        named |= {f"average.{k}": weight for k, weight in enumerate(moving.average.weights)}
    for group, state in enumerate(moving.states):
        for k, layer in enumerate(state or ()):
            named |= {f"state.{group}.{k}.{part}": value for part, value in enumerate(layer)}
    named["generator"] = moving.generator.get_state()
    arrays = {name: tensor.detach().cpu().numpy().copy() for name, tensor in named.items()}
    scale = moving.scaler.state_dict()
    if scale:
        arrays["scaler"] = np.array([scale["scale"], scale["_growth_tracker"]], np.float64)
    return arrays


def give_back(arrays: Arrays, moving: Moving) -> None:
    """Undo `take`, into freshly made objects of the same shape, on whatever device they are."""
    model, average, states, scaler = moving.model, moving.average, moving.states, moving.scaler
    device = next(model.parameters()).device
    named = {name: torch.from_numpy(array.copy()) for name, array in arrays.items()}
    model.load_state_dict({name[6:]: value for name, value in named.items() if name.startswith("model.")})
    _restore_optimizers(moving.optimizers, named)
    if average is not None:
        for k, weight in enumerate(average.weights):
            weight.copy_(named[f"average.{k}"])
    for group in range(len(states)):
        layers = [f"state.{group}.{k}" for k in _while_in(named, f"state.{group}.{{}}.0")]
        if layers:
            states[group] = tuple(
                tuple(named[f"{layer}.{part}"].to(device) for part in _while_in(named, f"{layer}.{{}}"))
                for layer in layers
            )
    if named["generator"].numel() == moving.generator.get_state().numel():
        moving.generator.set_state(named["generator"])  # else the run has moved between CPU and GPU, and draws anew
    if "scaler" in arrays and scaler.is_enabled():
        scale, growth = arrays["scaler"]
        scaler.load_state_dict({**scaler.state_dict(), "scale": float(scale), "_growth_tracker": int(growth)})


def _while_in(named: dict[str, Tensor], name: str) -> Iterator[int]:
    """The numbers from 0 for which there is such a name."""
    return itertools.takewhile(lambda number: name.format(number) in named, itertools.count())


def _numbered(optimizers: list[Optimizer]) -> Iterator[tuple[int, Optimizer]]:
    """Each optimizer and the number of its first weight, counted through all of them."""
    first = 0
    for optimizer in optimizers:
        yield first, optimizer
        first += sum(len(group["params"]) for group in optimizer.param_groups)


def _restore_optimizers(optimizers: list[Optimizer], named: dict[str, Tensor]) -> None:
    states: dict[int, dict[str, Tensor]] = {}
    for name, value in named.items():
        if name.startswith("optimizer."):
            _, k, moment = name.split(".")
            states.setdefault(int(k), {})[moment] = value
    for first, optimizer in _numbered(optimizers):
        count = sum(len(group["params"]) for group in optimizer.param_groups)
        own = {k: states[first + k] for k in range(count) if first + k in states}
        optimizer.load_state_dict({**optimizer.state_dict(), "state": own})
