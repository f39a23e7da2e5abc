"""A network that reads both ways, in NumPy: what stands where a token is hidden?"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from charlstm.checkpoint.format import Checkpoint
from charlstm.engine import stack
from charlstm.engine.layers import Array
from charlstm.engine.stack import Stack, State, alone, in_rows
from charlstm.tokenizers import from_state


class BidirectionalEngine:
    """A trained network that reads both ways; a left is the forward stack's state.

    Attributes:
        config: the run's settings as plain values.
        tokenizer: the run's tokenizer.
        vocab_size: tokens it knows, V; this id is the mask, which stands for a hidden token.
    """

    def __init__(self, tensors: dict[str, NDArray[Any]], config: dict[str, Any], tokenizer: dict[str, Any]) -> None:
        self.config = config
        self.tokenizer = from_state(tokenizer)
        self.vocab_size = self.tokenizer.vocab_size
        self._reach: int = config["data"]["seq_len"]
        weights = {name: np.asarray(tensor, np.float32) for name, tensor in tensors.items()}
        self._forwards = Stack("layers", weights, config["model"])
        self._backwards = Stack("backwards", weights, config["model"])
        self._merge = np.ascontiguousarray(weights["merge.weight"]).T
        self._merge_bias = weights["merge.bias"]
        self._head = np.ascontiguousarray(weights["head.weight"]).T
        self._head_bias = weights["head.bias"]
        self._read_backwards_once = lru_cache(maxsize=4)(self._read_backwards)

    @classmethod
    def from_checkpoint(cls, checkpoint: Checkpoint) -> BidirectionalEngine:
        """The network of a checkpoint that `checkpoint.format.read` has verified."""
        return cls(checkpoint.tensors, checkpoint.config, checkpoint.tokenizer)

    def logits(self, ids: Sequence[int] | NDArray[np.integer[Any]]) -> Array:
        """What each token of a text is, seen from all others, (T, V).

        Args:
            ids: (T,), ``vocab_size`` where one is hidden.
        """
        left = self._forwards.zero_state(1)
        layout = tuple(map(int, ids))
        found = np.empty((len(layout), self.vocab_size), np.float32)
        for place, token in enumerate(layout):
            found[place] = self.predict(left, layout, place)[0]
            left = self.advance(left, np.array([token]))
        return found

    # ---- step by step -----------------------------------------------------------------------------------------------

    def begin(self, left: Sequence[int]) -> State:
        """Read what stands before the first blank, as far back as windows reach in training."""
        state = self._forwards.zero_state(1)
        for token in left[-self._reach :]:
            state = self.advance(state, np.array([token]))
        return state

    def layout(self, tokens: Sequence[int]) -> tuple[int, ...]:
        """All that stands from a blank on, negative where it is hidden; as far behind it as windows reach."""
        blank = next((place for place, token in enumerate(tokens) if token >= 0), len(tokens))
        return tuple(self.vocab_size if token < 0 else token for token in tokens[: blank + self._reach])

    def predict(self, left: State, layout: tuple[int, ...], place: int) -> Array:
        """What may stand at a place of the layout, (B, V); left has read all before it."""
        past = self._forwards.features(left)
        future = np.broadcast_to(self._read_backwards_once(layout)[place], past.shape)
        merged = np.tanh(np.concatenate((past, future), -1) @ self._merge + self._merge_bias)
        logits: Array = merged @ self._head
        logits += self._head_bias
        return logits

    def advance(self, left: State, ids: NDArray[np.integer[Any]]) -> State:
        """Read one token a row, ids (B,)."""
        return _step(self._forwards, ids, left)

    def select(self, left: State, rows: Sequence[int]) -> State:
        """Some rows, in the order given, any number of times."""
        return stack.select(left, rows)

    def join(self, lefts: Sequence[State]) -> State:
        """All rows of several, one below the other."""
        return stack.join(lefts)

    def _read_backwards(self, layout: tuple[int, ...]) -> list[Array]:
        """The backward stack's features at each place of a layout: what it has read of all behind that place."""
        state = self._backwards.zero_state(1)
        found = [self._backwards.features(state)[0]]
        for token in reversed(layout[1:]):
            state = _step(self._backwards, np.array([token]), state)
            found.append(self._backwards.features(state)[0])
        return found[::-1]


def _step(layers: Stack, ids: NDArray[np.integer[Any]], state: State) -> State:
    return layers.step(ids, state) if len(ids) > 1 else in_rows(layers.step(ids[0], alone(state)))
