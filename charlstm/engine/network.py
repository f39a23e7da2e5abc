"""A whole network stepped with NumPy.

An engine works in buffers of its own, so one engine serves one thread at a time.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from charlstm.checkpoint.format import Checkpoint
from charlstm.engine import stack as rows_of
from charlstm.engine.layers import Array, AttentionLayer
from charlstm.engine.side_inputs import LookUps
from charlstm.engine.stack import Stack, State, alone, in_rows
from charlstm.nn.shapes import attention_shapes, looks_up, stacks
from charlstm.tokenizers import from_state


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
        weights = {name: np.asarray(tensor, np.float32) for name, tensor in tensors.items()}
        self._stacks = [Stack(name, weights, model) for name in stacks(model)]
        self._attention: AttentionLayer | None = None
        if model.get("attention_window"):
            parts = [weights[f"attention.{name}"] for name in attention_shapes(model["hidden_size"])]
            self._attention = AttentionLayer(*parts, window=model["attention_window"])
        self._look_ups = LookUps(weights, model) if looks_up(model) else None
        self._head = np.ascontiguousarray(weights["head.weight"] / len(self._stacks)).T  # of an ensemble the mean
        self._head_bias = weights["head.bias"]

    @classmethod
    def from_checkpoint(cls, checkpoint: Checkpoint) -> Engine:
        """The network of a checkpoint that `checkpoint.format.read` has verified."""
        return cls(checkpoint.tensors, checkpoint.config, checkpoint.tokenizer)

    def zero_state(self, batch: int) -> State:
        """The state before any text, for ``batch`` rows."""
        state = self._stacks[0].zero_state(batch) * len(self._stacks)
        if self._attention is not None:
            state += (self._attention.no_memory(batch),)
        if self._look_ups is not None:
            state += (self._look_ups.nothing_read(batch),)
        return state

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
        logits, after = self._step(tokens[0], alone(state))
        return logits[None], in_rows(after)

    def _step(self, tokens: Any, state: State) -> tuple[Array, State]:
        looked_up: Array | None = None
        read: State = ()
        if self._look_ups is not None:
            looked_up, memory = self._look_ups.step(tokens, state[-1])
            read = (memory,)
        after: State = ()
        said = []
        for stack in self._stacks:
            onwards = stack.step(tokens, state[len(after) :], looked_up)
            if self._attention is None:
                said.append(stack.features(onwards))
            else:
                top, memory = self._attention.step(onwards[-1][0], state[len(onwards)])
                said.append(stack.features((*onwards[:-1], (top,))))
                onwards = (*onwards, memory)
            after += onwards
        features = said[0] if len(said) == 1 else np.concatenate(said, -1)
        logits = np.dot(features, self._head)
        logits += self._head_bias
        return logits, (*after, *read)

    def expand(self, state: State, rows: int) -> State:
        """The state of one row, for ``rows`` rows that go different ways from here."""
        return rows_of.expand(state, rows)

    def select(self, state: State, rows: Sequence[int]) -> State:
        """The state of some rows, in the order given."""
        return rows_of.select(state, rows)

    def join(self, states: Sequence[State]) -> State:
        """All rows of several states, one below the other."""
        return rows_of.join(states)
