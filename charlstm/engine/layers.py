"""The recurrent cells in NumPy, one step at a time, for a single text or a small batch.

A step is one matrix-vector product per layer (`products`), bound by the time it takes to read the weights once. So
every product that depends only on the token is precomputed in a table when the network is loaded, ``weight_ih`` and
``weight_hh`` are concatenated into one matrix, and everything a step needs besides its new state is allocated once.

A layer holds only weights and is immutable, so that threads can share it. It computes in buffers, which belong to one
thread each.

σ(z) = (1 + tanh(z/2)) / 2: the rows of gates with a σ are halved in advance, so that one tanh serves all gates.

Letters: R rows of all gates together. The arrays of a single text have no batch axis: (H,) instead of (B, H).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, TypeAlias

import numpy as np

from charlstm.engine.buffers import aligned, empty
from charlstm.engine.products import Array, Product

LayerState: TypeAlias = tuple[Array, ...]
"""``(h,)`` or ``(h, c)``, each (B, H) or (H,). The arrays of a state are never modified."""

NewProduct: TypeAlias = Callable[[Array], Product]
"""Makes the product of a matrix: one of `products.PRODUCTS`."""

_HALF = np.float32(0.5)


class Layer(Protocol):
    """One recurrent layer."""

    def buffers(self, rows: tuple[int, ...]) -> Any:
        """Allocate the scratch arrays of a step.

        Args:
            rows: ``(B,)``, or ``()`` for a single text without a batch axis.

        Returns:
            The buffers for `step`.
        """

    def step(self, tokens: Any, below: Array, state: LayerState, buffers: Any) -> LayerState:
        """Process one token of each text.

        Args:
            tokens: ids (B,), or one id.
            below: the output of the layer below, (B, D) or (D,); the lowest layer does not use it.
            state: the previous state, each part (B, H) or (H,).
            buffers: this thread's buffers for this batch size.

        Returns:
            The next state in new arrays; its first part is the layer's output.
        """


class _SumBuffers:
    """The concatenated inputs of a product, its result, and the product's own buffers."""

    def __init__(self, rows: tuple[int, ...], below: int, inputs: int, outputs: int, product: Any) -> None:
        self.product = product
        self.inputs = empty(*rows, inputs)
        self.left, self.right = self.inputs[..., :below], self.inputs[..., below:]
        self.out = empty(*rows, outputs)


class _Sums:
    """The pre-activations of the gates: ``weight @ [below, previous h]`` plus a term that depends only on the token.

    Args:
        from_below: (R, D), D may be 0; its last columns are for the token's embedding if there is one.
        from_previous: (R, H), H may be 0.
        bias: (R,).
        embedding: (V, E) if the layer's input ends with the token's embedding, else None.
        product: makes the product of a matrix.
    """

    @np.errstate(over="ignore", invalid="ignore")  # weights out of range: who draws from the logits says so
    def __init__(
        self, from_below: Array, from_previous: Array, bias: Array, embedding: Array | None, product: NewProduct
    ) -> None:
        self._below = below = from_below.shape[1] - (0 if embedding is None else embedding.shape[1])
        # One row per token, (V, R), or (R,) if the token has no effect.
        self._token_term = aligned(bias if embedding is None else embedding @ from_below[:, below:].T + bias)
        self._per_token = embedding is not None
        weight = np.concatenate((from_below[:, :below], from_previous), 1)
        self._outputs, self._inputs = weight.shape
        self._product = product(weight) if self._inputs else None
        self._both = 0 < below < self._inputs

    def buffers(self, rows: tuple[int, ...]) -> _SumBuffers:
        """See `Layer`."""
        product = None if self._product is None else self._product.buffers(rows)
        return _SumBuffers(rows, self._below, self._inputs, self._outputs, product)

    def __call__(self, tokens: Any, below: Array, previous: Array, buffers: _SumBuffers) -> None:
        """Compute the pre-activations into ``buffers.out``.

        Args:
            tokens: ids (B,), or one id.
            below: the output of the layer below, (B, D) or (D,).
            previous: the layer's previous output, (B, H) or (H,).
            buffers: this thread's buffers for this batch size.
        """
        token_term, out = self._token_term[tokens] if self._per_token else self._token_term, buffers.out
        if self._product is None:
            out[...] = token_term
            return
        if self._both:
            buffers.left[...], buffers.right[...] = below, previous
            inputs = buffers.inputs
        else:
            inputs = below if self._below else previous
        self._product(inputs, out, buffers.product)
        out += token_term


class RnnLayer:
    """`nn.cells.rnn`.

    Args:
        weight_ih: (H, D).
        weight_hh: (H, H).
        bias: (H,).
        embedding: (V, E) if the layer's input ends with the token's embedding, else None.
        product: makes the product of a matrix.
    """

    def __init__(
        self, weight_ih: Array, weight_hh: Array, bias: Array, *, embedding: Array | None, product: NewProduct
    ) -> None:
        self._sums = _Sums(weight_ih, weight_hh, bias, embedding, product)

    def buffers(self, rows: tuple[int, ...]) -> _SumBuffers:
        """See `Layer`."""
        return self._sums.buffers(rows)

    def step(self, tokens: Any, below: Array, state: LayerState, buffers: _SumBuffers) -> LayerState:
        """See `Layer`."""
        self._sums(tokens, below, state[0], buffers)
        return (np.tanh(buffers.out),)


class _LstmBuffers:
    """The gates and a view of each: creating the views at each step would take a tenth of its time."""

    def __init__(self, sums: _SumBuffers) -> None:
        self.sums, self.gates = sums, sums.out
        self.i_f_o = self.gates[..., : 3 * (self.gates.shape[-1] // 4)]
        self.i, self.f, self.o, self.g = _split(self.gates, 4)


class LstmLayer:
    """`nn.cells.lstm`, and with ``peephole`` `nn.cells.peephole`. Its gates are in the order i f o g: σ, σ, σ, tanh.

    Args:
        weight_ih: (4H, D), gates in the order i f g o, as in a checkpoint.
        weight_hh: (4H, H).
        bias: (4H,).
        peephole: (3H,), of i, f and o; None without peepholes.
        embedding: (V, E) if the layer's input ends with the token's embedding, else None.
        product: makes the product of a matrix.
    """

    def __init__(
        self,
        weight_ih: Array,
        weight_hh: Array,
        bias: Array,
        peephole: Array | None = None,
        *,
        embedding: Array | None,
        product: NewProduct,
    ) -> None:
        weight_ih, weight_hh, bias = map(_reorder_and_halve, (weight_ih, weight_hh, bias))
        self._sums = _Sums(weight_ih, weight_hh, bias, embedding, product)
        self._peephole = None if peephole is None else np.split(peephole * _HALF, 3)

    def buffers(self, rows: tuple[int, ...]) -> _LstmBuffers:
        """See `Layer`."""
        return _LstmBuffers(self._sums.buffers(rows))

    def step(self, tokens: Any, below: Array, state: LayerState, buffers: _LstmBuffers) -> LayerState:
        """See `Layer`."""
        h, c = state
        self._sums(tokens, below, h, buffers.sums)
        if self._peephole is None:
            np.tanh(buffers.gates, out=buffers.gates)
            buffers.i_f_o *= _HALF
            buffers.i_f_o += _HALF
            c = _cell(buffers.i, buffers.f, buffers.g, c)
        else:
            c = self._cell_with_peepholes(c, buffers, *self._peephole)
        h = np.tanh(c)
        h *= buffers.o
        return h, c

    def _cell_with_peepholes(self, c: Array, gates: _LstmBuffers, p_i: Array, p_f: Array, p_o: Array) -> Array:
        """Return the new cell state, with peepholes from the previous one to i and f; completes ``gates.o`` too."""
        gates.i += p_i * c
        gates.f += p_f * c
        np.tanh(gates.g, out=gates.g)
        c = _cell(_sigmoid(gates.i), _sigmoid(gates.f), gates.g, c)
        gates.o += p_o * c
        _sigmoid(gates.o)
        return c


class _GruBuffers:
    """The input terms and the recurrent terms of the gates, and views of them."""

    def __init__(self, inputs: _SumBuffers, recurrent: _SumBuffers) -> None:
        self.inputs, self.recurrent = inputs, recurrent
        n = inputs.out.shape[-1] // 3
        self.input_r_z, self.input_n = inputs.out[..., : 2 * n], inputs.out[..., 2 * n :]
        self.r_z = recurrent.out[..., : 2 * n]
        self.r, self.z, self.n = _split(recurrent.out, 3)


class GruLayer:
    """`nn.cells.gru`.

    Args:
        weight_ih: (3H, D), gates in the order r z n.
        weight_hh: (3H, H).
        bias: (3H,).
        bias_n: (H,), in the recurrent term of n.
        embedding: (V, E) if the layer's input ends with the token's embedding, else None.
        product: makes the product of a matrix.
    """

    def __init__(
        self,
        weight_ih: Array,
        weight_hh: Array,
        bias: Array,
        bias_n: Array,
        *,
        embedding: Array | None,
        product: NewProduct,
    ) -> None:
        zeros = np.zeros_like(bias[: 2 * len(bias_n)])
        no_columns = weight_hh[:, :0]
        self._inputs = _Sums(_halve_r_z(weight_ih), no_columns, _halve_r_z(bias), embedding, product)
        self._recurrent = _Sums(no_columns, _halve_r_z(weight_hh), np.concatenate((zeros, bias_n)), None, product)

    def buffers(self, rows: tuple[int, ...]) -> _GruBuffers:
        """See `Layer`."""
        return _GruBuffers(self._inputs.buffers(rows), self._recurrent.buffers(rows))

    def step(self, tokens: Any, below: Array, state: LayerState, buffers: _GruBuffers) -> LayerState:
        """See `Layer`."""
        (h,) = state
        self._inputs(tokens, below, h, buffers.inputs)
        self._recurrent(tokens, below, h, buffers.recurrent)
        buffers.r_z += buffers.input_r_z
        _sigmoid(buffers.r_z)
        n = buffers.n
        n *= buffers.r
        n += buffers.input_n
        np.tanh(n, out=n)
        h = h - n
        h *= buffers.z
        h += n
        return (h,)


class AttentionLayer:
    """`nn.attention.attend`, one step. Letters as there.

    Args:
        query: (A, H).
        key: (A, H).
        value: (A, H).
        out: (H, A).
        window: W.
    """

    def __init__(self, query: Array, key: Array, value: Array, out: Array, *, window: int) -> None:
        self._size, self._window = len(query), window
        scaled = query / np.float32(np.sqrt(self._size))
        self._query_key_value = aligned(np.concatenate((scaled, key, value))).T
        self._out = aligned(out).T

    def empty_memory(self, batch: int) -> tuple[Array, ...]:
        """Return the memory before any text: keys and values (B, W, A), and -inf for each empty place, (B, W)."""
        zeros = np.zeros((batch, self._window, self._size), np.float32)
        return zeros, zeros, np.full((batch, self._window), -np.inf, np.float32)

    def step(self, h: Array, memory: tuple[Array, ...]) -> tuple[Array, tuple[Array, ...]]:
        """Apply attention to the output of the top layer.

        Args:
            h: (B, H) or (H,).
            memory: of the previous step, as `empty_memory` returns it.

        Returns:
            The output, (B, H) or (H,), and the next memory.
        """
        query, key, value = _split(np.dot(h, self._query_key_value), 3)
        keys, values, empty = memory
        keys, values = _shift(keys, key[..., None, :], -2), _shift(values, value[..., None, :], -2)
        if empty[..., 0].any():  # else the memory is full and stays full
            empty = _shift(empty, np.zeros_like(empty[..., :1]), -1)
        weights = np.matmul(keys, query[..., None])[..., 0]
        weights += empty
        weights -= weights.max(-1, keepdims=True)
        np.exp(weights, out=weights)
        weights /= weights.sum(-1, keepdims=True)
        attended = np.matmul(weights[..., None, :], values)[..., 0, :]
        return h + np.dot(attended, self._out), (keys, values, empty)


def _shift(memory: Array, newest: Array, axis: int) -> Array:
    """Return a memory without its oldest entry and with a new one."""
    remaining = memory[..., 1:, :] if axis == -2 else memory[..., 1:]
    return np.concatenate((remaining, newest), axis)


LAYERS: dict[str, Callable[..., Layer]] = {
    "rnn": RnnLayer,
    "lstm": LstmLayer,
    "gru": GruLayer,
    "peephole": LstmLayer,
}
"""For each of `shapes.CELLS` its layer, created with the tensors in that table's order, embedding and product."""


def _reorder_and_halve(part: Array) -> Array:
    """Reorder the rows of the gates i f g o to i f o g, and halve those of i, f and o."""
    i, f, g, o = np.split(part, 4)
    return np.concatenate((i * _HALF, f * _HALF, o * _HALF, g))


def _halve_r_z(part: Array) -> Array:
    """Halve the rows of r and z, of the gates r z n."""
    r, z, n = np.split(part, 3)
    return np.concatenate((r * _HALF, z * _HALF, n))


def _split(gates: Array, count: int) -> list[Array]:
    """Return a view of each gate, (…, H)."""
    return np.split(gates, count, axis=-1)


def _sigmoid(halved: Array) -> Array:
    """Compute σ(z) in place from z / 2."""
    np.tanh(halved, out=halved)
    halved *= _HALF
    halved += _HALF
    return halved


def _cell(i: Array, f: Array, g: Array, c: Array) -> Array:
    """Return f ⊙ c + i ⊙ g; overwrites i."""
    i *= g
    c = f * c
    c += i
    return c
