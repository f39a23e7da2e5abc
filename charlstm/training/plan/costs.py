"""What a run will cost: operations, seconds, bytes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Protocol

from charlstm.config import RunConfig
from charlstm.evaluation.windows import evaluation_bytes
from charlstm.nn.architecture import Architecture
from charlstm.nn.shapes import matmul_weight_count, parameter_count

_BESIDE_PRODUCTS, _BESIDE_A_NETWORK, _BESIDE_A_SYMBOL = 0.8e6, 0.7e6, 1.3e3
"""What all else takes for a token, for each network and each symbol of the vocabulary, in operations of products."""


class Machine(Protocol):
    """What `probe.Machine` tells."""

    @property
    def device(self) -> str:
        """As torch names it."""

    @property
    def precision(self) -> Any:
        """``fp32``, ``bf16`` or ``fp16``."""

    @property
    def flops(self) -> float:
        """Operations a second in training."""

    @property
    def memory(self) -> int:
        """Bytes free."""

    @property
    def reason(self) -> str:
        """How that was found."""


def speed(architecture: Architecture, machine: Machine, *, members: int = 0) -> float:
    """Tokens per second in training. Each member of an ensemble has a softmax and a loss of its own.

    Args:
        architecture: of the network.
        machine: what it is trained on.
        members: the size of the ensemble if not the architecture's: all weights but the embeddings are each member's.
    """
    weights = matmul_weight_count(architecture) * (members or architecture.ensemble) / architecture.ensemble
    of_a_member = _BESIDE_A_NETWORK + _BESIDE_A_SYMBOL * architecture.vocab_size
    operations = 6 * weights + _BESIDE_PRODUCTS + (members or architecture.ensemble) * of_a_member
    return machine.flops / operations


def length(train: Mapping[str, Any], speed: float, rows: int, train_tokens: int) -> tuple[int, float]:
    """Expected steps and seconds until the first budget ends."""
    # A step costs at least a millisecond of bookkeeping, however small the network.
    step_seconds = max(rows / speed, 1e-3)
    steps = min(
        train["max_time"] / step_seconds if train.get("max_time") else math.inf,
        train.get("max_steps") or math.inf,
        train["epochs"] * train_tokens / rows if train.get("epochs") else math.inf,
    )
    return max(1, round(steps)), steps * step_seconds


def memory(run: RunConfig) -> int:
    """Bytes for weights, gradients, moments, the average, what is carried, and a step's or an evaluation's arrays."""
    model, data = run.model, run.data
    sparse = sum(
        side.table_rows(model.vocab_size) * model.embedding_size for side in model.enabled.values() if side.sparse
    )  # has neither a gradient nor moments of its size
    weights = parameter_count(model) - sparse
    # The bases of SOAP are squares as wide as their matrices: about half as much again, and their products as much.
    copies = 4 + bool(run.train.ema_decay) + (run.train.optimizer == "soap")
    layers = model.num_layers * len(model.stacks)
    a_token = layers * 10 * model.hidden_size + 3 * model.ensemble * model.vocab_size + 2 * model.embedding_size
    if model.attention_window:
        a_token += 2 * model.hidden_size + 4 * (model.attention_window + data.seq_len)
    carried = sum(side.memory_bytes() for side in model.enabled.values()) * (data.streams + data.batch_size)
    step = 4 * 2 * data.batch_size * data.seq_len * a_token
    evaluation = evaluation_bytes(model.vocab_size) if data.val_fraction else 0
    return 4 * (sparse + copies * weights) + carried + max(step, evaluation)
