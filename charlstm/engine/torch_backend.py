"""Stepping a network with torch, for GPUs: the model itself, one token at a time."""

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

    A window of one token runs the readable cells: `torch.nn.LSTM` lays out its weights anew in every call, and that
    costs more than the step itself.

    Args:
        model: the network, on its device, in evaluation mode.
        tokenizer: the one it was trained with.

    Attributes:
        tokenizer: as given.
        vocab_size: V, how many different tokens there are.
    """

    def __init__(self, model: CharLM, tokenizer: Tokenizer) -> None:
        self._model, self.tokenizer = model, tokenizer
        self.vocab_size = model.architecture.vocab_size
        self._device = model.embedding.weight.device

    @torch.inference_mode()
    def step(self, tokens: NDArray[np.integer[Any]], state: State | None) -> tuple[NDArray[np.float32], State]:
        """Read one token of each text.

        Args:
            tokens: ids, (B,).
            state: the state before, or None for the state before any text.

        Returns:
            Logits of the next token, (B, V), as a NumPy array, and the state after.
        """
        ids = torch.from_numpy(np.asarray(tokens, np.int64)).to(self._device)
        logits, after = self._model(ids[:, None], state)
        return logits[:, 0].cpu().numpy(), after

    def expand(self, state: State, rows: int) -> State:
        """The state of one text, for ``rows`` texts that continue it in different ways."""
        return state.map(lambda part: part.repeat_interleave(rows, 0))

    def select(self, state: State, rows: Sequence[int]) -> State:
        """Some texts, in the order given, any number of times."""
        return state.select(torch.as_tensor(rows, device=self._device))

    def join(self, states: Sequence[State]) -> State:
        """All texts of several states, one below the other."""
        return states[0].join(*states[1:])
