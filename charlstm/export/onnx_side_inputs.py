"""The side inputs of a network as nodes of an ONNX graph: the arithmetic of `nn.side_inputs`, on `Integers`.

The match memory reads its slots one token after another, so it is a Scan over time::

    slots[place of h(t-1)] = value of x_t        unless the input ``frozen`` is true
    found_t = slots[place of h(t)]

Letters: B batch, T time, N the length of the history, K rows per token, R slots.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeAlias

import onnx
from onnx import TensorProto, helper

from charlstm.export.graph import TO_THE_END, Graph, Integers
from charlstm.nn.side_inputs.hashing import ngram_hashes
from charlstm.nn.side_inputs.match import MatchMemory
from charlstm.nn.side_inputs.ngram_embedding import NgramEmbedding

FROZEN, NEXT, TOKENS = "frozen", "next.", "tokens"
"""The input that says whether memories store nothing; what precedes a part of the next state; the token ids."""

Hashes: TypeAlias = Mapping[int, Integers]
"""By order, the hashes of the n-grams that end at the token before the window and at each of its own, (B, 1 + T)."""


class SideInputNodes(NamedTuple):
    """One side input in a graph."""

    rows: Callable[[Graph, Any, Hashes, int], str]
    """(graph, side input, hashes, V) → the rows of its table for each token, (B, T, K)."""
    memory: Callable[[Any], list[tuple[int, ...]]]
    """The shape of each part of its memory, 32-bit integers, without the batch axis."""


def recent_hashes(graph: Graph, length: int) -> Hashes:
    """Add the hashes of all n-grams, and the history after the window as an output.

    Args:
        graph: gets the nodes.
        length: N.

    Returns:
        The hashes of 2, …, N tokens.
    """
    numbers = graph.add("Concat", "recent", _numbers(graph).name, axis=1)  # (B, N + T)
    graph.cut(numbers, -length, TO_THE_END, axis=1, result=f"{NEXT}recent")

    def ending(back: int) -> Integers:
        """The numbers ``back`` places before those that hashes are for."""
        return Integers(graph, graph.cut(numbers, length - 1 - back, -back or TO_THE_END, axis=1))

    return dict(enumerate(ngram_hashes(map(ending, range(length))), start=2))


def _numbers(graph: Graph) -> Integers:
    return Integers(graph, TOKENS) + 1


def _ngram_rows(graph: Graph, side: NgramEmbedding, hashes: Hashes, vocab_size: int) -> str:
    orders = range(2, side.ngram_order + 1)
    return (_stacked(graph, [hashes[order] for order in orders], 1, TO_THE_END) % side.ngram_buckets).name


def _match_rows(graph: Graph, side: MatchMemory, hashes: Hashes, vocab_size: int) -> str:
    chosen = [hashes[order] for order in side.match_orders]
    previous, current = _stacked(graph, chosen, 0, -1), _stacked(graph, chosen, 1, TO_THE_END)
    numbers = Integers(graph, graph.insert_axis(_numbers(graph).name, 2))
    written = graph.add("Cast", side.slot(previous, numbers).name, to=TensorProto.INT32)
    places, slots = (hashed % side.match_slots for hashed in (previous, current)), f"side.{side.name}.0"
    names = [slots, *(place.name for place in places), written]
    found = f"side.{side.name}.found"
    node = helper.make_node(
        "Scan", names, [NEXT + slots, found], body=_store_and_find(), num_scan_inputs=3,
        scan_input_axes=[1, 1, 1], scan_output_axes=[1],
    )  # fmt: skip
    graph.nodes.append(node)
    slot = Integers(graph, graph.add("Cast", found, to=TensorProto.INT64))
    first_rows = Integers(graph, graph.constant([k * (vocab_size + 1) for k in range(len(chosen))]))
    rows: Integers = side.number(slot, current) + first_rows
    return rows.name


def _store_and_find() -> onnx.GraphProto:
    """One step of the match memory: its slots; where to store, where to look up, and what to store, each (B, K)."""
    body = Graph(prefix="step.")
    slots, store_at, find_at, value = (f"step.{name}" for name in ("slots", "store_at", "find_at", "value"))
    store_places, find_places = body.insert_axis(store_at, 2), body.insert_axis(find_at, 2)
    kept = body.add("GatherElements", slots, store_places, axis=2)
    stored = body.add("Where", FROZEN, kept, body.insert_axis(value, 2))
    after = body.add("ScatterElements", slots, store_places, stored, axis=2)
    found = body.drop_axis(body.add("GatherElements", after, find_places, axis=2), 2)
    types = {
        slots: TensorProto.INT32,
        store_at: TensorProto.INT64,
        find_at: TensorProto.INT64,
        value: TensorProto.INT32,
    }
    inputs = [helper.make_tensor_value_info(name, kind, None) for name, kind in types.items()]
    outputs = [helper.make_tensor_value_info(name, TensorProto.INT32, None) for name in (after, found)]
    return helper.make_graph(body.nodes, "store_and_find", inputs, outputs, body.arrays)


def _stacked(graph: Graph, hashes: list[Integers], begin: int, end: int) -> Integers:
    """The hashes of some tokens, side by side, (B, T, K)."""
    cuts = [graph.insert_axis(graph.cut(each.name, begin, end, axis=1), 2) for each in hashes]
    return Integers(graph, graph.add("Concat", *cuts, axis=2))


SIDE_INPUT_NODES = {
    "ngrams": SideInputNodes(_ngram_rows, lambda side: []),
    "match": SideInputNodes(_match_rows, lambda side: [(len(side.match_orders), side.match_slots)]),
}
"""For each of `nn.side_inputs.SIDE_INPUTS` its nodes."""
