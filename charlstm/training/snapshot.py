"""Captures and restores everything that an exact resume needs, as the arrays of ``resume.safetensors``.

::

    model.NAME                  every weight
    optimizer.NAME.PART         the optimizer's state of each weight
    ema.NAME                    the moving average of each weight
    start.NAME                  with `decay_to_start` the weights that training started from
    start.is_new                with it also which tokens were added to them
    state.GROUP.PART            the carried state of each group of streams, with the part names of `nn.state.State`
    generator, scaler           the generator of dropout masks; the loss scaler in fp16
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any

import msgspec
import numpy as np
import torch
from msgspec import Meta
from numpy.typing import NDArray
from torch import Tensor

from charlstm.checkpoint.format import Checkpoint, check_tokenizer
from charlstm.errors import CorruptError
from charlstm.nn.architecture import Architecture
from charlstm.nn.device import without_values
from charlstm.nn.model import CharLM
from charlstm.nn.state import State
from charlstm.schemas import as_in_file
from charlstm.training.batches import stream_groups
from charlstm.training.optim.base import AnyOptimizer, Optimizer
from charlstm.training.optim.ema import WeightEMA
from charlstm.training.step import TrainStep

Arrays = dict[str, NDArray[Any]]

_Count = Annotated[int, Meta(ge=0, le=1 << 53)]
_Seconds = Annotated[float, Meta(ge=0.0, le=1e12)]
_Loss = Annotated[float, Meta(ge=0.0, le=1e300)]


class Cursor(msgspec.Struct):
    """The position of a run after its last complete step."""

    step: _Count = 0
    epoch: _Count = 0
    index: _Count = 0
    """The number of the next batch in its epoch."""
    tokens: _Count = 0
    seconds: _Seconds = 0.0
    train_loss: _Loss = 0.0
    """Nats per token, a running mean over recent steps."""
    first_share: Annotated[float, Meta(ge=0.0, lt=1.0)] = 0.0
    """The share of the budget that was used before the first step, for the evaluation of what training began from."""
    lr_scale: Annotated[float, Meta(gt=0.0, le=1.0)] = 1.0
    """What the learning rate is multiplied with: it was halved at each divergence that training went back from."""
    best_val_loss: _Loss | None = None
    stale_evals: _Count = 0
    """Evaluations since the best."""
    evaluated: Annotated[int, Meta(ge=-1, le=1 << 53)] = -1
    """The last step that was evaluated."""
    reserve: _Seconds = 0.0
    """Seconds of a time budget that were not for training: the start, the last evaluation and save."""
    evaluated_share: Annotated[float, Meta(ge=0.0, le=1.0)] = 0.0
    """The share of the budget at the last evaluation."""
    val_tokens: _Count = 0
    """Tokens of the validation text that an evaluation has time for; 0 before the first."""
    eval_losses: tuple[_Loss, ...] = ()
    """The validation loss of each evaluation, for the diagnosis."""

    def to_json(self) -> dict[str, Any]:
        """Return plain values; floats survive JSON exactly."""
        plain: dict[str, Any] = msgspec.to_builtins(self)
        return plain

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Cursor:
        """Create a cursor from plain values: the inverse of `to_json`.

        Raises:
            CorruptError: a value is invalid.
        """
        try:
            return msgspec.convert(values, cls)
        except (msgspec.ValidationError, UnicodeError) as fault:
            raise CorruptError(f"the position of the run cannot be read ({as_in_file(str(fault)):.200})") from fault


@dataclass(frozen=True)
class TrainState:
    """Everything that changes from step to step, apart from the cursor."""

    train_step: TrainStep
    ema: WeightEMA | None
    states: list[State | None]
    """The carried state of each group of streams; None until its first step."""
    generator: torch.Generator
    rows: int
    """Rows of a whole batch, over all ranks."""


def capture(state: TrainState) -> Arrays:
    """Return a copy of a training state as arrays by name."""
    arrays = {name: tensor.detach().cpu().numpy().copy() for name, tensor in _tensors(state)}
    scale = state.train_step.scaler.state_dict()
    if scale:
        arrays["scaler"] = np.array([scale["scale"], scale["_growth_tracker"]], np.float64)
    return arrays


def restore(arrays: Arrays, state: TrainState) -> None:
    """Restore what `capture` returned into new objects, on any device.

    Args:
        arrays: what `capture` returned; it is checked before anything changes.
        state: the objects to restore into, created with the same settings.

    Raises:
        CorruptError: an array is missing, unexpected or out of range, or has the wrong shape or type.
    """
    _check(arrays, state)
    named = {name: torch.from_numpy(array.copy()) for name, array in arrays.items()}
    model, scaler = state.train_step.model, state.train_step.scaler
    model.load_state_dict({name: named[f"model.{name}"] for name in model.state_dict()})
    for optimizer in state.train_step.optimizers:
        _restore_optimizer(optimizer, _parameter_names(state), named)
    for name, weight in _ema(state).items():
        weight.copy_(named[f"ema.{name}"])
    for name, weight in _start(state).items():
        weight.copy_(named[f"start.{name}"])
    empty = model.empty_state(state.rows)
    for group in range(len(state.states)):
        parts = {name: named.get(f"state.{group}.{name}") for name, _ in empty.named_parts()}
        if all(part is not None for part in parts.values()):
            device = model.embedding.weight.device
            complete = {name: part.to(device) for name, part in parts.items() if part is not None}
            state.states[group] = empty.from_named(complete)
    # Between CPU and GPU the state has another size: there a resumed run starts a new random sequence.
    if named["generator"].numel() == state.generator.get_state().numel():
        state.generator.set_state(named["generator"])
    if "scaler" in arrays and scaler.is_enabled():
        scale, growth = arrays["scaler"].tolist()
        scaler.load_state_dict({**scaler.state_dict(), "scale": float(scale), "_growth_tracker": int(growth)})


def verify(saved: Checkpoint) -> None:
    """Check that a resume file holds what its run would capture, without creating the network.

    Raises:
        CorruptError: an array, the position of the run or the tokenizer is not as this run has it.
    """
    Cursor.from_json(saved.cursor)
    check_tokenizer(saved)
    run = saved.run
    layers = run.model.num_layers * len(run.model.stacks)
    if layers > len(saved.tensors):  # creating thousands of layers takes seconds even without values
        raise CorruptError(f"its settings name {layers} layers, more than it holds")
    with without_values():
        train_step = TrainStep(CharLM(run.model), run.train)
        ema = WeightEMA(train_step.model, run.train.ema_decay) if run.train.ema_decay else None
        states: list[State | None] = [None] * stream_groups(run.data)
        _check(saved.tensors, TrainState(train_step, ema, states, torch.Generator("cpu"), run.data.batch_size))


def _parameter_names(state: TrainState) -> dict[int, str]:
    return {id(weight): name for name, weight in state.train_step.model.named_parameters()}


def _ema(state: TrainState) -> dict[str, Tensor]:
    return state.ema.weights if state.ema is not None else {}


def _start(state: TrainState) -> dict[str, Tensor]:
    decay = state.train_step.decay_to_start
    return {**decay.start, "is_new": decay.is_new} if decay is not None else {}


def _tensors(state: TrainState) -> Iterator[tuple[str, Tensor]]:
    names = _parameter_names(state)
    yield from ((f"model.{name}", weight) for name, weight in state.train_step.model.state_dict().items())
    for optimizer in state.train_step.optimizers:
        for weight, moments in optimizer.state.items():
            yield from ((f"optimizer.{names[id(weight)]}.{part}", value) for part, value in moments.items())
    yield from ((f"ema.{name}", weight) for name, weight in _ema(state).items())
    yield from ((f"start.{name}", weight) for name, weight in _start(state).items())
    for group, carried in enumerate(state.states):
        if carried is not None:
            yield from ((f"state.{group}.{name}", part) for name, part in carried.named_parts())
    yield "generator", state.generator.get_state()


def _restore_optimizer(optimizer: AnyOptimizer, names: dict[int, str], named: dict[str, Tensor]) -> None:
    weights = [weight for group in optimizer.param_groups for weight in group["params"]]
    states = {}
    for number, weight in enumerate(weights):
        moments = {part: f"optimizer.{names[id(weight)]}.{part}" for part in _state_shapes(optimizer, weight)}
        parts = {part: named[name] for part, name in moments.items() if name in named}
        if isinstance(optimizer, Optimizer):
            optimizer.load_weight_state(weight, parts)
        elif parts:
            states[number] = parts
    if not isinstance(optimizer, Optimizer):
        optimizer.load_state_dict({**optimizer.state_dict(), "state": states})


def _state_shapes(optimizer: AnyOptimizer, weight: Tensor) -> dict[str, tuple[int, ...]]:
    if isinstance(optimizer, Optimizer):
        return optimizer.state_shapes(weight)
    return {"step": (), "exp_avg": tuple(weight.shape), "exp_avg_sq": tuple(weight.shape)}  # AdamW's


def _check(arrays: Arrays, state: TrainState) -> None:
    """Raise `CorruptError` unless the arrays are those that this training would capture."""
    known: dict[str, _Form] = {}
    for group in _expected(state, {int(found[1]) for name in arrays if (found := _GROUP.match(name))}):
        known |= group.arrays
        missing = sorted(group.arrays.keys() - arrays.keys())
        if missing and not (group.optional and len(missing) == len(group.arrays)):
            raise CorruptError(f"tensor {missing[0]!r:.80} is missing")
    for name, array in arrays.items():
        if name not in known:
            raise CorruptError(f"tensor {name!r:.80} does not belong to this run")
        kind, shape = known[name]
        if array.dtype.kind != kind or (shape is not None and array.shape != shape):
            raise CorruptError(f"tensor {name!r:.80} is {array.dtype} {array.shape}, not as this run has it")
        _check_values(name, array, state.train_step.model.architecture)
    if arrays["generator"].size != _CUDA_GENERATOR_BYTES:
        try:
            torch.Generator().set_state(torch.from_numpy(arrays["generator"].copy()))
        except (RuntimeError, TypeError) as fault:
            raise CorruptError("the state of the random generator cannot be used") from fault


def _check_values(name: str, array: NDArray[Any], architecture: Architecture) -> None:
    """Raise `CorruptError` if an array of the right type holds values that no training has."""
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise CorruptError(f"tensor {name!r:.80} holds numbers that are not finite")
    if array.dtype.kind == "i" and not _are_tokens(_numbers_in(name, array, architecture), architecture.vocab_size):
        raise CorruptError(f"tensor {name!r:.80} holds numbers of no tokens")
    if _NEVER_NEGATIVE.search(name) and (array < 0).any():
        raise CorruptError(f"tensor {name!r:.80} holds numbers below 0")


_CUDA_GENERATOR_BYTES = 16
"""Any such bytes are a seed and an offset."""

_NEVER_NEGATIVE = re.compile(r"^optimizer\..*\.(step|v|exp_avg_sq)$")
"""Counts of steps and mean squares of gradients."""

_Form = tuple[str, tuple[int, ...] | None]
"""The kind of an array (NumPy's ``dtype.kind``), and its shape; None for any."""


@dataclass(frozen=True)
class _Group:
    """Arrays that are all there; or perhaps all missing, before their first step."""

    arrays: dict[str, _Form]
    optional: bool = True


def _numbers_in(name: str, array: NDArray[Any], architecture: Architecture) -> NDArray[Any]:
    """The numbers of tokens in a part of a carried state."""
    side = _SIDE.match(name)
    return array if side is None else architecture.enabled[side[1]].numbers_in(array)


def _are_tokens(numbers: NDArray[Any], vocab_size: int) -> bool:
    """Whether numbers are ids plus 1, or 0 for no token: with others rows of a table would be read that it has not."""
    return not numbers.size or (numbers.min() >= 0 and numbers.max() <= vocab_size)


_GROUP, _SIDE = re.compile(r"state\.(\d{1,9})\."), re.compile(r"state\.\d+\.side\.(\w+)\.")


def _expected(state: TrainState, carried: set[int]) -> Iterator[_Group]:
    """Yield what a training captures; of the groups of streams, of which there may be many, those that have a state."""
    names, model = _parameter_names(state), state.train_step.model
    needed: dict[str, _Form] = {
        f"model.{name}": ("f", tuple(weight.shape)) for name, weight in model.state_dict().items()
    }
    needed |= {f"ema.{name}": ("f", tuple(weight.shape)) for name, weight in _ema(state).items()}
    needed |= {f"start.{name}": (_kind(part), tuple(part.shape)) for name, part in _start(state).items()}
    yield _Group({**needed, "generator": ("u", None)}, optional=False)
    yield _Group({"scaler": ("f", (2,))})
    for optimizer in state.train_step.optimizers:
        for group in optimizer.param_groups:
            for weight in group["params"]:
                shapes = _state_shapes(optimizer, weight)
                yield _Group({f"optimizer.{names[id(weight)]}.{part}": ("f", shape) for part, shape in shapes.items()})
    empty = dict(model.empty_state(state.rows).named_parts())
    for number in sorted(number for number in carried if number < len(state.states)):
        yield _Group({f"state.{number}.{name}": (_kind(part), tuple(part.shape)) for name, part in empty.items()})


def _kind(tensor: Tensor) -> str:
    return "f" if tensor.is_floating_point() else "b" if tensor.dtype == torch.bool else "i"
