"""Side inputs stepped with NumPy: rows chosen by plain numbers, their embeddings added up."""

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
        weights: all tensors of the network.
        architecture: of the network.
    """

    def __init__(self, weights: Mapping[str, Array], architecture: Architecture) -> None:
        self._vocab_size, self._features = architecture.vocab_size, architecture.embedding_size
        self._length = architecture.history
        self._tables = [(side, weights[side_input_tensor(name)]) for name, side in architecture.enabled.items()]
        self._rows = sum(side.rows_per_token for side, _ in self._tables)
        self._ones = np.ones(self._rows, np.float32)

    def buffers(self) -> list[Array]:
        """Room for the rows that one text's step reads: all of them, and views of each side input's."""
        room = np.empty((self._rows, self._features), np.float32)
        counts = [side.rows_per_token for side, _ in self._tables]
        return [room, *np.split(room, np.cumsum(counts)[:-1])]

    def empty(self, batch: int) -> tuple[tuple[StepHistory, ...], tuple[dict[str, Any], ...]]:
        """The histories and memories of ``batch`` texts before any text."""
        memories = {side.name: side.empty_step_memory() for side, _ in self._tables}
        return (StepHistory.empty(self._length),) * batch, (memories,) * batch

    def step(
        self, tokens: Any, state: StepState, buffers: list[Array]
    ) -> tuple[Array, tuple[StepHistory, ...], tuple[dict[str, Any], ...]]:
        """Read one token of each text.

        Args:
            tokens: ids (B,), or one id.
            state: before; only its histories and memories are used.
            buffers: of this thread.

        Returns:
            What is added to the tokens' embeddings, (B, E) or (E,); the histories and the memories after.
        """
        if len(state.recent) == 1 and np.ndim(tokens) == 0:
            added, history, memories = self._step_one(int(tokens), state.recent[0], state.side[0], buffers)
            return added, (history,), (memories,)
        steps = [
            self._step_one(token, history, memories, buffers)
            for token, history, memories in zip(tokens.tolist(), state.recent, state.side, strict=True)
        ]
        added, histories, after = zip(*steps, strict=True)
        return np.stack(added), histories, after

    def _step_one(
        self, token: int, history: StepHistory, memories: Mapping[str, Any], buffers: list[Array]
    ) -> tuple[Array, StepHistory, dict[str, Any]]:
        history, after = history.append(token), {}
        room, *parts = buffers
        for (side, table), part in zip(self._tables, parts, strict=True):
            rows, after[side.name] = side.step_rows(history, memories[side.name], self._vocab_size)
            table.take(rows, 0, part, "clip")
        return np.dot(self._ones, room), history, after
