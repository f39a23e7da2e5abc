"""One step of a recurrent layer.

σ is the logistic function, ⊙ the elementwise product; a prime marks what the previous step left.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np

from charlstm.export.numpy_parts.arrays import Array, sigmoid

LayerState: TypeAlias = tuple[Array, ...]


def rnn(x: Array, state: LayerState, weight_ih: Array, weight_hh: Array, bias: Array) -> LayerState:
    """One step of the simple recurrent network.

    ::

        h = tanh(W x + U h' + b)

    Args:
        x: the input, (D,).
        state: ``(h',)``, (H,).
        weight_ih: W, (H, D).
        weight_hh: U, (H, H).
        bias: b, (H,).

    Returns:
        ``(h,)``.
    """
    (h,) = state
    return (np.tanh(weight_ih @ x + weight_hh @ h + bias),)


def lstm(x: Array, state: LayerState, weight_ih: Array, weight_hh: Array, bias: Array) -> LayerState:
    """One step of the LSTM: c is its memory, h what it shows of it.

    ::

        i = σ(W_i x + U_i h' + b_i)     input gate: what is written
        f = σ(W_f x + U_f h' + b_f)     forget gate: what is kept
        g = tanh(W_g x + U_g h' + b_g)  candidate: what would be written
        o = σ(W_o x + U_o h' + b_o)     output gate: what is shown
        c = f ⊙ c' + i ⊙ g
        h = o ⊙ tanh(c)

    Args:
        x: the input, (D,).
        state: ``(h', c')``, (H,) each.
        weight_ih: W of i f g o, one below the other, (4H, D).
        weight_hh: U of i f g o, (4H, H).
        bias: b of i f g o, (4H,).

    Returns:
        ``(h, c)``.
    """
    h, c = state
    i, f, g, o = np.split(weight_ih @ x + weight_hh @ h + bias, 4)
    c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
    h = sigmoid(o) * np.tanh(c)
    return h, c


def gru(x: Array, state: LayerState, weight_ih: Array, weight_hh: Array, bias: Array, bias_n: Array) -> LayerState:
    """One step of the gated recurrent unit.

    ::

        r = σ(W_r x + U_r h' + b_r)                 reset gate
        z = σ(W_z x + U_z h' + b_z)                 update gate: the share of h' that is kept
        n = tanh(W_n x + b_n + r ⊙ (U_n h' + d_n))  candidate
        h = (1 - z) ⊙ n + z ⊙ h'

    Args:
        x: the input, (D,).
        state: ``(h',)``, (H,).
        weight_ih: W of r z n, one below the other, (3H, D).
        weight_hh: U of r z n, (3H, H).
        bias: b of r z n, (3H,).
        bias_n: d_n, (H,).

    Returns:
        ``(h,)``.
    """
    (h,) = state
    x_r, x_z, x_n = np.split(weight_ih @ x + bias, 3)
    h_r, h_z, h_n = np.split(weight_hh @ h, 3)
    r, z = sigmoid(x_r + h_r), sigmoid(x_z + h_z)
    n = np.tanh(x_n + r * (h_n + bias_n))
    return ((1 - z) * n + z * h,)


def peephole(
    x: Array, state: LayerState, weight_ih: Array, weight_hh: Array, bias: Array, peephole: Array
) -> LayerState:
    """One step of the LSTM whose gates see its memory: i and f the previous one, o the new one.

    ::

        i = σ(W_i x + U_i h' + p_i ⊙ c' + b_i)      c = f ⊙ c' + i ⊙ g
        f = σ(W_f x + U_f h' + p_f ⊙ c' + b_f)      o = σ(W_o x + U_o h' + p_o ⊙ c + b_o)
        g = tanh(W_g x + U_g h' + b_g)              h = o ⊙ tanh(c)

    Args:
        x: the input, (D,).
        state: ``(h', c')``, (H,) each.
        weight_ih: W of i f g o, one below the other, (4H, D).
        weight_hh: U of i f g o, (4H, H).
        bias: b of i f g o, (4H,).
        peephole: p of i f o, (3H,).

    Returns:
        ``(h, c)``.
    """
    h, c = state
    p_i, p_f, p_o = np.split(peephole, 3)
    i, f, g, o = np.split(weight_ih @ x + weight_hh @ h + bias, 4)
    c = sigmoid(f + p_f * c) * c + sigmoid(i + p_i * c) * np.tanh(g)
    h = sigmoid(o + p_o * c) * np.tanh(c)
    return h, c
