"""The fan of futures: every likely way in which a text can go on, as a tree whose branches share their beginnings.

It is the tree of Dasher (Ward, Blackwell & MacKay 2000), in which a box is as high as what it stands for is likely, and
of the block multiverse of Loom. All nodes of a depth are stepped side by side, so it takes few steps, though wide ones.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from charlstm.engine.protocol import Logits, Stepper
from charlstm.engine.softmax import Nats, log_softmax
from charlstm.sampling.position import Position, check_finite, freeze
from charlstm.schemas import require, require_number, require_whole

MOST = 2000
"""Nodes of a fan, at most, unless another number is given."""
_ROWS = 64
"""Nodes that are stepped side by side, at most: their logits, (rows, vocabulary), are held in memory at once."""


class FanNode(NamedTuple):
    """A token after the text, or after another node."""

    parent: int
    """The place in the list of the node before it; -1 is the end of the text."""
    token: int
    """Its id."""
    probability: float
    """Of its whole path from the end of the text, under the network itself: temperature 1, before any filter."""


def fan(
    stepper: Stepper,
    position: Position,
    *,
    depth: int = 24,
    least: float = 0.002,
    most: int = MOST,
    banned: Sequence[int] = (),
) -> list[FanNode]:
    """Return the likeliest ways in which a text can go on: no other path of at most ``depth`` tokens is likelier.

    Args:
        stepper: the network.
        position: after the text, of one row.
        depth: tokens of a path, at most.
        least: the probability below which a path is left out.
        most: nodes, at most: the likeliest.
        banned: ids that are never drawn, such as the unknown symbol; the others are not made likelier for it.

    Returns:
        The nodes by depth, those of one parent together and by their ids: so every parent stands before its children.

    Raises:
        UsageError: a number is out of range.
        CheckpointError: a logit is not finite.
    """
    _check(depth, least, most)
    floor = math.log(least)
    state = freeze(stepper, position).state
    levels = [_after(position.logits, np.zeros(1), banned, floor)]
    while True:
        floor = _raised(floor, levels, most)
        levels[-1] = levels[-1].take(levels[-1].nats >= floor)
        if len(levels) == depth or not len(levels[-1].ids):
            return _nodes(levels, most)
        state, level = _step(stepper, state, levels[-1], banned, floor)
        levels.append(level)


class _Level(NamedTuple):
    """The nodes of one depth, those of one parent together and by their ids."""

    parents: NDArray[np.intp]
    """Their places in the level above."""
    ids: NDArray[np.intp]
    nats: Nats
    """The log-probability of each whole path."""

    def take(self, which: Any) -> _Level:
        """Some of them: a slice, or whether each is taken."""
        return _Level(self.parents[which], self.ids[which], self.nats[which])


def _after(logits: Logits, before: Nats, banned: Sequence[int], floor: float) -> _Level:
    """The likely tokens after some nodes.

    Args:
        logits: (B, V), after each node.
        before: the log-probability of each node, (B,).
        banned: ids that are left out.
        floor: the log-probability of a path, at least.
    """
    nats = before[:, None] + log_softmax(logits)
    nats[:, list(banned)] = -np.inf
    parents, ids = np.nonzero(nats >= floor)
    return _Level(parents, ids, nats[parents, ids])


def _step(stepper: Stepper, state: Any, level: _Level, banned: Sequence[int], floor: float) -> tuple[Any, _Level]:
    """Feed the network every node of a level.

    Args:
        stepper: the network.
        state: of the level above, a row for each node.
        level: at least one node.
        banned: ids that are left out.
        floor: the log-probability of a path, at least.

    Returns:
        The state of this level, and the level below.
    """
    states, below = [], []
    for begin in range(0, len(level.ids), _ROWS):
        some = level.take(slice(begin, begin + _ROWS))
        logits, after = stepper.step(some.ids, stepper.select(state, some.parents.tolist()))
        wide = logits.astype(np.float64)
        check_finite(wide)
        children = _after(wide, some.nats, banned, floor)
        states.append(after)
        below.append(children._replace(parents=children.parents + begin))
    return stepper.join(states), _Level(*map(np.concatenate, zip(*below, strict=True)))


def _raised(floor: float, levels: Sequence[_Level], most: int) -> float:
    """The floor below which no node can be among the likeliest, as far as the levels tell.

    No node is likelier than the one above it, so those below need not be looked for.

    Args:
        floor: as it was.
        levels: from the uppermost.
        most: how many are wanted.
    """
    nats = np.concatenate([level.nats for level in levels])
    return floor if len(nats) <= most else max(floor, float(np.partition(nats, -most)[-most]))


def _nodes(levels: Sequence[_Level], most: int) -> list[FanNode]:
    """The likeliest nodes of all levels, as a list."""
    starts = np.cumsum([0, *(len(level.ids) for level in levels)])
    parents = [level.parents + start for level, start in zip(levels[1:], starts, strict=False)]
    nats = np.concatenate([level.nats for level in levels])
    kept = np.zeros(len(nats), bool)
    kept[np.argsort(-nats, kind="stable")[:most]] = True  # among equals the one above first: so its parent is kept, too
    places = np.cumsum(kept) - 1
    above = np.concatenate([np.full(len(levels[0].ids), -1), *(places[part] for part in parents)])
    ids = np.concatenate([level.ids for level in levels])
    return [
        FanNode(*node)
        for node in zip(above[kept].tolist(), ids[kept].tolist(), np.exp(nats[kept]).tolist(), strict=True)
    ]


def _check(depth: int, least: float, most: int) -> None:
    for name, value in (("depth", depth), ("most", most)):
        require_whole(name, value)
        require(name, value, value >= 1, "1 or more")
    require_number("least", least)
    require("least", least, 0 < least <= 1, "above 0 and at most 1")
