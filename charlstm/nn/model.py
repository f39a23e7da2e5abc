"""The language model: embedding → stack of recurrent layers (→ attention) → softmax over the vocabulary.

Letters: B batch, T time, V vocabulary, H hidden features.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from charlstm.config import ModelConfig
from charlstm.nn.attention import Attention
from charlstm.nn.cells import LayerState
from charlstm.nn.recurrence import RecurrentLayer, keep_mask
from charlstm.shapes import input_sizes

State: TypeAlias = tuple[LayerState, ...]
"""The state of each layer, parts of (B, H) each, and behind them the attention's memory if there is one.

A value: it goes in by argument and comes out by return."""


class CharLM(nn.Module):
    """A stack of recurrent layers that predicts the next token.

    Between the layers lies *locked* dropout: one mask for a whole window (Gal & Ghahramani 2016). With ``skip`` every
    layer also reads the embedding, and the softmax reads every layer (Graves 2013).

    Args:
        config: the network's shape.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        hidden = config.hidden_size
        self.embedding = nn.Embedding(config.vocab_size, config.embedding_size)
        self._stack = [
            RecurrentLayer(config.cell, size, hidden, config.weight_drop) for size in input_sizes(config.model_dump())
        ]
        self.layers = nn.ModuleList(self._stack)
        self.attention = Attention(hidden, config.attention_window) if config.attention_window else None
        self.head = nn.Linear(hidden * (config.num_layers if config.skip else 1), config.vocab_size)

    def forward(
        self, inputs: Tensor, state: State | None = None, generator: torch.Generator | None = None
    ) -> tuple[Tensor, State]:
        """Predict what follows each token.

        Args:
            inputs: ids, (B, T).
            state: the state before the window; None is zeros.
            generator: of what is dropped in training; None is torch's own.

        Returns:
            logits (B, T, V) and the state after the window.
        """
        embedded = self._locked_dropout(self.embedding(inputs.t()), self.config.dropout / 2, generator)
        features, outputs, after = embedded, [], []
        for k, layer in enumerate(self._stack):
            if k and self.config.skip:
                features = torch.cat((features, embedded), -1)
            features, layer_state = layer(features, None if state is None else state[k], generator)
            after.append(layer_state)
            if layer is self._stack[-1] and self.attention is not None:
                memory = None if state is None else state[-1]
                attended, memory = self.attention(features.transpose(0, 1), memory)
                features = attended.transpose(0, 1)
                after.append(memory)
            features = self._locked_dropout(features, self.config.dropout, generator)
            outputs.append(features)
        logits = self.head(torch.cat(outputs, -1) if self.config.skip else features)
        return logits.transpose(0, 1), tuple(after)

    def _locked_dropout(self, features: Tensor, rate: float, generator: torch.Generator | None) -> Tensor:
        """Drop features of (T, B, H) with one mask (1, B, H) for the whole window."""
        if not self.training or rate == 0.0:
            return features
        return features * keep_mask(features, (1, *features.shape[1:]), rate, generator)

    def parameter_count(self) -> int:
        """How many numbers learn."""
        return sum(weight.numel() for weight in self.parameters() if weight.requires_grad)

    def to_tensors(self) -> dict[str, NDArray[Any]]:
        """The weights by the names a checkpoint has them under."""
        # A copy each: training goes on with the weights while a file is written.
        return {name: weight.float().cpu().numpy().copy() for name, weight in self.state_dict().items()}

    def load_tensors(self, tensors: dict[str, NDArray[Any]]) -> None:
        """Undo `to_tensors`; shapes must be those of `config`."""
        self.load_state_dict({name: torch.from_numpy(np.array(tensor, np.float32)) for name, tensor in tensors.items()})


def reset_rows(state: State, fresh: Tensor) -> State:
    """The state with the rows where ``fresh`` (B,) is true set to zero."""
    keep = ~fresh
    return tuple(tuple(part * keep.view(-1, *[1] * (part.dim() - 1)) for part in layer) for layer in state)


def detach(state: State) -> State:
    """The state cut off from the window that made it, so that gradients end there."""
    return tuple(tuple(part.detach() for part in layer) for layer in state)
