"""Recurrent layers one above the other, stepped with NumPy.

A stack works in buffers of its own, so one stack serves one thread at a time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from charlstm.engine.layers import LAYERS, Array
from charlstm.nn.shapes import CELLS, looks_up

State: TypeAlias = tuple[tuple[NDArray[Any], ...], ...]
"""The state of each layer, parts of (B, …), behind them the attention's memory if there is one, and last what was read,
if anything of it is looked up.

A value: it goes in by argument and comes out by return."""


class Stack:
    """The layers of one direction.

    Args:
        name: what the layers are named under, as in `shapes.stacks`.
        weights: all tensors of the network.
        model: the settings that give its shape, as plain values.
    """

    def __init__(self, name: str, weights: Mapping[str, Array], model: Mapping[str, Any]) -> None:
        self._skip: bool = model["skip"]
        cell = CELLS[model["cell"]]
        self._layers = []
        for k in range(model["num_layers"]):
            weight_ih, *others = [weights[f"{name}.{k}.{tensor}"] for tensor in cell.tensors]
            embedding = weights["embedding.weight"] if k == 0 or self._skip else None
            if embedding is not None and looks_up(model):  # W (e + u) = W e + W u: one folded, the other read
                weight_ih = np.concatenate((weight_ih, weight_ih[:, -embedding.shape[1] :]), 1)
            self._layers.append(LAYERS[model["cell"]](weight_ih, *others, embedding=embedding))
        self._parts, self._hidden = len(cell.states), model["hidden_size"]

    def zero_state(self, batch: int) -> State:
        """The state before any text, for ``batch`` rows."""
        zeros = np.zeros((batch, self._hidden), np.float32)
        return ((zeros,) * self._parts,) * len(self._layers)

    def step(self, tokens: Any, state: State, looked_up: Array | None = None) -> State:
        """Read a token a row, ids (B,), or one id if the parts of the state are those of one row `alone`.

        Args:
            tokens: the ids.
            state: the state before.
            looked_up: what is added to the tokens' embeddings, if the network looks anything up.
        """
        below, after = state[0][0] if looked_up is None else looked_up, []
        for layer, before in zip(self._layers, state, strict=False):  # other memories may stand behind
            after.append(layer.step(tokens, below, before))
            below = after[-1][0]
            if looked_up is not None and self._skip:
                below = np.concatenate((below, looked_up), -1)
        return tuple(after)

    def features(self, state: State) -> Array:
        """What the softmax reads, (B, features): the top layer's output, with ``skip`` that of all."""
        return np.concatenate([layer[0] for layer in state], -1) if self._skip else state[-1][0]


def alone(state: State) -> State:
    """The state of a single row as vectors: a second axis would cost a step an eighth of its time."""
    return tuple([tuple([part[0] for part in layer]) for layer in state])


def in_rows(state: State) -> State:
    """Undo `alone`."""
    return tuple([tuple([part[None] for part in layer]) for layer in state])


def expand(state: State, rows: int) -> State:
    """The state of one row, for ``rows`` rows that go different ways from here."""
    return tuple(tuple(np.repeat(part, rows, 0) for part in layer) for layer in state)


def select(state: State, rows: Sequence[int]) -> State:
    """The state of some rows, in the order given."""
    index = np.asarray(rows)
    return tuple(tuple(part[index] for part in layer) for layer in state)


def join(states: Sequence[State]) -> State:
    """All rows of several states, one below the other."""
    return tuple(tuple(map(np.concatenate, zip(*layers, strict=True))) for layers in zip(*states, strict=True))
