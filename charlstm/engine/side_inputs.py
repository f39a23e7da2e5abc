"""Side inputs in NumPy, one step at a time: rows are chosen in Python integers, and their embeddings added up."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from charlstm.engine.layers import Array
from charlstm.engine.state import StepState
from charlstm.nn.architecture import Architecture
from charlstm.nn.shapes import side_input_tensor
from charlstm.nn.side_inputs.base import StepHistory


class SideInputTables:
    """The tables of a network's side inputs.

    Args:
        weights: all tensors of the network, by name.
        architecture: the architecture of the network.
    """

    def __init__(self, weights: Mapping[str, Array], architecture: Architecture) -> None:
        self._vocab_size, self._features = architecture.vocab_size, architecture.embedding_size
        self._length = architecture.history
        self._tables = [(side, weights[side_input_tensor(name)]) for name, side in architecture.enabled.items()]
        self._rows = sum(side.rows_per_token for side, _ in self._tables)
        self._ones = np.ones(self._rows, np.float32)

    def buffers(self) -> list[Array]:
        """Allocate space for the rows of one token: an array of all of them, and a view for each side input."""
        rows = np.empty((self._rows, self._features), np.float32)
        counts = [side.rows_per_token for side, _ in self._tables]
        return [rows, *np.split(rows, np.cumsum(counts)[:-1])]

    def empty(self, batch: int) -> tuple[tuple[StepHistory, ...], tuple[dict[str, Any], ...]]:
        """Return the histories and memories of B texts before any text."""
        memories = {side.name: side.empty_step_memory() for side, _ in self._tables}
        return (StepHistory.empty(self._length),) * batch, (memories,) * batch

    def step(
        self, tokens: Any, state: StepState, buffers: list[Array]
    ) -> tuple[Array, tuple[StepHistory, ...], tuple[dict[str, Any], ...]]:
        """Process one token of each text.

        Args:
            tokens: ids (B,), or one id.
            state: the previous state; only its histories and memories are used, and whether these are frozen.
            buffers: this thread's buffers.

        Returns:
            The sum to add to each token's embedding, (B, E) or (E,); the next histories and memories.
        """
        if len(state.recent) == 1 and np.ndim(tokens) == 0:
            added, history, memories = self._step_one(int(tokens), state, 0, buffers)
            return added, (history,), (memories,)
        steps = [self._step_one(token, state, row, buffers) for row, token in enumerate(tokens.tolist())]
        sums, histories, next_memories = zip(*steps, strict=True)
        return np.stack(sums), histories, next_memories

    def _step_one(
        self, token: int, state: StepState, row: int, buffers: list[Array]
    ) -> tuple[Array, StepHistory, dict[str, Any]]:
        history, memories, next_memories = state.recent[row].append(token), state.side[row], {}
        all_rows, *parts = buffers
        for (side, table), part in zip(self._tables, parts, strict=True):
            rows, next_memories[side.name] = side.step_rows(
                history, memories[side.name], self._vocab_size, frozen=state.frozen
            )
            table.take(rows, 0, part, "clip")
        return np.dot(self._ones, all_rows), history, next_memories
