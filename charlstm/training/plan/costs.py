"""What a run will cost: operations, seconds, bytes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Protocol

from charlstm.config import RunConfig
from charlstm.nn.shapes import has_ngrams, multiplied_count, parameter_count, stacks

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


def speed(model: Mapping[str, Any], machine: Machine) -> float:
    """Tokens a second in training. Each network is asked alone, so each gives all symbols their share."""
    of_a_network = _BESIDE_A_NETWORK + _BESIDE_A_SYMBOL * model["vocab_size"]
    operations: float = 6 * multiplied_count(model) + _BESIDE_PRODUCTS + model["ensemble"] * of_a_network
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
    """Bytes for weights, gradients, two moments, the average, what is recalled, and one step's activations."""
    shapes = run.model.model_dump()
    table = run.model.ngram_rows * run.model.embedding_size if has_ngrams(shapes) else 0  # has none of those
    weights = parameter_count(shapes) - table
    # The bases of SOAP are squares as wide as their matrices: about half as much again, and their products as much.
    copies = 4 + bool(run.train.average) + (run.train.optimizer == "soap")
    model = run.model
    layers = model.num_layers * len(stacks(shapes))
    a_token = layers * 10 * model.hidden_size + 3 * model.ensemble * model.vocab_size + 2 * model.embedding_size
    if model.attention_window:
        a_token += 2 * model.hidden_size + 4 * (model.attention_window + run.data.seq_len)
    recalled = len(model.recall) * model.recall_rows * (run.data.streams + run.data.batch_size)
    return 4 * (table + recalled + copies * weights + 2 * run.data.batch_size * run.data.seq_len * a_token)
