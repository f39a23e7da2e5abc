"""The cost of a run: operations, seconds and bytes, predicted before it starts."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Protocol

from charlstm.config import RunConfig
from charlstm.evaluation.windows import STREAMS, window_length
from charlstm.nn.architecture import Architecture
from charlstm.nn.recurrence import onednn_computes
from charlstm.nn.shapes import CELLS, matmul_weight_count, parameter_count

_TOKEN_OVERHEAD, _NETWORK_OVERHEAD, _VOCAB_OVERHEAD = 0.8e6, 0.7e6, 1.3e3
"""The cost of everything but matrix products: per token, per token and network, and per token, network and vocabulary
entry; as the number of floating-point operations of products that take as long (``docs/decisions/cost-model.md``)."""

_SET_UP = {"soap": 33e6, "adamw": 104e6}
"""The bytes of what torch loads and sets up with the first step of a training, by optimizer."""
_ONEDNN, _GATE = 14.3, 3.6
"""The arrays (B, T, H) that a layer of a step keeps: oneDNN's LSTM; our own windows, for each gate."""
_ONEDNN_READ, _GATE_READ = 2.0, 3.6
"""Those, (S, T, H), that an evaluation adds to what it uses of what a step has freed."""


class Machine(Protocol):
    """The interface of `probe.Machine`."""

    @property
    def device(self) -> str:
        """Torch's name of the device."""

    @property
    def precision(self) -> Any:
        """``fp32``, ``bf16`` or ``fp16``."""

    @property
    def flops_per_second(self) -> float:
        """Floating-point operations per second in training."""

    @property
    def free_memory(self) -> int:
        """Free memory in bytes."""

    @property
    def precision_reason(self) -> str:
        """Why this precision, in plain words."""


def speed(architecture: Architecture, machine: Machine, *, members: int = 0) -> float:
    """Predict the speed of training.

    Each weight costs 6 operations per token: 2 in the forward pass, 4 in the backward pass. Each member of an ensemble
    has its own softmax and loss. Source: ``docs/decisions/cost-model.md``.

    Args:
        architecture: the architecture of the network.
        machine: the machine it is trained on.
        members: an ensemble size that replaces the architecture's; 0 keeps it.

    Returns:
        Tokens per second.
    """
    members = members or architecture.ensemble
    weights = matmul_weight_count(architecture) * members / architecture.ensemble
    member_overhead = _NETWORK_OVERHEAD + _VOCAB_OVERHEAD * architecture.vocab_size
    operations = 6 * weights + _TOKEN_OVERHEAD + members * member_overhead
    return machine.flops_per_second / operations


def length(train: Mapping[str, Any], speed: float, rows: int, train_tokens: int) -> tuple[int, float]:
    """Predict the length of a run: until its first budget is used up.

    Args:
        train: the training settings, with `max_time`, `max_steps` and `epochs`.
        speed: tokens per second.
        rows: tokens per step, `batch_size` times `seq_len`.
        train_tokens: tokens of the training text.

    Returns:
        Steps and seconds.
    """
    # A step takes at least a millisecond of overhead, however small the network.
    step_seconds = max(rows / speed, 1e-3)
    steps = min(
        train["max_time"] / step_seconds if train.get("max_time") else math.inf,
        train.get("max_steps") or math.inf,
        train["epochs"] * train_tokens / rows if train.get("epochs") else math.inf,
    )
    return max(1, round(steps)), steps * step_seconds


def memory(run: RunConfig) -> int:
    """Predict the bytes that training takes at its peak, evaluations and saves included.

    How many arrays of each shape there are at once was fitted to the peaks of 68 networks. The peaks of 30 others were
    0.63 to 1.60 of what is predicted, 19 of them within 20 %. Source: ``docs/decisions/cost-model.md``.
    """
    model, data, train = run.model, run.data, run.train
    sparse = sum(
        side.table_rows(model.vocab_size) * model.embedding_size for side in model.enabled.values() if side.sparse
    )  # without gradients or moments of this size
    weights = parameter_count(model) - sparse
    half = train.precision != "fp32"
    widest = 4 * model.hidden_size * (model.hidden_size + max(model.input_sizes))
    onednn = model.cell == "lstm" and onednn_computes(widest, half=half)
    gates = CELLS[model.cell].gates
    state = 3.3 + bool(train.ema_decay)  # weights, two moments, bases
    # Besides it gradients; in fp32 oneDNN arranges the weights anew for either direction.
    copies = state + 1 + train.decay_to_start + (5.8 if onednn and not half else 0.0)
    numbers = copies * weights + (4 + train.decay_to_start) * sparse
    if train.on_divergence == "rollback":  # the last good state
        numbers += state * weights + 4 * sparse
    rows = 1 + sum(side.rows_per_token for side in model.enabled.values())
    layers = model.num_layers * len(model.stacks)
    per_token = layers * model.hidden_size * (_ONEDNN if onednn else _GATE * gates)
    per_token += 2 * model.ensemble * model.vocab_size + 7 * rows * model.embedding_size
    numbers += data.batch_size * data.seq_len * per_token
    if data.val_fraction:
        length = window_length(STREAMS, model)
        per_token = 1.5 * model.vocab_size + model.hidden_size * (_ONEDNN_READ if onednn else _GATE_READ * gates)
        if model.attention_window:
            per_token += 5 * (model.attention_window + length)
        numbers += STREAMS * length * per_token
    carried = sum(side.memory_bytes() for side in model.enabled.values()) * (data.streams + data.batch_size)
    return round(_SET_UP[train.optimizer] + 4 * numbers + carried)
