"""The state of a network in the NumPy engine: `nn.state.State`, laid out for stepping.

What is large, and the same for all texts, are arrays with a row for each text. Side inputs remember whole numbers, and
an operation on an array, however short, costs ten times as much as one on those: so each text has its own history and
memories, plain values that rows share when they are repeated.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from charlstm.engine.layers import Array, LayerState
from charlstm.nn.side_inputs.base import StepHistory


class StepState(NamedTuple):
    """All that a network carries from token to token, B texts side by side: a value, never changed."""

    layers: tuple[tuple[LayerState, ...], ...]
    """Of each stack, from the lowest layer to the top: arrays (B, H), or (H,) for one text alone."""
    attention: LayerState | None = None
    """What attention looks back on, or None."""
    recent: tuple[StepHistory, ...] = ()
    """Of each text the last tokens, if there are side inputs."""
    side: tuple[Mapping[str, Any], ...] = ()
    """Of each text the memory of each side input, by its name."""


def map_arrays(change: Callable[..., Array], state: StepState, *others: StepState) -> StepState:
    """A state whose arrays are ``change(array, *those of the others)``; the texts' own values are the first state's."""
    stacks = zip(state.layers, *(other.layers for other in others), strict=True)
    layers = tuple([map_layers(change, *stack) for stack in stacks])
    attention = state.attention
    if attention is not None:
        attention = tuple(map(change, attention, *(other.attention or () for other in others)))
    return StepState(layers, attention, state.recent, state.side)


def map_layers(change: Callable[..., Array], *stacks: tuple[LayerState, ...]) -> tuple[LayerState, ...]:
    """The layers of a stack whose arrays are ``change(array of the first, array of the second, …)``."""
    layers = zip(*stacks, strict=True)
    return tuple([tuple([change(*parts) for parts in zip(*layer, strict=True)]) for layer in layers])


def unbatch(state: StepState) -> StepState:
    """The state of a single text as vectors: a second axis would cost a step an eighth of its time."""
    return _index(state, 0)


def batch(state: StepState) -> StepState:
    """Undo `unbatch`."""
    return _index(state, None)


def _index(state: StepState, index: Any) -> StepState:
    """A state of ``array[index]``: `map_arrays` written out, since every step of a single text does it twice."""
    layers = tuple([tuple([tuple([part[index] for part in layer]) for layer in stack]) for stack in state.layers])
    attention = state.attention
    if attention is not None:
        attention = tuple([part[index] for part in attention])
    return StepState(layers, attention, state.recent, state.side)


def expand(state: StepState, rows: int) -> StepState:
    """The state of one text, for ``rows`` texts that continue it in different ways."""
    wide = map_arrays(lambda array: np.repeat(array, rows, 0), state)
    return wide._replace(recent=state.recent * rows, side=state.side * rows)


def select(state: StepState, rows: Sequence[int]) -> StepState:
    """Some texts, in the order given, any number of times.

    Args:
        state: of B texts.
        rows: their numbers, from 0.
    """
    chosen = _index(state, np.asarray(rows))
    if not state.recent:
        return chosen
    return chosen._replace(
        recent=tuple([state.recent[row] for row in rows]), side=tuple([state.side[row] for row in rows])
    )


def join(states: Sequence[StepState]) -> StepState:
    """All texts of several states, one below the other."""
    joined = map_arrays(lambda *arrays: np.concatenate(arrays), *states)
    recent = tuple([history for state in states for history in state.recent])
    return joined._replace(recent=recent, side=tuple([memory for state in states for memory in state.side]))
