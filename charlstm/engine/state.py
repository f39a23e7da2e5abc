"""The state of a network in the NumPy engine: `nn.state.State` in a layout that is fast to step.

The states of layers and attention are arrays, and so are the last tokens of several texts; those of a single text are
Python integers. Each text has its own memories of side inputs, immutable values that repeated rows share.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from charlstm.engine.layers import LayerState
from charlstm.engine.products import Array
from charlstm.nn.side_inputs.base import StepHistory

Recent: TypeAlias = StepHistory | NDArray[np.int64] | None
"""The last tokens: of a single text, or of B texts as `BatchHistory` has them, (B, N + 1); None without side inputs."""
Memories: TypeAlias = Mapping[str, Any]
"""The memory of each side input for one text, by name."""


class StepState(NamedTuple):
    """Everything a network carries from token to token, for B texts; immutable.

    The arrays of a single text have no batch axis: it would cost a step an eighth of its time.
    """

    layers: tuple[tuple[LayerState, ...], ...]
    """The states of each stack's layers, from the lowest to the top: arrays (B, H), or (H,) for a single text."""
    attention: LayerState | None = None
    """The memory of the attention, or None without attention."""
    recent: Recent = None
    """The last tokens."""
    side: tuple[Memories, ...] = ()
    """The memories of each text; empty without side inputs."""
    frozen: bool = False
    """Whether these memories store no more of what is read."""


def map_arrays(function: Callable[..., Array], state: StepState, *others: StepState) -> StepState:
    """Apply a function to each array of a state, together with the corresponding arrays of other states.

    Args:
        function: called with one array of each state.
        state: the first state; the result has its histories and side memories.
        others: states of the same structure.

    Returns:
        A state of the returned arrays.
    """
    stacks = zip(state.layers, *(other.layers for other in others), strict=True)
    layers = tuple([map_layers(function, *stack) for stack in stacks])
    attention = state.attention
    if attention is not None:
        attention = tuple(map(function, attention, *(other.attention or () for other in others)))
    return StepState(layers, attention, state.recent, state.side, state.frozen)


def map_layers(function: Callable[..., Array], *stacks: tuple[LayerState, ...]) -> tuple[LayerState, ...]:
    """Apply a function to the corresponding arrays of the layer states of one or more stacks.

    Args:
        function: called with one array of each stack.
        stacks: layer states of the same structure.

    Returns:
        Layer states of the returned arrays.
    """
    layers = zip(*stacks, strict=True)
    return tuple([tuple([function(*parts) for parts in zip(*layer, strict=True)]) for layer in layers])


def expand(state: StepState, rows: int) -> StepState:
    """Repeat the state of one text.

    Args:
        state: the state of a single text.
        rows: B of the result.

    Returns:
        The state of ``rows`` texts.
    """
    if rows == 1:
        return state
    repeated = map_arrays(lambda array: np.repeat(array[None], rows, 0), state)
    recent = None if state.recent is None else np.repeat(_as_array(state.recent), rows, 0)
    return repeated._replace(recent=recent, side=state.side * rows)


def select(state: StepState, rows: Sequence[int]) -> StepState:
    """Return the state of some of the texts.

    Args:
        state: the state of B texts.
        rows: row indices, in any order and with repetitions.

    Returns:
        The state with a row for each index.
    """
    if _is_single(state):
        return expand(state, len(rows))
    index = rows[0] if len(rows) == 1 else np.asarray(rows)
    chosen = map_arrays(lambda array: array[index], state)
    if state.recent is None:
        return chosen
    numbers = _as_array(state.recent)[index]
    recent = StepHistory.of(numbers.tolist()) if len(rows) == 1 else numbers
    return chosen._replace(recent=recent, side=tuple([state.side[row] for row in rows]))


def join(states: Sequence[StepState]) -> StepState:
    """Concatenate the rows of several states."""
    if len(states) == 1:
        return states[0]
    batches = [map_arrays(lambda array: array[None], state) if _is_single(state) else state for state in states]
    joined = map_arrays(lambda *arrays: np.concatenate(arrays), *batches)
    histories = [_as_array(state.recent) for state in states if state.recent is not None]
    recent = np.concatenate(histories) if histories else None
    return joined._replace(recent=recent, side=tuple([memories for state in states for memories in state.side]))


def _as_array(recent: StepHistory | NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the last tokens with a batch axis, (B, N + 1)."""
    return np.array([recent.numbers], np.int64) if isinstance(recent, StepHistory) else recent


def _is_single(state: StepState) -> bool:
    """Whether it is the state of a single text."""
    return state.layers[0][0][0].ndim == 1
