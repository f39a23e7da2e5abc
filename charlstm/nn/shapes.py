"""Which tensors a network has, by its architecture: the one place that counts weights.

Of each layer K, gates lying one below the other in ``weight_ih``, ``weight_hh`` and ``bias``::

    cell        gates       further tensors
    rnn         h
    lstm        i f g o
    gru         r z n       bias_n (hidden,): on the recurrent side of n
    peephole    i f g o     peephole (3 * hidden,): of i, f and o

Layer 0 reads the embedding, to which the side inputs' are added; the others read the layer below, and with
``skip_connections`` the embedding behind it. With an ``attention_window`` the top layer's output is what attention
makes of it. The head reads the top layer, and with ``skip_connections`` all layers from the lowest to the top.

An ``ensemble`` of K has K stacks, which read the same embeddings and nothing of each other; the head reads all of them
and averages their logits. So it is K networks side by side that share embeddings.

A ``bidirectional`` network has a second stack, ``backwards``, which reads from the end. What the one has read before a
token and the other after it are merged into a few features, and the head reads those. Its embedding has one row more
than there are tokens: the mask.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from charlstm.nn.architecture import Architecture

Shape = tuple[int, ...]

_AT_MOST = 128
"""Features attention attends with, and two directions are merged into: more would cost as much as a layer."""


@dataclass(frozen=True)
class CellLayout:
    """What a recurrent cell is made of."""

    gates: int
    """Blocks of ``hidden`` rows in its matrices."""
    states: tuple[str, ...]
    """What it carries from step to step, each (batch, hidden); the first is its output."""
    further: Mapping[str, int] = field(default_factory=dict)
    """Its tensors besides ``weight_ih``, ``weight_hh`` and ``bias``: vectors, in multiples of ``hidden``."""

    @property
    def tensors(self) -> tuple[str, ...]:
        """The names of a layer's tensors, in the order its functions take them."""
        return ("weight_ih", "weight_hh", "bias", *self.further)

    def shapes(self, input_size: int, hidden_size: int) -> dict[str, Shape]:
        """Each tensor of a layer and its shape.

        Args:
            input_size: features the layer reads.
            hidden_size: its units.
        """
        rows = self.gates * hidden_size
        fixed: dict[str, Shape] = {"weight_ih": (rows, input_size), "weight_hh": (rows, hidden_size), "bias": (rows,)}
        return fixed | {name: (count * hidden_size,) for name, count in self.further.items()}


CELLS = {
    "rnn": CellLayout(1, ("h",)),
    "lstm": CellLayout(4, ("h", "c")),
    "gru": CellLayout(3, ("h",), {"bias_n": 1}),
    "peephole": CellLayout(4, ("h", "c"), {"peephole": 3}),
}


def side_input_tensor(name: str) -> str:
    """The name of a side input's table."""
    return f"side_inputs.{name}.weight"


def attention_shapes(hidden_size: int) -> dict[str, Shape]:
    """Each tensor of the attention and its shape."""
    size = min(hidden_size, _AT_MOST)
    projection = (size, hidden_size)
    return {"query": projection, "key": projection, "value": projection, "out": (hidden_size, size)}


def tensor_shapes(architecture: Architecture) -> Iterator[tuple[str, Shape]]:
    """Every tensor of a network and its shape."""
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
        merged = min(hidden, _AT_MOST)
        yield "merge.weight", (merged, features)
        yield "merge.bias", (merged,)
        features = merged
    yield "head.weight", (vocab, features)
    yield "head.bias", (vocab,)


def parameter_count(architecture: Architecture) -> int:
    """How many numbers a network of this architecture learns."""
    return sum(math.prod(shape) for _, shape in tensor_shapes(architecture))


def matmul_weight_count(architecture: Architecture) -> int:
    """How many of them each token is multiplied with: all but embeddings, of which it reads a few rows."""
    read = {"embedding.weight", *map(side_input_tensor, architecture.side_inputs)}
    return sum(math.prod(shape) for name, shape in tensor_shapes(architecture) if name not in read)
