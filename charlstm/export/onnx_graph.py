"""A network as an ONNX graph of standard operators, built by hand from `Architecture` and the weights.

::

    tokens (batch, time) ── embedding + side inputs ── (time, batch, E)
    layers: RNN, LSTM or GRU, one node each ── attention ── head ── logits (batch, time, V)
    every part of the state: an input, and an output under the same name with ``next.`` before it

Weights keep the names that they have in a checkpoint, parts of the state those of `nn.state.State.named_parts`. Every
operator of a cell is that of `nn.cells` with its gates in another order::

    cell        operator    gates here    gates in ONNX
    rnn         RNN         h             h
    lstm        LSTM        i f g o       i o f g (there c)
    gru         GRU         r z n         z r n (there h), with linear_before_reset
    peephole    LSTM        i f g o       i o f g, peepholes i o f

With ``is_int8`` an LSTM is one DynamicQuantizeLSTM of ONNX Runtime, which multiplies 8-bit integers in half the time;
all else is stored as integers and computed in float32.

Letters: B batch, T time, E features of an embedding, H hidden size, F features that the head reads, A features of the
attention's keys, W its window.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper

from charlstm.export.graph import TO_THE_END, Graph
from charlstm.export.onnx_side_inputs import FROZEN, NEXT, SIDE_INPUT_NODES, TOKENS, recent_hashes
from charlstm.nn.architecture import Architecture
from charlstm.nn.shapes import CELLS, attention_shapes, side_input_tensor

OPSET = 18
"""The version of the standard operators: the first with `BitwiseXor`, which the hashes of side inputs need."""
IR_VERSION = 8
"""The version of the file format that belongs to it."""

LOGITS = "logits"


class StatePart(NamedTuple):
    """A part of the state."""

    name: str
    type: int
    """One of `onnx.TensorProto`'s."""
    shape: tuple[int, ...]
    """Without the batch axis, which is the first."""


class _Operator(NamedTuple):
    """The operator of a cell."""

    name: str
    order: tuple[int, ...]
    """For each of its gates the number of ours."""


_OPERATORS = {
    "rnn": _Operator("RNN", (0,)),
    "lstm": _Operator("LSTM", (0, 3, 1, 2)),
    "gru": _Operator("GRU", (1, 0, 2)),
    "peephole": _Operator("LSTM", (0, 3, 1, 2)),
}
_PEEPHOLES = (0, 2, 1)  # of i f o, in the order i o f


def state_parts(architecture: Architecture) -> list[StatePart]:
    """The parts of a network's state, each an input of its graph and an output.

    Args:
        architecture: of the network.
    """
    hidden, number = architecture.hidden_size, TensorProto.FLOAT
    parts = [
        StatePart(f"layers.{s}.{k}.{part}", number, (hidden,))
        for s in range(len(architecture.stacks))
        for k in range(architecture.num_layers)
        for part in CELLS[architecture.cell].states
    ]
    window = architecture.attention_window
    if window:
        size = attention_shapes(hidden)["key"][0]
        parts += [StatePart(f"attention.{k}", number, (window, size)) for k in (0, 1)]
        parts.append(StatePart("attention.2", TensorProto.BOOL, (window,)))
    if architecture.history:
        parts.append(StatePart("recent", TensorProto.INT64, (architecture.history,)))
    for name, side in architecture.enabled.items():
        shapes = SIDE_INPUT_NODES[name].memory(side)
        parts += [StatePart(f"side.{name}.{k}", TensorProto.INT32, shape) for k, shape in enumerate(shapes)]
    return parts


def has_memory(architecture: Architecture) -> bool:
    """Whether a side input of the network stores what it reads, unless the input ``frozen`` is true.

    Args:
        architecture: of the network.
    """
    return any(SIDE_INPUT_NODES[name].memory(side) for name, side in architecture.enabled.items())


def build(architecture: Architecture, tensors: Mapping[str, NDArray[Any]], *, is_int8: bool = False) -> onnx.GraphProto:
    """Build the graph of a network.

    Args:
        architecture: of the network.
        tensors: its weights, by name.
        is_int8: whether matrices are 8-bit integers.

    Returns:
        The graph.
    """
    return _Network(architecture, tensors, is_int8).build()


class _Network:
    def __init__(self, architecture: Architecture, tensors: Mapping[str, NDArray[Any]], is_int8: bool) -> None:
        self._architecture = architecture
        self._weights = {name: np.asarray(tensor, np.float32) for name, tensor in tensors.items()}
        self._graph = Graph(is_int8)

    def build(self) -> onnx.GraphProto:
        architecture, graph = self._architecture, self._graph
        embedded = graph.add("Transpose", self._embed(), perm=[1, 0, 2])  # (T, B, E)
        if architecture.bidirectional:
            features = self._both_sides(embedded)
        else:
            features = self._mean_of_members([self._run_stack(s, embedded) for s in range(len(architecture.stacks))])
        logits = self._linear(features, "head")
        graph.add("Transpose", logits, perm=[1, 0, 2], result=LOGITS)
        parts = state_parts(architecture)
        inputs = [helper.make_tensor_value_info(TOKENS, TensorProto.INT64, ["batch", "time"])]
        inputs += [helper.make_tensor_value_info(part.name, part.type, ["batch", *part.shape]) for part in parts]
        if has_memory(architecture):
            inputs.append(helper.make_tensor_value_info(FROZEN, TensorProto.BOOL, []))
        shape: list[str | int | None] = ["batch", "time", architecture.vocab_size]
        outputs = [helper.make_tensor_value_info(LOGITS, TensorProto.FLOAT, shape)]
        outputs += [
            helper.make_tensor_value_info(NEXT + each.name, each.type, ["batch", *each.shape]) for each in parts
        ]
        return helper.make_graph(graph.nodes, "charlstm", inputs, outputs, graph.arrays)

    def _embed(self) -> str:
        """The embedding of each token plus those of the side inputs, (B, T, E)."""
        graph, architecture = self._graph, self._architecture
        embedded = graph.look_up("embedding.weight", self._weights["embedding.weight"], TOKENS)
        hashes = recent_hashes(graph, architecture.history) if architecture.enabled else {}
        for name, side in architecture.enabled.items():
            tensor = side_input_tensor(name)
            rows = SIDE_INPUT_NODES[name].rows(graph, side, hashes, architecture.vocab_size)
            looked_up = graph.look_up(tensor, self._weights[tensor], rows)  # (B, T, K, E)
            summed = graph.add("ReduceSum", looked_up, graph.constant([2]), keepdims=0)
            embedded = graph.add("Add", embedded, summed)
        return embedded

    def _run_stack(self, s: int, embedded: str, direction: str = "forward") -> str:
        """The features of a stack, (T, B, F): h of its top layer, with skip connections h of all layers."""
        graph, architecture = self._graph, self._architecture
        below, outputs = embedded, []
        for k in range(architecture.num_layers):
            if k and architecture.skip_connections:
                below = graph.add("Concat", below, embedded, axis=-1)
            below = self._layer(s, k, below, direction)
            outputs.append(below)
        if architecture.attention_window:
            outputs[-1] = self._attend(outputs[-1])
        return graph.add("Concat", *outputs, axis=-1) if architecture.skip_connections else outputs[-1]

    def _layer(self, s: int, k: int, inputs: str, direction: str) -> str:
        """The outputs of a layer, (T, B, H); its next state becomes an output of the graph."""
        graph, cell = self._graph, self._architecture.cell
        states = [f"layers.{s}.{k}.{part}" for part in CELLS[cell].states]
        initial = [graph.insert_axis(state, 0) for state in states]
        operator = _OPERATORS[cell].name
        attributes: dict[str, Any] = {"hidden_size": self._architecture.hidden_size, "direction": direction}
        if operator == "GRU":
            attributes["linear_before_reset"] = 1
        if operator == "LSTM" and graph.is_int8:
            operator, attributes["domain"] = "DynamicQuantizeLSTM", "com.microsoft"
        weights = self._layer_weights(f"{self._architecture.stacks[s]}.{k}", operator, initial)
        outputs, *after = graph.add_recurrent(operator, [inputs, *weights], **attributes)
        for state, part in zip(states, after, strict=True):
            graph.drop_axis(part, 0, result=NEXT + state)
        return graph.drop_axis(outputs, 1)  # the axis of directions

    def _layer_weights(self, layer: str, operator: str, initial: list[str]) -> list[str]:
        """The inputs of a recurrent operator after the first: W, R, B, no lengths, the initial state, peepholes."""
        graph, weights = self._graph, self._weights
        order = _OPERATORS[self._architecture.cell].order
        ih, hh = (_in_order(weights[f"{layer}.{name}"], order) for name in ("weight_ih", "weight_hh"))
        bias = _in_order(weights[f"{layer}.bias"], order)
        recurrent_bias = np.zeros_like(bias)
        if operator == "GRU":
            recurrent_bias[-self._architecture.hidden_size :] = weights[f"{layer}.bias_n"]
        both = graph.store(f"{layer}.bias", np.concatenate((bias, recurrent_bias))[None])
        peepholes = weights.get(f"{layer}.peephole")
        peephole = ""
        if peepholes is not None:
            peephole = graph.store(f"{layer}.peephole", _in_order(peepholes, _PEEPHOLES)[None])
        if operator != "DynamicQuantizeLSTM":
            matrices = [graph.matrix(f"{layer}.{name}", each, leading=True) for name, each in _named(ih, hh)]
            return [*matrices, both, "", *initial, *([peephole] if peephole else [])]
        (ih_name, *ih_scale), (hh_name, *hh_scale) = (
            graph.unsigned(f"{layer}.{name}", each) for name, each in _named(ih, hh)
        )
        return [ih_name, hh_name, both, "", *initial, peephole, *ih_scale, *hh_scale]

    def _attend(self, hidden: str) -> str:
        """`nn.attention.attend`: each h plus a weighted mean of the last W values, (T, B, H)."""
        graph, window = self._graph, self._architecture.attention_window
        query, key, value, out = (self._weights[f"attention.{name}"] for name in ("query", "key", "value", "out"))
        hidden = graph.add("Transpose", hidden, perm=[1, 0, 2])  # (B, T, H)
        queries = graph.linear(hidden, "attention.query", query)
        queries = graph.add("Div", queries, graph.constant(math.sqrt(len(query)), np.float32))
        new = (graph.linear(hidden, "attention.key", key), graph.linear(hidden, "attention.value", value))
        filled = graph.add("Expand", graph.constant([[True]], np.bool_), graph.add("Shape", TOKENS))
        keys, values, filled = (
            graph.add("Concat", f"attention.{k}", each, axis=1) for k, each in enumerate((*new, filled))
        )  # (B, W + T, A) twice, (B, W + T)
        visible = graph.add("And", self._in_window(), graph.insert_axis(filled, 1))
        scores = graph.add("MatMul", queries, graph.add("Transpose", keys, perm=[0, 2, 1]))  # (B, T, W + T)
        seen = graph.add("Where", visible, scores, graph.constant(-np.inf, np.float32))
        attended = graph.add("MatMul", graph.add("Softmax", seen, axis=-1), values)
        for k, memory in enumerate((keys, values, filled)):
            graph.cut(memory, -window, TO_THE_END, axis=1, result=f"{NEXT}attention.{k}")
        summed = graph.add("Add", hidden, graph.linear(attended, "attention.out", out))
        return graph.add("Transpose", summed, perm=[1, 0, 2])

    def _in_window(self) -> str:
        """Which of the W + T places each step sees, (T, W + T): step t, at place W + t, sees the W up to its own."""
        graph, window = self._graph, self._architecture.attention_window
        zero, one, width = (graph.constant(number) for number in (0, 1, window))
        time = graph.drop_axis(graph.add("Shape", TOKENS, start=1, end=2), 0)
        steps = graph.insert_axis(graph.add("Range", zero, time, one), 1)
        places = graph.add("Range", zero, graph.add("Add", time, width), one)
        age = graph.add("Sub", graph.add("Add", steps, width), places)
        return graph.add("And", graph.add("GreaterOrEqual", age, zero), graph.add("Less", age, width))

    def _mean_of_members(self, features: list[str]) -> str:
        """What the head reads: the features of a network, or of all members of an ensemble divided by their number."""
        if len(features) == 1:
            return features[0]
        together = self._graph.add("Concat", *features, axis=-1)
        return self._graph.add("Div", together, self._graph.constant(len(features), np.float32))

    def _both_sides(self, embedded: str) -> str:
        """What the head of a bidirectional network reads: the merged features of both stacks, (T, B, F).

        A token gets those of the tokens before it and of those after it, at either end those of the initial state.
        """
        graph = self._graph
        past, future = self._run_stack(0, embedded), self._run_stack(1, embedded, "reverse")
        before = graph.add("Concat", self._initial_features(0), graph.cut(past, 0, -1, axis=0), axis=0)
        after = graph.add("Concat", graph.cut(future, 1, TO_THE_END, axis=0), self._initial_features(1), axis=0)
        sides = graph.add("Concat", before, after, axis=-1)
        return graph.add("Tanh", self._linear(sides, "merge"))

    def _initial_features(self, s: int) -> str:
        """The features of a stack before it has read anything, (1, B, F)."""
        layers = range(self._architecture.num_layers)
        hidden = [f"layers.{s}.{k}.h" for k in layers]
        together = self._graph.add("Concat", *hidden, axis=-1) if self._architecture.skip_connections else hidden[-1]
        return self._graph.insert_axis(together, 0)

    def _linear(self, x: str, name: str) -> str:
        """W x + b with a named weight and bias."""
        product = self._graph.linear(x, f"{name}.weight", self._weights[f"{name}.weight"])
        return self._graph.add("Add", product, self._graph.store(f"{name}.bias", self._weights[f"{name}.bias"]))


def _named(ih: NDArray[Any], hh: NDArray[Any]) -> tuple[tuple[str, NDArray[Any]], ...]:
    return ("weight_ih", ih), ("weight_hh", hh)


def _in_order(array: NDArray[Any], order: tuple[int, ...]) -> NDArray[Any]:
    """Put the gates of an array into another order."""
    blocks = np.split(array, len(order))
    return np.concatenate([blocks[gate] for gate in order])
