"""From the tree of a regular expression to a deterministic automaton over bytes.

The tree becomes a graph with empty edges (Thompson 1968), and the sets of its nodes in which a text can be become the
states of the automaton (Rabin & Scott 1959). Characters are read as their bytes in UTF-8, whatever the network's tokens
are: characters, bytes or pieces of words are all runs of bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from charlstm.errors import UsageError
from charlstm.sampling.rules.syntax import Characters, Choice, Ranges, Repeat, Sequence, Tree
from charlstm.sampling.rules.utf8 import ByteRanges, byte_ranges

_MOST_NODES, _MOST_STATES = 200_000, 20_000
_MOST_TOGETHER = 1_000_000
"""Nodes of all states together, since each is looked at: some seconds."""

Codes = Callable[[Ranges], Ranges]
"""Restricts code points to those that there are."""


class ByteAutomaton(NamedTuple):
    """A deterministic automaton over bytes; it begins in state 0."""

    next: NDArray[np.int32]
    """(S, 256): the state after each byte; S, which is none, if no text of the language begins like that."""
    final: NDArray[np.bool_]
    """(S,): whether the text may end."""


def determine(tree: Tree, known: Codes, name: str) -> ByteAutomaton:
    """Make the automaton of an expression.

    Args:
        tree: the expression.
        known: restricts its characters to those that can be written.
        name: of the setting that it comes from, for messages.

    Returns:
        The automaton.

    Raises:
        UsageError: it has too many states.
    """
    graph = _Graph(known)
    end = graph.node()
    try:
        return _subsets(graph, graph.add(tree, end), end)
    except OverflowError as fault:
        what = f"`{name}` needs {str(fault) or f'more than {_MOST_STATES:,} states'}"
        raise UsageError(what, hint="Let it repeat less, or less often.") from None


class _Graph:
    """A nondeterministic automaton: each node has empty edges, or one edge of a range of bytes."""

    def __init__(self, known: Codes) -> None:
        self.empty: list[list[int]] = []
        self.edge: list[tuple[int, int, int] | None] = []
        """The first and the last byte, and the node that they lead to."""
        self._known = known

    def node(self, empty: Iterable[int] = (), edge: tuple[int, int, int] | None = None) -> int:
        """Add a node."""
        if len(self.edge) == _MOST_NODES:
            raise OverflowError
        self.empty.append(list(empty))
        self.edge.append(edge)
        return len(self.edge) - 1

    def add(self, tree: Tree, end: int) -> int:
        """Add an expression before a node, and return the node that it begins with."""
        match tree:
            case Characters():
                return self._characters(tree, end)
            case Sequence():
                for part in reversed(tree.parts):
                    end = self.add(part, end)
                return end
            case Choice():
                return self.node([self.add(way, end) for way in tree.ways])
            case Repeat():
                return self._repeat(tree, end)

    def _repeat(self, tree: Repeat, end: int) -> int:
        if tree.most is None:
            start = self.node([end])
            self.empty[start].append(self.add(tree.part, start))
        else:
            start = end
            for _ in range(tree.most - tree.least):  # each may be the last: (x(x(x)?)?)?
                start = self.node([end, self.add(tree.part, start)])
        for _ in range(tree.least):
            start = self.add(tree.part, start)
        return start

    def _characters(self, tree: Characters, end: int) -> int:
        shared: dict[ByteRanges, int] = {(): end}  # the same last bytes are the same nodes

        def before(ranges: ByteRanges) -> int:
            if ranges not in shared:
                shared[ranges] = self.node(edge=(*ranges[0], before(ranges[1:])))
            return shared[ranges]

        return self.node([before(each) for pair in self._known(tree.ranges) for each in byte_ranges(*pair)])


def _subsets(graph: _Graph, begin: int, end: int) -> ByteAutomaton:
    """Make the automaton deterministic."""
    edges = [edge for edge in graph.edge if edge]
    # Bytes that no edge tells apart are one symbol.
    borders = sorted({0, *(first for first, _, _ in edges), *(last + 1 for _, last, _ in edges)} - {256})
    symbol = {border: number for number, border in enumerate(borders)}
    symbol[256] = len(borders)
    start = _closure(graph, (begin,))
    states, waiting, rows, nodes = {start: 0}, [start], [], len(start)
    closures: dict[frozenset[int], int] = {}  # the state of each set of nodes, before empty edges are followed
    for state in waiting:
        row = []
        for targets in _targets(graph, state, symbol):
            if targets and targets not in closures:
                following = _closure(graph, targets)
                if following not in states:
                    if len(states) == _MOST_STATES:
                        raise OverflowError
                    nodes += len(following)
                    if nodes > _MOST_TOGETHER:
                        raise OverflowError("states that are too large")
                    states[following] = len(states)
                    waiting.append(following)
                closures[targets] = states[following]
            row.append(closures[targets] if targets else -1)
        rows.append(row)
    widths = np.diff([*borders, 256])
    table: NDArray[Any] = np.array(rows, np.int32).reshape(len(rows), len(borders)).repeat(widths, axis=1)
    return ByteAutomaton(np.where(table < 0, len(rows), table), np.array([end in state for state in states]))


def _targets(graph: _Graph, state: frozenset[int], symbol: dict[int, int]) -> list[frozenset[int]]:
    """The nodes that each symbol leads to from a set of nodes."""
    targets: list[set[int]] = [set() for _ in range(symbol[256])]
    for node in state:
        edge = graph.edge[node]
        if edge:
            for number in range(symbol[edge[0]], symbol[edge[1] + 1]):
                targets[number].add(edge[2])
    return [frozenset(nodes) for nodes in targets]


def _closure(graph: _Graph, nodes: Iterable[int]) -> frozenset[int]:
    """The nodes that empty edges lead to, as far as they have an edge or are the end."""
    waiting, seen = list(nodes), set(nodes)
    while waiting:
        for node in graph.empty[waiting.pop()]:
            if node not in seen:
                seen.add(node)
                waiting.append(node)
    return frozenset(node for node in seen if graph.edge[node] or not graph.empty[node])
