"""Side inputs in NumPy, one step at a time: rows are chosen, and their embeddings added up.

For a single text they are chosen in Python integers: an operation on an array, however short, costs ten times as much
as one on those. For many texts with frozen memories they are chosen together.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from charlstm.engine.products import Array
from charlstm.engine.state import Memories, Recent, StepState
from charlstm.nn.architecture import Architecture
from charlstm.nn.shapes import side_input_tensor
from charlstm.nn.side_inputs.base import BatchHistory, SideInput, StepHistory


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

    def buffers(self, texts: tuple[int, ...]) -> SideBuffers:
        """Allocate space for the rows of one token of each text.

        Args:
            texts: ``(B,)``, or ``()`` for a single text without a batch axis.
        """
        rows = np.empty((self._rows, *texts, self._features), np.float32)
        counts = [side.rows_per_token for side, _ in self._tables]
        return SideBuffers(rows, np.split(rows, np.cumsum(counts)[:-1]))

    def empty(self, batch: int) -> tuple[Recent, tuple[Memories, ...]]:
        """Return the histories and memories of B texts before any text."""
        memories = {side.name: side.empty_step_memory() for side, _ in self._tables}
        return np.zeros((batch, self._length + 1), np.int64), (memories,) * batch

    def step(self, tokens: Any, state: StepState, buffers: SideBuffers) -> tuple[Array, Recent, tuple[Memories, ...]]:
        """Process one token of each text.

        Args:
            tokens: ids (B,), or one id.
            state: the previous state; only its histories and memories are used, and whether these are frozen.
            buffers: this thread's buffers.

        Returns:
            The sum to add to each token's embedding, (B, E) or (E,); the next histories and memories.
        """
        if isinstance(state.recent, StepHistory):
            (memories,) = state.side
            return self._step_one(int(tokens), state.recent, memories, state.frozen, buffers)
        assert state.recent is not None, "a network with side inputs has a history"
        numbers = np.concatenate((tokens[:, None] + 1, state.recent[:, :-1]), 1)
        history, stacked, side = BatchHistory(numbers), buffers.stacked(self._tables, state), state.side
        for (each, table), part in zip(self._tables, buffers.parts, strict=True):
            if stacked.get(each.name) is not None:
                rows = each.batch_rows(history, stacked[each.name], self._vocab_size)
            else:
                rows, side = self._text_by_text(each, history, side, state.frozen)
            table.take(rows, 0, part, "clip")
        return np.add.reduce(buffers.rows, 0), numbers, side

    def _step_one(
        self, token: int, before: StepHistory, memories: Memories, frozen: bool, buffers: SideBuffers
    ) -> tuple[Array, StepHistory, tuple[Memories]]:
        history, after = before.append(token), {}
        for (side, table), part in zip(self._tables, buffers.parts, strict=True):
            rows, after[side.name] = side.step_rows(history, memories[side.name], self._vocab_size, frozen=frozen)
            table.take(rows, 0, part, "clip")
        return np.dot(self._ones, buffers.rows), history, (after,)

    def _text_by_text(
        self, side: SideInput, history: BatchHistory, before: tuple[Memories, ...], frozen: bool
    ) -> tuple[NDArray[np.int64], tuple[Memories, ...]]:
        """Return the rows for one token of each text, (K, B), and all memories after it."""
        rows, after = [], []
        for text, memories in zip(history.texts, before, strict=True):
            chosen, memory = side.step_rows(text, memories[side.name], self._vocab_size, frozen=frozen)
            rows.append(chosen)
            after.append({**memories, side.name: memory})
        return np.array(rows).T, tuple(after)


class SideBuffers:
    """The scratch arrays of one thread for one batch size, and the frozen memories that it has read last.

    Args:
        rows: space for all rows of a token, (rows, B, E) or (rows, E).
        parts: of it, the rows of each side input.
    """

    def __init__(self, rows: Array, parts: Sequence[Array]) -> None:
        self.rows, self.parts = rows, parts
        self._read: tuple[Memories, ...] = ()
        self._stacked: dict[str, Any] = {}

    def stacked(self, tables: Sequence[tuple[SideInput, Array]], state: StepState) -> dict[str, Any]:
        """Return the memories of all texts together, by side input; nothing unless they are frozen.

        Args:
            tables: the side inputs with their tables.
            state: the state that has the memories.
        """
        if not state.frozen:
            return {}
        first, *others = state.side
        read = state.side if any(each is not first for each in others) else (first,)
        if len(read) != len(self._read) or any(each is not known for each, known in zip(read, self._read, strict=True)):
            self._stacked = {side.name: side.stack([each[side.name] for each in read]) for side, _ in tables}
            self._read = read
        return self._stacked
