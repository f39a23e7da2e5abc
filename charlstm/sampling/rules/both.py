"""Automata over a network's tokens, without what leads to no end; and two of them as one.

Two rules that are automata are one automaton, whose states are pairs of theirs (Rabin & Scott 1959). So what they leave
together is known exactly, before anything is drawn, and no way to an end has to be searched. States: S, the vocabulary:
V.
"""

from __future__ import annotations

from collections import deque
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from charlstm.sampling.guides import NEVER

_MOST_ENTRIES = 5_000_000
"""States times tokens of a pair, which then takes about a second."""
_AT_ONCE = 1 << 20


class Table(Protocol):
    """An automaton over tokens, which begins in state 0."""

    next: NDArray[np.integer[Any]]
    """(S, V), the state after each token; -1 where it is not allowed."""
    distance: NDArray[np.int64]
    """(S + 1,), the fewest tokens until the text may end; 0 where it may, `NEVER` in the last one."""


class Both:
    """Two automata as one.

    Args:
        one: an automaton.
        other: another one, over the same tokens.

    Raises:
        OverflowError: it has too many states.

    Attributes:
        next: as in `Table`; its first state allows nothing if no text keeps to both.
        distance: as in `Table`.
    """

    def __init__(self, one: Table, other: Table) -> None:
        width = len(other.distance)
        following, pairs = _reached(one, other, width)
        final = (one.distance[pairs // width] == 0) & (other.distance[pairs % width] == 0)
        self.next, self.distance = pruned(following, final)


def _reached(one: Table, other: Table, width: int) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """The pairs of states that tokens lead to: the number of each one after each token, (S, V), and the pairs, (S,)."""
    numbers, pairs, rows = {0: 0}, [0], list[NDArray[np.int32]]()
    vocab_size = one.next.shape[1]
    while len(rows) < len(pairs):
        if len(pairs) * vocab_size > _MOST_ENTRIES:
            raise OverflowError
        waiting = np.array(pairs[len(rows) : len(rows) + max(1, _AT_ONCE // vocab_size)])
        ones, others = one.next[waiting // width].astype(np.int64), other.next[waiting % width]
        after = np.where((ones >= 0) & (others >= 0), ones * width + others, -1)
        found, places = np.unique(after, return_inverse=True)
        for pair in found.tolist():
            if pair >= 0 and pair not in numbers:
                numbers[pair] = len(pairs)
                pairs.append(pair)
        states = np.array([numbers.get(pair, -1) for pair in found.tolist()], np.int32)
        rows += list(states[places].reshape(after.shape))
    return np.array(rows), np.array(pairs)


def pruned(following: NDArray[np.integer[Any]], final: NDArray[np.bool_]) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """Remove what leads to no end.

    Args:
        following: (S, V), the state after each token; -1 for none.
        final: (S,), in which the text may end.

    Returns:
        The states after each token, and their distances, as in `Table`.
    """
    distance = np.append(_distances(following, final), NEVER)  # the state -1 is the last one
    return np.where(distance[following] < NEVER, following, np.int32(-1)), distance


def _distances(following: NDArray[np.integer[Any]], final: NDArray[np.bool_]) -> NDArray[np.int64]:
    """The fewest tokens from each state to one in which the text may end, (S,)."""
    before: list[list[int]] = [[] for _ in final]
    for state, row in enumerate(following):
        for target in np.unique(row[row >= 0]).tolist():
            before[target].append(state)
    distance = np.where(final, 0, NEVER)
    waiting = deque(np.flatnonzero(final).tolist())
    while waiting:
        state = waiting.popleft()
        for previous in before[state]:
            if distance[previous] == NEVER:
                distance[previous] = distance[state] + 1
                waiting.append(previous)
    return distance
