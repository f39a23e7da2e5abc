"""A trained network stepped with NumPy: the same logits as the torch model, without the cost of importing torch.

One character at a time there is nothing to batch: a step is one matrix-vector product a layer, bound by the time it
takes to read the weights once. So every product that depends only on the token is folded into a table when
the network is loaded, ``weight_ih`` and ``weight_hh`` lie side by side in one matrix, and each step allocates only
its new state.

An engine works in buffers of its own, so one engine serves one thread at a time.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from charlstm.checkpoint.format import Checkpoint
from charlstm.tokenizers import from_state

Array = NDArray[np.float32]
State: TypeAlias = tuple[tuple[Array, Array], ...]
"""Per layer ``(h, c)``, each (batch, hidden). Arrays of a state are never written to again."""


_HALF = np.float32(0.5)
_FEW = 4
"""Below this many rows a matrix-vector product a row takes half the time of OpenBLAS's matrix product."""


class _Buffers(NamedTuple):
    """Where a layer's step of some shape takes place: cutting these pieces anew would take a tenth of a step."""

    inputs: Array
    """(…, below + hidden): what the layer reads, side by side."""
    below: Array
    before: Array
    gates: Array
    """(…, 4·hidden)"""
    sigmoids: Array
    i: Array
    f: Array
    o: Array
    g: Array

    @classmethod
    def of(cls, rows: tuple[int, ...], below: int, hidden: int) -> _Buffers:
        inputs, gates = np.empty((*rows, below + hidden), np.float32), np.empty((*rows, 4 * hidden), np.float32)
        n = hidden
        i, f, o, g = gates[..., :n], gates[..., n : 2 * n], gates[..., 2 * n : 3 * n], gates[..., 3 * n :]
        return cls(inputs, inputs[..., :below], inputs[..., below:], gates, gates[..., : 3 * n], i, f, o, g)


def _product(rows: Array, weight: Array, out: Array) -> None:
    """``rows @ weight`` into ``out``."""
    if rows.ndim == 1 or len(rows) >= _FEW:
        np.dot(rows, weight, out)
    else:
        for row, place in zip(rows, out, strict=True):
            np.dot(row, weight, place)


class LstmLayer:
    """One LSTM layer.

    With ``[i f g o]`` the four gates' rows, ``x`` the layer's input and ``h', c'`` the state before::

        i = σ(W_i x + U_i h' + b_i)     g = tanh(W_g x + U_g h' + b_g)      c = f ⊙ c' + i ⊙ g
        f = σ(W_f x + U_f h' + b_f)     o = σ(W_o x + U_o h' + b_o)         h = o ⊙ tanh(c)

    σ(z) = (1 + tanh(z/2)) / 2, so with the rows of i, f, o halved beforehand one tanh serves all four gates; g goes
    last, so that what only the three need is one block.

    Args:
        weight_ih: (4·hidden, input).
        weight_hh: (4·hidden, hidden).
        bias: (4·hidden,).
        embedding: (vocab, embedding), where the layer's input ends with the token's embedding, else None.
    """

    def __init__(self, weight_ih: Array, weight_hh: Array, bias: Array, embedding: Array | None) -> None:
        self.hidden_size = weight_hh.shape[1]
        weight_ih, weight_hh, bias = (_prepared(part) for part in (weight_ih, weight_hh, bias))
        self._below = below = weight_ih.shape[1] - (0 if embedding is None else embedding.shape[1])
        # What the token alone decides, for every token: (vocab, 4·hidden), or (4·hidden,) where it decides nothing.
        self._table = bias if embedding is None else embedding @ weight_ih[:, below:].T + bias
        self._per_token = embedding is not None
        self._weight = np.ascontiguousarray(np.concatenate((weight_ih[:, :below], weight_hh), 1)).T
        self._buffers = _Buffers.of((), below, self.hidden_size)

    def step(self, tokens: Any, below: Array, state: tuple[Array, Array]) -> tuple[Array, Array]:
        """One step of many rows or of one alone.

        Args:
            tokens: ids (batch,), or one id.
            below: ``h`` of the layer below, (batch, hidden) or (hidden,); not looked at in the lowest layer.
            state: the old ``(h', c')``, of the same shape.

        Returns:
            the new ``(h, c)``.
        """
        h, c = state
        if h.shape != self._buffers.before.shape:
            self._buffers = _Buffers.of(h.shape[:-1], self._below, self.hidden_size)
        inputs, from_below, from_before, gates, sigmoids, i, f, o, g = self._buffers
        if self._below:
            from_below[...], from_before[...] = below, h
            h = inputs
        _product(h, self._weight, gates)
        gates += self._table[tokens] if self._per_token else self._table
        np.tanh(gates, out=gates)
        sigmoids *= _HALF
        sigmoids += _HALF
        i *= g
        c = f * c
        c += i
        h = np.tanh(c)
        h *= o
        return h, c


def _prepared(part: Array) -> Array:
    """Rows of the gates in the order i f o g instead of i f g o, those of i, f and o halved."""
    i, f, g, o = np.split(part, 4)
    return np.concatenate((i * _HALF, f * _HALF, o * _HALF, g))


class Engine:
    """A trained network for stepping one token at a time, at any batch.

    Attributes:
        config: the run's settings as plain values.
        tokenizer: the run's tokenizer.
        vocab_size: tokens it knows.
    """

    def __init__(self, tensors: dict[str, NDArray[Any]], config: dict[str, Any], tokenizer: dict[str, Any]) -> None:
        self.config = config
        self.tokenizer = from_state(tokenizer)
        self.vocab_size = self.tokenizer.vocab_size
        model = config["model"]
        self._skip: bool = model["skip"]
        weights = {name: np.asarray(tensor, np.float32) for name, tensor in tensors.items()}
        embedding = weights["embedding.weight"]
        self.layers = [
            LstmLayer(
                weights[f"layers.{k}.weight_ih"],
                weights[f"layers.{k}.weight_hh"],
                weights[f"layers.{k}.bias"],
                embedding if k == 0 or self._skip else None,
            )
            for k in range(model["num_layers"])
        ]
        self._head = np.ascontiguousarray(weights["head.weight"]).T
        self._head_bias = weights["head.bias"]

    @classmethod
    def from_checkpoint(cls, checkpoint: Checkpoint) -> Engine:
        """The network of a checkpoint that `checkpoint.format.read` has verified."""
        return cls(checkpoint.tensors, checkpoint.config, checkpoint.tokenizer)

    def zero_state(self, batch: int) -> State:
        """The state before any text, for ``batch`` rows."""
        return tuple((np.zeros((batch, layer.hidden_size), np.float32),) * 2 for layer in self.layers)

    def step(self, tokens: NDArray[np.integer[Any]], state: State | None) -> tuple[Array, State]:
        """Read one token a row.

        Args:
            tokens: (batch,) ids.
            state: the state before, or None for the state before any text.

        Returns:
            logits (batch, vocab) of the next token, and the state after.
        """
        state = self.zero_state(len(tokens)) if state is None else state
        if len(tokens) > 1:
            return self._step(tokens, state)
        # One row alone is stepped as vectors: an eighth of the time goes into the second axis otherwise.
        logits, after = self._step(tokens[0], tuple((h[0], c[0]) for h, c in state))
        return logits[None], tuple((h[None], c[None]) for h, c in after)

    def _step(self, tokens: Any, state: State) -> tuple[Array, State]:
        below, after = state[0][0], []
        for layer, before in zip(self.layers, state, strict=True):
            after.append(layer.step(tokens, below, before))
            below = after[-1][0]
        top = np.concatenate([h for h, _ in after], -1) if self._skip else below
        logits = np.matmul(top, self._head)
        logits += self._head_bias
        return logits, tuple(after)

    def expand(self, state: State, rows: int) -> State:
        """The state of one row, for ``rows`` rows that go different ways from here."""
        return tuple((np.repeat(h, rows, 0), np.repeat(c, rows, 0)) for h, c in state)

    def select(self, state: State, rows: Sequence[int]) -> State:
        """The state of some rows, in the order given."""
        index = np.asarray(rows)
        return tuple((h[index], c[index]) for h, c in state)
