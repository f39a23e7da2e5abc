"""The recurrent cells in NumPy, for stepping: one character at a time, a few rows or one alone.

There is nothing to batch: a step is one matrix-vector product a layer, bound by the time it takes to read the weights
once. So every product that depends only on the token is folded into a table when the network is loaded, ``weight_ih``
and ``weight_hh`` lie side by side in one matrix, and what a step needs besides its new state is allocated once.

σ(z) = (1 + tanh(z/2)) / 2, so with the rows of the gates with a σ halved beforehand one tanh serves all.

Letters: B rows side by side, none when a row is stepped alone: then its arrays are vectors. D features from the layer
below, H hidden features, R rows of the gates, V vocabulary.
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
"""Below this many rows a matrix-vector product a row takes half the time of OpenBLAS's matrix product."""


class Layer(Protocol):
    """One recurrent layer."""

    def step(self, tokens: Any, below: Array, state: LayerState) -> LayerState:
        """One step of many rows or of one alone.

        Args:
            tokens: ids (B,), or one id.
            below: h of the layer below, (B, D) or (D,); not looked at in the lowest layer.
            state: the state before, parts of (B, H) or (H,).

        Returns:
            The state after, new arrays; the first part is the layer's output.
        """


class _Sums:
    """What stands inside the gates' σ and tanh: ``weight @ [below, before]`` and what the token alone decides.

    Args:
        from_below: (R, D), D may be 0; its last columns read the token's embedding if there is one.
        from_before: (R, H), H may be 0.
        bias: (R,).
        embedding: (V, features), where the layer's input ends with the token's embedding, else None.
    """

    def __init__(self, from_below: Array, from_before: Array, bias: Array, embedding: Array | None = None) -> None:
        self._below = below = from_below.shape[1] - (0 if embedding is None else embedding.shape[1])
        # For every token (V, R), or (R,) where it decides nothing.
        self._fixed = bias if embedding is None else embedding @ from_below[:, below:].T + bias
        self._per_token = embedding is not None
        self._weight = np.ascontiguousarray(np.concatenate((from_below[:, :below], from_before), 1)).T
        self.allot(())

    def allot(self, rows: tuple[int, ...]) -> Array:
        """Make room for so many rows; gives the array (…, R) that the sums will always be in."""
        self._inputs = np.empty((*rows, self._weight.shape[0]), np.float32)
        self._left, self._right = self._inputs[..., : self._below], self._inputs[..., self._below :]
        self.out = np.empty((*rows, self._weight.shape[1]), np.float32)
        return self.out

    def __call__(self, tokens: Any, below: Array, before: Array) -> None:
        """Fill ``out`` anew."""
        fixed = self._fixed[tokens] if self._per_token else self._fixed
        if not len(self._weight):
            self.out[...] = fixed
            return
        if self._below and self._right.shape[-1]:
            self._left[...], self._right[...] = below, before
            inputs = self._inputs
        else:
            inputs = below if self._below else before
        if inputs.ndim == 1 or len(inputs) >= _FEW:
            np.dot(inputs, self._weight, self.out)
        else:
            for row, place in zip(inputs, self.out, strict=True):
                np.dot(row, self._weight, place)
        self.out += fixed


class RnnLayer:
    """`nn.cells.rnn`."""

    def __init__(self, weight_ih: Array, weight_hh: Array, bias: Array, *, embedding: Array | None) -> None:
        self._sums = _Sums(weight_ih, weight_hh, bias, embedding)

    def step(self, tokens: Any, below: Array, state: LayerState) -> LayerState:
        """See `Layer`."""
        (h,) = state
        if h.shape[:-1] != self._sums.out.shape[:-1]:
            self._sums.allot(h.shape[:-1])
        self._sums(tokens, below, h)
        return (np.tanh(self._sums.out),)


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
        self._peep = None if peephole is None else np.split(peephole * _HALF, 3)
        self._allot(())

    def _allot(self, rows: tuple[int, ...]) -> None:
        gates = self._sums.allot(rows)
        n = gates.shape[-1] // 4
        # Cutting them anew at each step would take a tenth of it.
        self._gates, self._i_f_o = gates, gates[..., : 3 * n]
        self._i, self._f, self._o, self._g = _blocks(gates, 4)

    def step(self, tokens: Any, below: Array, state: LayerState) -> LayerState:
        """See `Layer`."""
        h, c = state
        if h.shape != self._i.shape:
            self._allot(h.shape[:-1])
        self._sums(tokens, below, h)
        if self._peep is None:
            np.tanh(self._gates, out=self._gates)
            self._i_f_o *= _HALF
            self._i_f_o += _HALF
            c = _cell(self._i, self._f, self._g, c)
        else:
            c = self._seeing(c, *self._peep)
        h = np.tanh(c)
        h *= self._o
        return h, c

    def _seeing(self, c: Array, p_i: Array, p_f: Array, p_o: Array) -> Array:
        """The new cell, and ``_o`` done, where the gates see the cell."""
        self._i += p_i * c
        self._f += p_f * c
        np.tanh(self._g, out=self._g)
        c = _cell(_sigmoid(self._i), _sigmoid(self._f), self._g, c)
        self._o += p_o * c
        _sigmoid(self._o)
        return c


class GruLayer:
    """`nn.cells.gru`."""

    def __init__(self, weight_ih: Array, weight_hh: Array, bias: Array, bias_n: Array, embedding: Array | None) -> None:
        nothing = np.zeros_like(bias[: 2 * len(bias_n)])
        none = weight_hh[:, :0]
        self._given = _Sums(_halved(weight_ih), none, _halved(bias), embedding)
        self._recurrent = _Sums(none, _halved(weight_hh), np.concatenate((nothing, bias_n)))
        self._allot(())

    def _allot(self, rows: tuple[int, ...]) -> None:
        given, recurrent = self._given.allot(rows), self._recurrent.allot(rows)
        n = given.shape[-1] // 3
        self._given_r_z, self._given_n = given[..., : 2 * n], given[..., 2 * n :]
        self._r_z = recurrent[..., : 2 * n]
        self._r, self._z, self._n = _blocks(recurrent, 3)

    def step(self, tokens: Any, below: Array, state: LayerState) -> LayerState:
        """See `Layer`."""
        (h,) = state
        if h.shape != self._r.shape:
            self._allot(h.shape[:-1])
        self._given(tokens, below, h)
        self._recurrent(tokens, below, h)
        self._r_z += self._given_r_z
        _sigmoid(self._r_z)
        self._n *= self._r
        self._n += self._given_n
        np.tanh(self._n, out=self._n)
        h = h - self._n
        h *= self._z
        h += self._n
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

    def no_memory(self, batch: int) -> tuple[Array, ...]:
        """The memory before any text: keys and values (B, W, A), and what bars places with nothing in them, (B, W)."""
        nothing = np.zeros((batch, self._window, self._size), np.float32)
        return nothing, nothing, np.full((batch, self._window), -np.inf, np.float32)

    def step(self, h: Array, memory: tuple[Array, ...]) -> tuple[Array, tuple[Array, ...]]:
        """What the attention makes of the top layer's output, and the memory after; `Layer` tells the shapes."""
        query, key, value = _blocks(np.dot(h, self._query_key_value), 3)
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


def _blocks(gates: Array, count: int) -> list[Array]:
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
