"""A whole network stepped with NumPy.

An engine works in buffers of its own, so one engine serves one thread at a time.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from charlstm.checkpoint.format import Checkpoint
from charlstm.engine.layers import LAYERS, Array, AttentionLayer
from charlstm.shapes import CELLS, attention_shapes
from charlstm.tokenizers import from_state

State: TypeAlias = tuple[tuple[NDArray[Any], ...], ...]
"""The state of each layer, and behind them the attention's memory if there is one.

A value: it goes in by argument and comes out by return."""


class Engine:
    """A trained network for stepping one token at a time, at any batch.

    Attributes:
        config: the run's settings as plain values.
        tokenizer: the run's tokenizer.
        vocab_size: tokens it knows.
    """

    def __init__(self, tensors: dict[str, NDArray[Any]], config: dict[str, Any], tokenizer: dict[str, Any]) -> None:
        self.config = config
        self.tokenizer = from_state(tokenizer)
        self.vocab_size = self.tokenizer.vocab_size
        model = config["model"]
        self._skip: bool = model["skip"]
        weights = {name: np.asarray(tensor, np.float32) for name, tensor in tensors.items()}
        embedding = weights["embedding.weight"]
        cell = CELLS[model["cell"]]
        self._layers = [
            LAYERS[model["cell"]](
                *(weights[f"layers.{k}.{name}"] for name in cell.tensors),
                embedding=embedding if k == 0 or self._skip else None,
            )
            for k in range(model["num_layers"])
        ]
        self._attention: AttentionLayer | None = None
        if model.get("attention_window"):
            names = attention_shapes(model["hidden_size"])
            parts = [weights[f"attention.{name}"] for name in names]
            self._attention = AttentionLayer(*parts, window=model["attention_window"])
        self._state_shape = (model["num_layers"], len(cell.states), model["hidden_size"])
        self._head = np.ascontiguousarray(weights["head.weight"]).T
        self._head_bias = weights["head.bias"]

    @classmethod
    def from_checkpoint(cls, checkpoint: Checkpoint) -> Engine:
        """The network of a checkpoint that `checkpoint.format.read` has verified."""
        return cls(checkpoint.tensors, checkpoint.config, checkpoint.tokenizer)

    def zero_state(self, batch: int) -> State:
        """The state before any text, for ``batch`` rows."""
        layers, parts, hidden = self._state_shape
        zeros = np.zeros((batch, hidden), np.float32)
        state: State = tuple((zeros,) * parts for _ in range(layers))
        return state if self._attention is None else (*state, self._attention.no_memory(batch))

    def step(self, tokens: NDArray[np.integer[Any]], state: State | None) -> tuple[Array, State]:
        """Read one token a row.

        Args:
            tokens: (batch,) ids.
            state: the state before, or None for the state before any text.

        Returns:
            logits (batch, vocab) of the next token, and the state after.
        """
        state = self.zero_state(len(tokens)) if state is None else state
        if len(tokens) > 1:
            return self._step(tokens, state)
        # One row alone is stepped as vectors: an eighth of the time goes into the second axis otherwise.
        logits, after = self._step(tokens[0], tuple([tuple([part[0] for part in layer]) for layer in state]))
        return logits[None], tuple([tuple([part[None] for part in layer]) for layer in after])

    def _step(self, tokens: Any, state: State) -> tuple[Array, State]:
        below, outputs, after = state[0][0], [], []
        for layer, before in zip(self._layers, state, strict=False):  # the attention's memory may stand behind
            after.append(layer.step(tokens, below, before))
            below = after[-1][0]
            outputs.append(below)
        if self._attention is not None:
            outputs[-1], memory = self._attention.step(below, state[-1])
            after.append(memory)
        top = np.concatenate(outputs, -1) if self._skip else outputs[-1]
        logits = np.dot(top, self._head)
        logits += self._head_bias
        return logits, tuple(after)

    def expand(self, state: State, rows: int) -> State:
        """The state of one row, for ``rows`` rows that go different ways from here."""
        return tuple(tuple(np.repeat(part, rows, 0) for part in layer) for layer in state)

    def select(self, state: State, rows: Sequence[int]) -> State:
        """The state of some rows, in the order given."""
        index = np.asarray(rows)
        return tuple(tuple(part[index] for part in layer) for layer in state)
