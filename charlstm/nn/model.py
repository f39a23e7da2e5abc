"""The language model: embedding → stack of recurrent layers → softmax over the vocabulary.

Letters: B batch, T time, V vocabulary, H hidden features.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from charlstm.config import ModelConfig
from charlstm.nn.cells import LayerState
from charlstm.nn.recurrence import LstmLayer, keep_mask

State: TypeAlias = tuple[LayerState, ...]
"""The state of each layer, ``(h, c)``, each (B, H). A value: it goes in by argument and comes out by return."""


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
        hidden, embedding = config.hidden_size, config.embedding_size
        self.embedding = nn.Embedding(config.vocab_size, embedding)
        above = hidden + (embedding if config.skip else 0)
        self._stack = [
            LstmLayer(embedding if k == 0 else above, hidden, config.weight_drop) for k in range(config.num_layers)
        ]
        self.layers = nn.ModuleList(self._stack)
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
            features = self._locked_dropout(features, self.config.dropout, generator)
            outputs.append(features)
            after.append(layer_state)
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
        named: dict[str, Tensor] = {
            "embedding.weight": self.embedding.weight,
            "head.weight": self.head.weight,
            "head.bias": self.head.bias,
        }
        for k, layer in enumerate(self._stack):
            for name, weight in zip(("weight_ih", "weight_hh", "bias"), layer.weights, strict=True):
                named[f"layers.{k}.{name}"] = weight
        # A copy each: training goes on with the weights while a file is written.
        return {name: weight.detach().float().cpu().numpy().copy() for name, weight in named.items()}

    def load_tensors(self, tensors: dict[str, NDArray[Any]]) -> None:
        """Undo `to_tensors`; shapes must be those of `config`."""
        state: dict[str, Tensor] = dict(self.state_dict())
        for name, tensor in tensors.items():
            state[_module_name(name)] = torch.from_numpy(np.array(tensor, np.float32))
        self.load_state_dict(state)


def _module_name(name: str) -> str:
    """The name in `state_dict` of a checkpoint's tensor."""
    module, _, weight = name.rpartition(".")
    if not module.startswith("layers."):
        return name
    return f"{module}.rnn.{'bias_ih' if weight == 'bias' else weight}_l0"


def reset_rows(state: State, fresh: Tensor) -> State:
    """The state with the rows where ``fresh`` (B,) is true set to zero."""
    keep = (~fresh).unsqueeze(1)
    return tuple((h * keep, c * keep) for h, c in state)


def detach(state: State) -> State:
    """The state cut off from the window that made it, so that gradients end there."""
    return tuple((h.detach(), c.detach()) for h, c in state)
