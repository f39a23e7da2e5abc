"""The cost of a run: operations, seconds and bytes, predicted before it starts."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Protocol

from charlstm.config import RunConfig
from charlstm.evaluation.windows import evaluation_bytes
from charlstm.nn.architecture import Architecture
from charlstm.nn.shapes import matmul_weight_count, parameter_count

_TOKEN_OVERHEAD, _NETWORK_OVERHEAD, _VOCAB_OVERHEAD = 0.8e6, 0.7e6, 1.3e3
"""The cost of everything but matrix products: per token, per token and network, and per token, network and vocabulary
entry; as the number of floating-point operations of products that take as long (``docs/decisions/cost-model.md``)."""


_LOADED = {"soap": 40_000_000, "adamw": 65_000_000}
"""The bytes of what torch loads and sets up with the first step of a training, by optimizer."""


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
    """Predict the bytes that training takes at its peak.

    They are those of the weights, the optimizer and the carried state, and the more that either a step and an
    evaluation or the copy of everything for a resume file adds.
    """
    model, data = run.model, run.data
    sparse = sum(
        side.table_rows(model.vocab_size) * model.embedding_size for side in model.enabled.values() if side.sparse
    )  # without gradients or moments of this size
    weights = parameter_count(model) - sparse
    # SOAP's bases are square matrices as wide as the weights: about half their size, and their products as much.
    # In half precision the weights are there twice more, in 2 bytes each: converted, and as oneDNN arranges them.
    train = run.train
    copies = 4 + bool(train.ema_decay) + (train.optimizer == "soap") + (train.precision != "fp32")
    copies += train.decay_to_start
    layers = model.num_layers * len(model.stacks)
    rows = 1 + sum(side.rows_per_token for side in model.enabled.values())
    per_token = 14 * layers * model.hidden_size + 3 * model.ensemble * model.vocab_size
    per_token += 2 * rows * model.embedding_size
    if model.attention_window:
        per_token += 2 * model.hidden_size + 4 * (model.attention_window + data.seq_len)
    carried = sum(side.memory_bytes() for side in model.enabled.values()) * (data.streams + data.batch_size)
    step = 4 * 2 * data.batch_size * data.seq_len * per_token
    evaluation = evaluation_bytes(model) if data.val_fraction else 0
    kept = 4 * ((1 + train.decay_to_start) * sparse + copies * weights) + carried
    # An evaluation can use little of what a step has freed.
    return _LOADED[train.optimizer] + kept + max(step + evaluation, kept)
