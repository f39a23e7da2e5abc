"""A bidirectional network in NumPy: predicts masked tokens from both sides."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from charlstm.checkpoint.format import Checkpoint
from charlstm.engine.buffers import BufferCache, aligned
from charlstm.engine.layers import LayerState
from charlstm.engine.products import Array, Float32Product
from charlstm.engine.protocol import as_token_ids
from charlstm.engine.stack import Stack
from charlstm.engine.state import map_layers
from charlstm.nn.architecture import Architecture
from charlstm.tokenizers import Tokenizer

_StackState = tuple[LayerState, ...]


class BidirectionalEngine:
    """A trained bidirectional network. In its methods `left` is the state of the forward stack.

    Args:
        architecture: the architecture of the network.
        tensors: its weights, by name.
        tokenizer: the tokenizer it was trained with.
        reach: the length of its training windows in tokens: it reads no farther than this to either side.

    Attributes:
        architecture: the architecture of the network.
        tokenizer: the tokenizer it was trained with.
        vocab_size: V; this id is the mask.
    """

    def __init__(
        self, architecture: Architecture, tensors: Mapping[str, NDArray[Any]], tokenizer: Tokenizer, reach: int
    ) -> None:
        self.architecture, self.tokenizer = architecture, tokenizer
        self.vocab_size = architecture.vocab_size
        self._reach = reach
        self._buffers = BufferCache()
        weights = {name: np.asarray(tensor, np.float32) for name, tensor in tensors.items()}
        self._forward_stack, self._backward_stack = (
            Stack(prefix, weights, architecture, Float32Product) for prefix in architecture.stacks
        )
        self._merge = aligned(weights["merge.weight"]).T
        self._merge_bias = weights["merge.bias"]
        self._head = aligned(weights["head.weight"]).T
        self._head_bias = weights["head.bias"]
        self._cached_future = lru_cache(maxsize=4)(self._future_features)

    @classmethod
    def from_checkpoint(cls, checkpoint: Checkpoint) -> BidirectionalEngine:
        """Create the engine of a checkpoint that `checkpoint.format.read` has checked."""
        reach = checkpoint.run.data.seq_len
        return cls(checkpoint.architecture, checkpoint.tensors, checkpoint.load_tokenizer(), reach)

    def logits(self, ids: Sequence[int] | NDArray[np.integer[Any]]) -> Array:
        """Predict each token of a text from all others.

        Args:
            ids: (T,), ``vocab_size`` where a token is masked.

        Returns:
            Logits, (T, V).

        Raises:
            UsageError: ``ids`` is a text, or otherwise not a list of ids.
        """
        ids = as_token_ids(ids)
        left = self._forward_stack.empty_state(1)
        layout = tuple(map(int, ids))
        logits = np.empty((len(layout), self.vocab_size), np.float32)
        for position, token in enumerate(layout):
            logits[position] = self.predict(left, layout, position)[0]
            left = self.advance(left, np.array([token]))
        return logits

    # ---- step by step -----------------------------------------------------------------------------------------------

    def begin(self, left: Sequence[int]) -> _StackState:
        """Return the forward state after the tokens before the first blank, at most one training window of them."""
        state = self._forward_stack.empty_state(1)
        for token in left[-self._reach :]:
            state = self.advance(state, np.array([token]))
        return state

    def layout(self, tokens: Sequence[int]) -> tuple[int, ...]:
        """Return the ids from a blank to the end of its reach.

        Args:
            tokens: the ids from the first token of the blank on, negative where a token is masked.

        Returns:
            The ids up to one training window after the blank, ``vocab_size`` where a token is masked.
        """
        blank = next((position for position, token in enumerate(tokens) if token >= 0), len(tokens))
        return tuple(self.vocab_size if token < 0 else token for token in tokens[: blank + self._reach])

    @np.errstate(over="ignore", invalid="ignore")  # weights out of range: who draws from the logits says so
    def predict(self, left: _StackState, layout: tuple[int, ...], position: int) -> Array:
        """Predict the token at a position of the layout.

        Args:
            left: the forward state of B candidates after everything before the position.
            layout: what `layout` returned.
            position: index into the layout.

        Returns:
            Logits, (B, V).
        """
        past = self._forward_stack.features(left)
        future = np.broadcast_to(self._cached_future(layout)[position], past.shape)
        merged = np.tanh(np.concatenate((past, future), -1) @ self._merge + self._merge_bias)
        logits: Array = merged @ self._head
        logits += self._head_bias
        return logits

    def advance(self, left: _StackState, ids: NDArray[np.integer[Any]]) -> _StackState:
        """Read one token per row.

        Args:
            left: the forward state, B rows.
            ids: (B,).

        Returns:
            The next forward state.
        """
        return self._step(self._forward_stack, ids, left)

    def select(self, left: _StackState, rows: Sequence[int]) -> _StackState:
        """Return rows of a forward state.

        Args:
            left: the forward state, B rows.
            rows: row indices, in any order and with repetitions.

        Returns:
            A forward state with a row for each index.
        """
        index = np.asarray(rows)
        return map_layers(lambda part: part[index], left)

    def join(self, lefts: Sequence[_StackState]) -> _StackState:
        """Concatenate the rows of several forward states."""
        return map_layers(lambda *parts: np.concatenate(parts), *lefts)

    def _future_features(self, layout: tuple[int, ...]) -> list[Array]:
        """Return, for each position of a layout, the backward stack's features of everything after it."""
        state = self._backward_stack.empty_state(1)
        features = [self._backward_stack.features(state)[0]]
        for token in reversed(layout[1:]):
            state = self._step(self._backward_stack, np.array([token]), state)
            features.append(self._backward_stack.features(state)[0])
        return features[::-1]

    @np.errstate(over="ignore", invalid="ignore")  # weights out of range: who draws from the logits says so
    def _step(self, stack: Stack, ids: NDArray[np.integer[Any]], state: _StackState) -> _StackState:
        # The layers of both stacks have the same shapes, so they share one set of buffers.
        if len(ids) > 1:
            return stack.step(ids, state, self._buffers.get(ids.shape, stack.buffers))
        single = map_layers(lambda part: part[0], state)
        return map_layers(lambda part: part[None], stack.step(ids[0], single, self._buffers.get((), stack.buffers)))
