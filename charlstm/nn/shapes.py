"""The tensors of a network and their shapes, by its architecture: the one place that counts weights.

The gates of a layer are stacked along the first axis of ``weight_ih``, ``weight_hh`` and ``bias``::

    cell        gates       other tensors
    rnn         h
    lstm        i f g o
    gru         r z n       bias_n (H,): in the recurrent term of n
    peephole    i f g o     peephole (3 * H,): of i, f and o

Layer 0 reads the embedding plus the embeddings of the side inputs; the other layers read the layer below, with
``skip_connections`` concatenated with the embedding. With an ``attention_window``, attention is applied to the output
of the top layer. The head reads the top layer, with ``skip_connections`` all layers from the lowest to the top.

An ``ensemble`` of K has K stacks, which read the same embeddings and are otherwise independent; the head reads all of
them and averages their logits. So it is K networks that share embeddings.

A ``bidirectional`` network has a second stack, ``backwards``, which reads from the end. The features of the forward
stack before a token and those of the backward stack after it are merged into a few, which the head reads. The embedding
has V + 1 rows: the last one is the mask.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from charlstm.nn.architecture import Architecture

Shape = tuple[int, ...]

_MAX_FEATURES = 128
"""The largest size of the attention's queries and of the merged directions: more would cost as much as a layer."""


@dataclass(frozen=True)
class CellLayout:
    """The gates, states and tensors of a recurrent cell."""

    gates: int
    """Blocks of H rows in its matrices."""
    states: tuple[str, ...]
    """The parts of its state, each (B, H); the first is its output."""
    vectors: Mapping[str, int] = field(default_factory=dict)
    """Its tensors besides ``weight_ih``, ``weight_hh`` and ``bias``: vectors, with their length in multiples of H."""

    @property
    def tensors(self) -> tuple[str, ...]:
        """The names of a layer's tensors, in the order of the cell's parameters."""
        return ("weight_ih", "weight_hh", "bias", *self.vectors)

    def shapes(self, input_size: int, hidden_size: int) -> dict[str, Shape]:
        """Return each tensor of a layer with its shape.

        Args:
            input_size: D.
            hidden_size: H.

        Returns:
            Shapes by name, in the order of `tensors`.
        """
        rows = self.gates * hidden_size
        common: dict[str, Shape] = {"weight_ih": (rows, input_size), "weight_hh": (rows, hidden_size), "bias": (rows,)}
        return common | {name: (count * hidden_size,) for name, count in self.vectors.items()}


CELLS = {
    "rnn": CellLayout(1, ("h",)),
    "lstm": CellLayout(4, ("h", "c")),
    "gru": CellLayout(3, ("h",), {"bias_n": 1}),
    "peephole": CellLayout(4, ("h", "c"), {"peephole": 3}),
}


def side_input_tensor(name: str) -> str:
    """Return the name of a side input's table in a checkpoint."""
    return f"side_inputs.{name}.weight"


def attention_shapes(hidden_size: int) -> dict[str, Shape]:
    """Return each tensor of the attention with its shape."""
    size = min(hidden_size, _MAX_FEATURES)
    projection = (size, hidden_size)
    return {"query": projection, "key": projection, "value": projection, "out": (hidden_size, size)}


def tensor_shapes(architecture: Architecture) -> Iterator[tuple[str, Shape]]:
    """Yield every tensor of a network with its shape."""
    vocab, hidden = architecture.vocab_size, architecture.hidden_size
    cell = CELLS[architecture.cell]
    yield "embedding.weight", (vocab + architecture.bidirectional, architecture.embedding_size)
    for name, side in architecture.enabled.items():
        yield side_input_tensor(name), (side.table_rows(vocab), architecture.embedding_size)
    for stack in architecture.stacks:
        for layer, size in enumerate(architecture.input_sizes):
            for name, shape in cell.shapes(size, hidden).items():
                yield f"{stack}.{layer}.{name}", shape
    if architecture.attention_window:
        for name, shape in attention_shapes(hidden).items():
            yield f"attention.{name}", shape
    layers = architecture.num_layers if architecture.skip_connections else 1
    features = hidden * layers * len(architecture.stacks)
    if architecture.bidirectional:
        merged = min(hidden, _MAX_FEATURES)
        yield "merge.weight", (merged, features)
        yield "merge.bias", (merged,)
        features = merged
    yield "head.weight", (vocab, features)
    yield "head.bias", (vocab,)


def parameter_count(architecture: Architecture) -> int:
    """Return the number of trainable parameters of a network."""
    return sum(math.prod(shape) for _, shape in tensor_shapes(architecture))


def matmul_weight_count(architecture: Architecture) -> int:
    """Return the number of weights that take part in matrix products for each token: all but the embeddings."""
    looked_up = {"embedding.weight", *map(side_input_tensor, architecture.side_inputs)}
    return sum(math.prod(shape) for name, shape in tensor_shapes(architecture) if name not in looked_up)
