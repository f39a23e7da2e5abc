"""A causal network in torch, one token at a time, for GPUs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from charlstm.nn.model import CharLM
from charlstm.nn.state import State
from charlstm.tokenizers import Tokenizer


class TorchBackend:
    """A causal network on a torch device; the same logits as `engine.network.Engine`.

    A window of one token runs the plain cells: `torch.nn.LSTM` reorders its weights in every call, which costs more
    than the step itself.

    Args:
        model: the network, on its device, in evaluation mode.
        tokenizer: the tokenizer it was trained with.

    Attributes:
        tokenizer: the tokenizer it was trained with.
        vocab_size: V.
    """

    def __init__(self, model: CharLM, tokenizer: Tokenizer) -> None:
        self._model, self.tokenizer = model, tokenizer
        self.vocab_size = model.architecture.vocab_size
        self._device = model.embedding.weight.device

    @torch.inference_mode()
    def step(self, tokens: NDArray[np.integer[Any]], state: State | None) -> tuple[NDArray[np.float32], State]:
        """Process one token of each text.

        Args:
            tokens: ids, (B,).
            state: the previous state; None is the state before any text.

        Returns:
            Logits of the next token, (B, V), as a NumPy array, and the next state.
        """
        ids = torch.from_numpy(np.asarray(tokens, np.int64)).to(self._device)
        logits, next_state = self._model(ids[:, None], state)
        return logits[:, 0].cpu().numpy(), next_state

    def freeze(self, state: State, frozen: bool = True) -> State:
        """Return the state with memories that store no more of what is read, or that store it again.

        Args:
            state: the state of any number of texts.
            frozen: whether they are to store nothing.
        """
        return state._replace(frozen=frozen)

    def expand(self, state: State, rows: int) -> State:
        """Repeat the state of one text.

        Args:
            state: the state of a single text, B = 1.
            rows: B of the result.

        Returns:
            The state of ``rows`` texts.
        """
        return state.map(lambda part: part.repeat_interleave(rows, 0))

    def select(self, state: State, rows: Sequence[int]) -> State:
        """Return the state of some of the texts.

        Args:
            state: the state of B texts.
            rows: row indices, in any order and with repetitions.

        Returns:
            The state with a row for each index.
        """
        return state.select(torch.as_tensor(rows, device=self._device))

    def join(self, states: Sequence[State]) -> State:
        """Concatenate the rows of several states."""
        return states[0].join(*states[1:])
