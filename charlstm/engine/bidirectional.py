"""A network that reads both ways, in NumPy: what stands where a token is hidden?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from charlstm.checkpoint.format import Checkpoint
from charlstm.engine.buffers import BufferCache
from charlstm.engine.layers import Array, LayerState
from charlstm.engine.protocol import as_token_ids
from charlstm.engine.stack import Stack
from charlstm.engine.state import map_layers
from charlstm.nn.architecture import Architecture
from charlstm.tokenizers import Tokenizer

_StackState = tuple[LayerState, ...]


class BidirectionalEngine:
    """A trained network that reads both ways; a left is the forward stack's state.

    Args:
        architecture: of the network.
        tensors: its weights, by name.
        tokenizer: the one it was trained with.
        reach: how many tokens a window of its training had: it looks no farther to either side.

    Attributes:
        tokenizer: as given.
        vocab_size: V, how many different tokens there are; this id is the mask.
    """

    def __init__(
        self, architecture: Architecture, tensors: Mapping[str, NDArray[Any]], tokenizer: Tokenizer, reach: int
    ) -> None:
        self.architecture, self.tokenizer = architecture, tokenizer
        self.vocab_size = architecture.vocab_size
        self._reach = reach
        self._buffers = BufferCache()
        weights = {name: np.asarray(tensor, np.float32) for name, tensor in tensors.items()}
        self._forwards, self._backwards = (Stack(prefix, weights, architecture) for prefix in architecture.stacks)
        self._merge = np.ascontiguousarray(weights["merge.weight"]).T
        self._merge_bias = weights["merge.bias"]
        self._head = np.ascontiguousarray(weights["head.weight"]).T
        self._head_bias = weights["head.bias"]
        self._read_backwards_once = lru_cache(maxsize=4)(self._read_backwards)

    @classmethod
    def from_checkpoint(cls, checkpoint: Checkpoint) -> BidirectionalEngine:
        """The network of a checkpoint that `checkpoint.format.read` has checked."""
        reach = checkpoint.run.data.seq_len
        return cls(checkpoint.architecture, checkpoint.tensors, checkpoint.load_tokenizer(), reach)

    def logits(self, ids: Sequence[int] | NDArray[np.integer[Any]]) -> Array:
        """What each token of a text is, seen from all others, (T, V).

        Args:
            ids: (T,), ``vocab_size`` where one is hidden.

        Raises:
            UsageError: ``ids`` is a text, or otherwise no list of ids.
        """
        ids = as_token_ids(ids)
        left = self._forwards.empty_state(1)
        layout = tuple(map(int, ids))
        found = np.empty((len(layout), self.vocab_size), np.float32)
        for place, token in enumerate(layout):
            found[place] = self.predict(left, layout, place)[0]
            left = self.advance(left, np.array([token]))
        return found

    # ---- step by step -----------------------------------------------------------------------------------------------

    def begin(self, left: Sequence[int]) -> _StackState:
        """Read what stands before the first blank, as far back as windows reach in training."""
        state = self._forwards.empty_state(1)
        for token in left[-self._reach :]:
            state = self.advance(state, np.array([token]))
        return state

    def layout(self, tokens: Sequence[int]) -> tuple[int, ...]:
        """All that stands from a blank on, negative where it is hidden; as far behind it as windows reach."""
        blank = next((place for place, token in enumerate(tokens) if token >= 0), len(tokens))
        return tuple(self.vocab_size if token < 0 else token for token in tokens[: blank + self._reach])

    def predict(self, left: _StackState, layout: tuple[int, ...], place: int) -> Array:
        """What may stand at a place of the layout, (B, V); left has read all before it."""
        past = self._forwards.features(left)
        future = np.broadcast_to(self._read_backwards_once(layout)[place], past.shape)
        merged = np.tanh(np.concatenate((past, future), -1) @ self._merge + self._merge_bias)
        logits: Array = merged @ self._head
        logits += self._head_bias
        return logits

    def advance(self, left: _StackState, ids: NDArray[np.integer[Any]]) -> _StackState:
        """Read one token a row, ids (B,)."""
        return self._step(self._forwards, ids, left)

    def select(self, left: _StackState, rows: Sequence[int]) -> _StackState:
        """Some rows, in the order given, any number of times."""
        index = np.asarray(rows)
        return map_layers(lambda part: part[index], left)

    def join(self, lefts: Sequence[_StackState]) -> _StackState:
        """All rows of several, one below the other."""
        return map_layers(lambda *parts: np.concatenate(parts), *lefts)

    def _read_backwards(self, layout: tuple[int, ...]) -> list[Array]:
        """The backward stack's features at each place of a layout: what it has read of all behind that place."""
        state = self._backwards.empty_state(1)
        found = [self._backwards.features(state)[0]]
        for token in reversed(layout[1:]):
            state = self._step(self._backwards, np.array([token]), state)
            found.append(self._backwards.features(state)[0])
        return found[::-1]

    def _step(self, stack: Stack, ids: NDArray[np.integer[Any]], state: _StackState) -> _StackState:
        # Both stacks have layers of the same shape, so one set of buffers serves them in turn.
        if len(ids) > 1:
            return stack.step(ids, state, self._buffers.get(ids.shape, stack.buffers))
        alone = map_layers(lambda part: part[0], state)
        return map_layers(lambda part: part[None], stack.step(ids[0], alone, self._buffers.get((), stack.buffers)))
