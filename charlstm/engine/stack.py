"""A stack of recurrent layers in NumPy, one step at a time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from charlstm.engine.layers import LAYERS, LayerState, NewProduct
from charlstm.engine.products import Array
from charlstm.nn.architecture import Architecture
from charlstm.nn.shapes import CELLS


class Stack:
    """The layers of one direction, or of one member of an ensemble.

    Args:
        prefix: the prefix of its tensors, one of `Architecture.stacks`.
        weights: all tensors of the network, by name.
        architecture: the architecture of the network.
        product: makes the product of a matrix.
    """

    def __init__(
        self, prefix: str, weights: Mapping[str, Array], architecture: Architecture, product: NewProduct
    ) -> None:
        self._skip = architecture.skip_connections
        cell = CELLS[architecture.cell]
        self._layers = []
        for k in range(architecture.num_layers):
            weight_ih, *others = [weights[f"{prefix}.{k}.{tensor}"] for tensor in cell.tensors]
            embedding = weights["embedding.weight"] if k == 0 or self._skip else None
            if embedding is not None and architecture.enabled:  # W (e + u) = W e + W u: W e is precomputed
                weight_ih = np.concatenate((weight_ih, weight_ih[:, -embedding.shape[1] :]), 1)
            layer = LAYERS[architecture.cell](weight_ih, *others, embedding=embedding, product=product)
            self._layers.append(layer)
        self._parts, self._hidden = len(cell.states), architecture.hidden_size

    def buffers(self, rows: tuple[int, ...]) -> list[Any]:
        """Allocate the buffers of each layer: see `layers.Layer`."""
        return [layer.buffers(rows) for layer in self._layers]

    def empty_state(self, batch: int) -> tuple[LayerState, ...]:
        """Return the state of B texts before any text."""
        zeros = np.zeros((batch, self._hidden), np.float32)
        return ((zeros,) * self._parts,) * len(self._layers)

    def step(
        self, tokens: Any, state: tuple[LayerState, ...], buffers: list[Any], added: Array | None = None
    ) -> tuple[LayerState, ...]:
        """Process one token of each text.

        Args:
            tokens: ids (B,), or one id if the state has no batch axis.
            state: the previous state of each layer.
            buffers: this thread's buffers for this batch size.
            added: the sum of the side inputs to add to each token's embedding, (B, E) or (E,); None without any.

        Returns:
            The next state of each layer.
        """
        below, next_state = state[0][0] if added is None else added, []
        for layer, layer_state, layer_buffers in zip(self._layers, state, buffers, strict=True):
            next_state.append(layer.step(tokens, below, layer_state, layer_buffers))
            below = next_state[-1][0]
            if added is not None and self._skip:
                below = np.concatenate((below, added), -1)
        return tuple(next_state)

    def features(self, state: tuple[LayerState, ...]) -> Array:
        """Return the input of the head, (B, features): h of the top layer, with skip connections h of all layers."""
        return np.concatenate([layer[0] for layer in state], -1) if self._skip else state[-1][0]
