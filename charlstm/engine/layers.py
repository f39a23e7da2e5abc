"""The recurrent cells in NumPy, for stepping: one character at a time, a few texts side by side or one alone.

There is nothing to batch: a step is one matrix-vector product a layer, bound by the time it takes to read the weights
once. So every product that depends only on the token is folded into a table when the network is loaded, ``weight_ih``
and ``weight_hh`` lie side by side in one matrix, and what a step needs besides its new state is allocated once.

A layer holds weights only and is never changed: threads share it. What it computes in are `Buffers`, of which each
thread has its own.

σ(z) = (1 + tanh(z/2)) / 2, so with the rows of the gates with a σ halved beforehand one tanh serves all.

Letters: B texts side by side, no axis at all when one is stepped alone: then its arrays are vectors. D features from
the layer below, H hidden units, R rows of the gates, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]
LayerState: TypeAlias = tuple[Array, ...]
"""``(h,)`` or ``(h, c)``, each (B, H) or (H,). Arrays of a state are never written to again."""

_HALF = np.float32(0.5)
_FEW = 4
"""Below this many texts a matrix-vector product for each takes half the time of OpenBLAS's matrix product."""


class Layer(Protocol):
    """One recurrent layer."""

    def buffers(self, rows: tuple[int, ...]) -> Any:
        """Arrays to compute in.

        Args:
            rows: ``(B,)``, or ``()`` for one text alone.
        """

    def step(self, tokens: Any, below: Array, state: LayerState, buffers: Any) -> LayerState:
        """Read one token of each text.

        Args:
            tokens: ids (B,), or one id.
            below: h of the layer below, (B, D) or (D,); not used in the lowest layer.
            state: the state before, each part (B, H) or (H,).
            buffers: of this thread, for as many texts.

        Returns:
            The state after, new arrays; the first part is the layer's output.
        """


class _SumBuffers:
    """Where the inputs of a product lie side by side, and where its result is."""

    def __init__(self, rows: tuple[int, ...], below: int, inputs: int, outputs: int) -> None:
        self.inputs = np.empty((*rows, inputs), np.float32)
        self.left, self.right = self.inputs[..., :below], self.inputs[..., below:]
        self.out = np.empty((*rows, outputs), np.float32)


class _Sums:
    """What stands inside the gates' σ and tanh: ``weight @ [below, previous h]`` and what the token alone decides.

    Args:
        from_below: (R, D), D may be 0; its last columns read the token's embedding if there is one.
        from_previous: (R, H), H may be 0.
        bias: (R,).
        embedding: (V, features), where the layer's input ends with the token's embedding, else None.
    """

    def __init__(self, from_below: Array, from_previous: Array, bias: Array, embedding: Array | None = None) -> None:
        self._below = below = from_below.shape[1] - (0 if embedding is None else embedding.shape[1])
        # For every token (V, R), or (R,) where it decides nothing.
        self._fixed = bias if embedding is None else embedding @ from_below[:, below:].T + bias
        self._per_token = embedding is not None
        self._weight = np.ascontiguousarray(np.concatenate((from_below[:, :below], from_previous), 1)).T
        self._both = 0 < below < len(self._weight)

    def buffers(self, rows: tuple[int, ...]) -> _SumBuffers:
        """See `Layer`."""
        return _SumBuffers(rows, self._below, *self._weight.shape)

    def __call__(self, tokens: Any, below: Array, previous: Array, buffers: _SumBuffers) -> None:
        """Compute the sums into ``buffers.out``."""
        fixed, out = self._fixed[tokens] if self._per_token else self._fixed, buffers.out
        if not len(self._weight):
            out[...] = fixed
            return
        if self._both:
            buffers.left[...], buffers.right[...] = below, previous
            inputs = buffers.inputs
        else:
            inputs = below if self._below else previous
        if inputs.ndim == 1 or len(inputs) >= _FEW:
            np.dot(inputs, self._weight, out)
        else:
            for row, place in zip(inputs, out, strict=True):
                np.dot(row, self._weight, place)
        out += fixed


class RnnLayer:
    """`nn.cells.rnn`."""

    def __init__(self, weight_ih: Array, weight_hh: Array, bias: Array, *, embedding: Array | None) -> None:
        self._sums = _Sums(weight_ih, weight_hh, bias, embedding)

    def buffers(self, rows: tuple[int, ...]) -> _SumBuffers:
        """See `Layer`."""
        return self._sums.buffers(rows)

    def step(self, tokens: Any, below: Array, state: LayerState, buffers: _SumBuffers) -> LayerState:
        """See `Layer`."""
        self._sums(tokens, below, state[0], buffers)
        return (np.tanh(buffers.out),)


class _LstmBuffers:
    """The gates, and views of each: cutting them anew at each step would take a tenth of it."""

    def __init__(self, sums: _SumBuffers) -> None:
        self.sums, self.gates = sums, sums.out
        self.i_f_o = self.gates[..., : 3 * (self.gates.shape[-1] // 4)]
        self.i, self.f, self.o, self.g = _split(self.gates, 4)


class LstmLayer:
    """`nn.cells.lstm`, and with ``peephole`` `nn.cells.peephole`. Its gates lie in the order i f o g: σ, σ, σ, tanh."""

    def __init__(
        self,
        weight_ih: Array,
        weight_hh: Array,
        bias: Array,
        peephole: Array | None = None,
        *,
        embedding: Array | None,
    ) -> None:
        self._sums = _Sums(_ifog(weight_ih), _ifog(weight_hh), _ifog(bias), embedding)
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
        """The new cell, where i and f see the old one and o the new one; ``gates.o`` is ready afterwards."""
        gates.i += p_i * c
        gates.f += p_f * c
        np.tanh(gates.g, out=gates.g)
        c = _cell(_sigmoid(gates.i), _sigmoid(gates.f), gates.g, c)
        gates.o += p_o * c
        _sigmoid(gates.o)
        return c


class _GruBuffers:
    """The sums of the input side and those of the recurrent side, and views of their gates."""

    def __init__(self, given: _SumBuffers, recurrent: _SumBuffers) -> None:
        self.given, self.recurrent = given, recurrent
        n = given.out.shape[-1] // 3
        self.given_r_z, self.given_n = given.out[..., : 2 * n], given.out[..., 2 * n :]
        self.r_z = recurrent.out[..., : 2 * n]
        self.r, self.z, self.n = _split(recurrent.out, 3)


class GruLayer:
    """`nn.cells.gru`."""

    def __init__(self, weight_ih: Array, weight_hh: Array, bias: Array, bias_n: Array, embedding: Array | None) -> None:
        nothing = np.zeros_like(bias[: 2 * len(bias_n)])
        none = weight_hh[:, :0]
        self._given = _Sums(_halved(weight_ih), none, _halved(bias), embedding)
        self._recurrent = _Sums(none, _halved(weight_hh), np.concatenate((nothing, bias_n)))

    def buffers(self, rows: tuple[int, ...]) -> _GruBuffers:
        """See `Layer`."""
        return _GruBuffers(self._given.buffers(rows), self._recurrent.buffers(rows))

    def step(self, tokens: Any, below: Array, state: LayerState, buffers: _GruBuffers) -> LayerState:
        """See `Layer`."""
        (h,) = state
        self._given(tokens, below, h, buffers.given)
        self._recurrent(tokens, below, h, buffers.recurrent)
        buffers.r_z += buffers.given_r_z
        _sigmoid(buffers.r_z)
        n = buffers.n
        n *= buffers.r
        n += buffers.given_n
        np.tanh(n, out=n)
        h = h - n
        h *= buffers.z
        h += n
        return (h,)


class AttentionLayer:
    """`nn.attention.attend`, one step.

    Args:
        query, key, value: (A, H), A features attended with.
        out: (H, A).
        window: W, the states looked back on.
    """

    def __init__(self, query: Array, key: Array, value: Array, out: Array, *, window: int) -> None:
        self._size, self._window = len(query), window
        scaled = query / np.float32(np.sqrt(self._size))
        self._query_key_value = np.ascontiguousarray(np.concatenate((scaled, key, value))).T
        self._out = np.ascontiguousarray(out).T

    def empty_memory(self, batch: int) -> tuple[Array, ...]:
        """The memory before any text: keys and values (B, W, A), and -inf where there is nothing, (B, W)."""
        nothing = np.zeros((batch, self._window, self._size), np.float32)
        return nothing, nothing, np.full((batch, self._window), -np.inf, np.float32)

    def step(self, h: Array, memory: tuple[Array, ...]) -> tuple[Array, tuple[Array, ...]]:
        """What attention makes of the top layer's output, (B, H) or (H,), and the memory after."""
        query, key, value = _split(np.dot(h, self._query_key_value), 3)
        keys, values, barred = memory
        keys, values = _shifted(keys, key[..., None, :], -2), _shifted(values, value[..., None, :], -2)
        if barred[..., 0].any():  # else the memory is full, and stays so
            barred = _shifted(barred, np.zeros_like(barred[..., :1]), -1)
        chances = np.matmul(keys, query[..., None])[..., 0]
        chances += barred
        chances -= chances.max(-1, keepdims=True)
        np.exp(chances, out=chances)
        chances /= chances.sum(-1, keepdims=True)
        found = np.matmul(chances[..., None, :], values)[..., 0, :]
        return h + np.dot(found, self._out), (keys, values, barred)


def _shifted(memory: Array, newest: Array, axis: int) -> Array:
    """Without the oldest, and with the newest."""
    kept = memory[..., 1:, :] if axis == -2 else memory[..., 1:]
    return np.concatenate((kept, newest), axis)


LAYERS: dict[str, Callable[..., Layer]] = {
    "rnn": RnnLayer,
    "lstm": LstmLayer,
    "gru": GruLayer,
    "peephole": LstmLayer,
}
"""For each of `shapes.CELLS`, what is called with its tensors in that table's order, and the embedding as above."""


def _ifog(part: Array) -> Array:
    """Rows of the gates i f g o in the order i f o g, those of i, f and o halved."""
    i, f, g, o = np.split(part, 4)
    return np.concatenate((i * _HALF, f * _HALF, o * _HALF, g))


def _halved(part: Array) -> Array:
    """Rows of the gates r z n, those of r and z halved."""
    r, z, n = np.split(part, 3)
    return np.concatenate((r * _HALF, z * _HALF, n))


def _split(gates: Array, count: int) -> list[Array]:
    """The gates, each (…, H): views."""
    return np.split(gates, count, axis=-1)


def _sigmoid(halved: Array) -> Array:
    """σ of what has been halved, in place."""
    np.tanh(halved, out=halved)
    halved *= _HALF
    halved += _HALF
    return halved


def _cell(i: Array, f: Array, g: Array, c: Array) -> Array:
    """What is kept and what is written, f ⊙ c + i ⊙ g; i is used up."""
    i *= g
    c = f * c
    c += i
    return c
