"""Recurrent layers one above the other, stepped with NumPy."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from charlstm.engine.layers import LAYERS, Array, LayerState
from charlstm.nn.architecture import Architecture
from charlstm.nn.shapes import CELLS


class Stack:
    """The layers of one direction, or of one member of an ensemble.

    Args:
        prefix: of its tensors, one of `Architecture.stacks`.
        weights: all tensors of the network.
        architecture: of the network.
    """

    def __init__(self, prefix: str, weights: Mapping[str, Array], architecture: Architecture) -> None:
        self._skip = architecture.skip_connections
        cell = CELLS[architecture.cell]
        self._layers = []
        for k in range(architecture.num_layers):
            weight_ih, *others = [weights[f"{prefix}.{k}.{tensor}"] for tensor in cell.tensors]
            embedding = weights["embedding.weight"] if k == 0 or self._skip else None
            if embedding is not None and architecture.enabled:  # W (e + u) = W e + W u: one is folded, the other read
                weight_ih = np.concatenate((weight_ih, weight_ih[:, -embedding.shape[1] :]), 1)
            self._layers.append(LAYERS[architecture.cell](weight_ih, *others, embedding=embedding))
        self._parts, self._hidden = len(cell.states), architecture.hidden_size

    def buffers(self, rows: tuple[int, ...]) -> list[Any]:
        """Arrays to compute in, for each layer: see `layers.Layer`."""
        return [layer.buffers(rows) for layer in self._layers]

    def empty_state(self, batch: int) -> tuple[LayerState, ...]:
        """The state before any text, for ``batch`` texts."""
        zeros = np.zeros((batch, self._hidden), np.float32)
        return ((zeros,) * self._parts,) * len(self._layers)

    def step(
        self, tokens: Any, state: tuple[LayerState, ...], buffers: list[Any], added: Array | None = None
    ) -> tuple[LayerState, ...]:
        """Read one token of each text.

        Args:
            tokens: ids (B,), or one id if the parts of the state are those of one text alone.
            state: of each layer before.
            buffers: of this thread, for as many texts.
            added: what the side inputs add to the tokens' embeddings, (B, E) or (E,), if there are any.
        """
        below, after = state[0][0] if added is None else added, []
        for layer, before, room in zip(self._layers, state, buffers, strict=True):
            after.append(layer.step(tokens, below, before, room))
            below = after[-1][0]
            if added is not None and self._skip:
                below = np.concatenate((below, added), -1)
        return tuple(after)

    def features(self, state: tuple[LayerState, ...]) -> Array:
        """What the softmax reads, (B, features): the top layer's h, with skip connections that of all layers."""
        return np.concatenate([layer[0] for layer in state], -1) if self._skip else state[-1][0]
