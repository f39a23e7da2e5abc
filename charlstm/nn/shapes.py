"""Which tensors a network has, by its settings: the one place that counts weights.

Of each layer K, gates lying one below the other in ``weight_ih``, ``weight_hh`` and ``bias``::

    cell        gates       further tensors
    rnn         h
    lstm        i f g o
    gru         r z n       bias_n (hidden,): on the recurrent side of n
    peephole    i f g o     peephole (3 * hidden,): of i, f and o

Layer 0 reads the embedding; the others read the layer below, and with ``skip`` the embedding behind it. With an
``attention_window`` the top layer's output is what its attention makes of it. With an ``ngram_order`` of 2 or more a
table of n-grams' embeddings is added to the embedding (`nn.side_inputs.hashing`); with ``recall`` also embeddings of
what followed the last time, one for each of its orders (`nn.side_inputs.match_entries`). The head reads the top layer,
and with ``skip`` all layers from the lowest to the top.

An ``ensemble`` of K has K stacks, which read the same embeddings and know nothing of each other; the head reads all of
them and takes the mean of what they say. So it is K networks side by side, but for what is looked up.

A ``bidirectional`` network has a second stack, ``backwards``, which reads from the end. What the one has read before a
token and the other after it are merged into a few features, and the head reads those. Its embedding has a row more than
there are tokens: the mask, which stands where a token is hidden.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

Shape = tuple[int, ...]

_FEW = 128
"""Features an attention attends with, and two directions are merged into, at most: they cost as much as a layer's."""


@dataclass(frozen=True)
class Cell:
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
        """Each tensor of a layer and its shape."""
        rows = self.gates * hidden_size
        fixed: dict[str, Shape] = {"weight_ih": (rows, input_size), "weight_hh": (rows, hidden_size), "bias": (rows,)}
        return fixed | {name: (count * hidden_size,) for name, count in self.further.items()}


CELLS = {
    "rnn": Cell(1, ("h",)),
    "lstm": Cell(4, ("h", "c")),
    "gru": Cell(3, ("h",), {"bias_n": 1}),
    "peephole": Cell(4, ("h", "c"), {"peephole": 3}),
}


NGRAM_TABLE = "ngrams.table.weight"
RECALL_TABLE = "recall.embedding.weight"
LOOKED_UP = ("embedding.weight", NGRAM_TABLE, RECALL_TABLE)
"""What a token is not multiplied with: a few rows of each are read."""


def has_ngrams(model: Mapping[str, Any]) -> bool:
    """Whether the network has a table of n-grams; older checkpoints do not name the setting."""
    return bool(model.get("ngram_order", 0) >= 2)


def looks_up(model: Mapping[str, Any]) -> bool:
    """Whether anything is added to the tokens' embeddings."""
    return has_ngrams(model) or bool(model.get("recall"))


def stacks(model: Mapping[str, Any]) -> tuple[str, ...]:
    """What the layers of each stack are named under."""
    if model.get("bidirectional"):
        return ("layers", "backwards")
    return ("layers", *(f"layers_{member}" for member in range(2, model.get("ensemble", 1) + 1)))


def input_sizes(model: Mapping[str, Any]) -> list[int]:
    """How many features each layer reads."""
    above = model["hidden_size"] + (model["embedding_size"] if model["skip"] else 0)
    return [model["embedding_size"], *[above] * (model["num_layers"] - 1)]


def attention_shapes(hidden_size: int) -> dict[str, Shape]:
    """Each tensor of the attention and its shape."""
    size = min(hidden_size, _FEW)
    turned = (size, hidden_size)
    return {"query": turned, "key": turned, "value": turned, "out": (hidden_size, size)}


def tensor_shapes(model: Mapping[str, Any]) -> Iterator[tuple[str, Shape]]:
    """Every tensor of a network and its shape.

    Args:
        model: the settings of `config.ModelConfig` that give the shape, as plain values.
    """
    vocab, hidden = model["vocab_size"], model["hidden_size"]
    cell = CELLS[model["cell"]]
    yield "embedding.weight", (vocab + bool(model.get("bidirectional")), model["embedding_size"])
    if has_ngrams(model):
        yield NGRAM_TABLE, (model["ngram_rows"], model["embedding_size"])
    if model.get("recall"):
        yield RECALL_TABLE, (len(model["recall"]) * (vocab + 1), model["embedding_size"])
    for stack in stacks(model):
        for layer, size in enumerate(input_sizes(model)):
            for name, shape in cell.shapes(size, hidden).items():
                yield f"{stack}.{layer}.{name}", shape
    if model.get("attention_window"):
        for name, shape in attention_shapes(hidden).items():
            yield f"attention.{name}", shape
    features = hidden * (model["num_layers"] if model["skip"] else 1) * len(stacks(model))
    if model.get("bidirectional"):
        merged = min(hidden, _FEW)
        yield "merge.weight", (merged, features)
        yield "merge.bias", (merged,)
        features = merged
    yield "head.weight", (vocab, features)
    yield "head.bias", (vocab,)


def multiplied_count(model: Mapping[str, Any]) -> int:
    """How many of them a token is multiplied with; embeddings are only looked up."""
    return sum(math.prod(shape) for name, shape in tensor_shapes(model) if name not in LOOKED_UP)


def parameter_count(model: Mapping[str, Any]) -> int:
    """How many numbers a network of these settings learns."""
    return sum(math.prod(shape) for _, shape in tensor_shapes(model))
