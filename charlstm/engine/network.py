"""A causal network in NumPy, one token at a time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from charlstm.checkpoint.format import Checkpoint
from charlstm.engine import state as states
from charlstm.engine.buffers import BufferCache, aligned
from charlstm.engine.layers import AttentionLayer
from charlstm.engine.products import PRODUCTS, Array, Precision
from charlstm.engine.protocol import AnyTokenIds, as_token_ids
from charlstm.engine.side_inputs import SideBuffers, SideInputTables
from charlstm.engine.stack import Stack
from charlstm.engine.state import StepState
from charlstm.nn.architecture import Architecture
from charlstm.nn.shapes import attention_shapes
from charlstm.tokenizers import Tokenizer


class Engine:
    """A causal network that processes one token of each text per step, for any number of texts.

    Threads may share it: weights are only read, and each thread has its own buffers.

    Args:
        architecture: the architecture of the network.
        tensors: its weights, by name.
        tokenizer: the tokenizer it was trained with.
        precision: of the products in its recurrent layers: see `products`.

    Attributes:
        architecture: the architecture of the network.
        tokenizer: the tokenizer it was trained with.
        precision: of the products in its recurrent layers.
        vocab_size: V.

    Raises:
        UsageError: the precision needs a package that is not installed.
    """

    def __init__(
        self,
        architecture: Architecture,
        tensors: Mapping[str, NDArray[Any]],
        tokenizer: Tokenizer,
        precision: Precision = "fp32",
    ) -> None:
        self.architecture, self.tokenizer, self.precision = architecture, tokenizer, precision
        self.vocab_size = architecture.vocab_size
        weights = {name: np.asarray(tensor, np.float32) for name, tensor in tensors.items()}
        product = PRODUCTS[precision]
        self._stacks = [Stack(prefix, weights, architecture, product) for prefix in architecture.stacks]
        self._attention: AttentionLayer | None = None
        if architecture.attention_window:
            parts = [weights[f"attention.{name}"] for name in attention_shapes(architecture.hidden_size)]
            self._attention = AttentionLayer(*parts, window=architecture.attention_window)
        self._side_inputs = SideInputTables(weights, architecture) if architecture.enabled else None
        self._head = aligned(weights["head.weight"] / len(self._stacks)).T  # mean over members
        self._head_bias = weights["head.bias"]
        self._buffers = BufferCache()

    @classmethod
    def from_checkpoint(cls, checkpoint: Checkpoint, *, precision: Precision = "fp32") -> Engine:
        """Create the engine of a checkpoint that `checkpoint.format.read` has checked.

        Args:
            checkpoint: a causal model.
            precision: of the products in its recurrent layers.

        Returns:
            The engine.

        Raises:
            UsageError: the precision needs a package that is not installed.
        """
        return cls(checkpoint.architecture, checkpoint.tensors, checkpoint.load_tokenizer(), precision)

    def empty_state(self, batch: int) -> StepState:
        """Return the state of B texts before any text."""
        layers = tuple(stack.empty_state(batch) for stack in self._stacks)
        attention = None if self._attention is None else self._attention.empty_memory(batch)
        read = () if self._side_inputs is None else self._side_inputs.empty(batch)
        state = StepState(layers, attention, *read)
        return states.select(state, [0]) if batch == 1 else state

    def step(self, tokens: AnyTokenIds, state: StepState | None) -> tuple[Array, StepState]:
        """Process one token of each text.

        Args:
            tokens: ids, (B,), an array or a list.
            state: the previous state; None is the state before any text.

        Returns:
            Logits of the next token, (B, V), and the next state.

        Raises:
            UsageError: ``tokens`` is a text, or otherwise not a list of ids.
        """
        if not isinstance(tokens, np.ndarray):
            tokens = as_token_ids(tokens)
        state = self.empty_state(len(tokens)) if state is None else state
        if len(tokens) > 1:
            return self._step(tokens, state, self._buffers.get(tokens.shape, self._new_buffers))
        logits, next_state = self._step(tokens[0], state, self._buffers.get((), self._new_buffers))
        return logits[None], next_state

    def _new_buffers(self, rows: tuple[int, ...]) -> tuple[list[list[Any]], SideBuffers | None]:
        """Allocate the buffers of each stack and of the side inputs."""
        stacks = [stack.buffers(rows) for stack in self._stacks]
        return stacks, None if self._side_inputs is None else self._side_inputs.buffers(rows)

    @np.errstate(over="ignore", invalid="ignore")  # weights out of range: who draws from the logits says so
    def _step(
        self, tokens: Any, state: StepState, buffers: tuple[list[list[Any]], SideBuffers | None]
    ) -> tuple[Array, StepState]:
        added: Array | None = None
        recent, side = state.recent, state.side
        if self._side_inputs is not None and buffers[1] is not None:
            added, recent, side = self._side_inputs.step(tokens, state, buffers[1])
        layers, outputs, attention = [], [], state.attention
        for stack, stack_state, stack_buffers in zip(self._stacks, state.layers, buffers[0], strict=True):
            next_state = stack.step(tokens, stack_state, stack_buffers, added)
            layers.append(next_state)
            if self._attention is not None and attention is not None:
                attended, attention = self._attention.step(next_state[-1][0], attention)
                next_state = (*next_state[:-1], (attended,))
            outputs.append(stack.features(next_state))
        features = outputs[0] if len(outputs) == 1 else np.concatenate(outputs, -1)
        logits = np.dot(features, self._head)
        logits += self._head_bias
        return logits, StepState(tuple(layers), attention, recent, side, state.frozen)

    def freeze(self, state: StepState, frozen: bool = True) -> StepState:
        """Return the state with memories that store no more of what is read, or that store it again.

        Args:
            state: the state of any number of texts.
            frozen: whether they are to store nothing.
        """
        return state._replace(frozen=frozen)

    def expand(self, state: StepState, rows: int) -> StepState:
        """Repeat the state of one text.

        Args:
            state: the state of a single text, B = 1.
            rows: B of the result.

        Returns:
            The state of ``rows`` texts.
        """
        return states.expand(state, rows)

    def select(self, state: StepState, rows: Sequence[int]) -> StepState:
        """Return the state of some of the texts.

        Args:
            state: the state of B texts.
            rows: row indices, in any order and with repetitions.

        Returns:
            The state with a row for each index.
        """
        return states.select(state, rows)

    def join(self, several: Sequence[StepState]) -> StepState:
        """Concatenate the rows of several states."""
        return states.join(several)
