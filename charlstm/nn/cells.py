"""Recurrent cells, one step each, written for reading. `recurrence` computes the same over whole windows, fast.

Every cell is called as ``cell(x, state, *weights)`` and returns the next state; the first part of a state, h, is also
the output. The weights are in the order of `shapes.CELLS`.

Letters: σ the logistic function, ⊙ the elementwise product; a prime marks a value from the previous step.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import linear

from charlstm.nn.state import LayerState


def rnn(x: Tensor, state: LayerState, weight_ih: Tensor, weight_hh: Tensor, bias: Tensor) -> LayerState:
    """One step of the simple recurrent network.

    ::

        h = tanh(W x + U h' + b)

    Args:
        x: the input, (B, D).
        state: the previous state ``(h',)``, (B, H).
        weight_ih: W, (H, D).
        weight_hh: U, (H, H).
        bias: b, (H,).

    Returns:
        The next state, ``(h,)``.

    Source:
        Elman 1990.
    """
    (h,) = state
    return (torch.tanh(linear(x, weight_ih, bias) + linear(h, weight_hh)),)


def lstm(x: Tensor, state: LayerState, weight_ih: Tensor, weight_hh: Tensor, bias: Tensor) -> LayerState:
    """One step of the LSTM with a forget gate.

    ::

        i = σ(W_i x + U_i h' + b_i)     input gate
        f = σ(W_f x + U_f h' + b_f)     forget gate
        g = tanh(W_g x + U_g h' + b_g)  candidate
        o = σ(W_o x + U_o h' + b_o)     output gate
        c = f ⊙ c' + i ⊙ g
        h = o ⊙ tanh(c)

    Args:
        x: the input, (B, D).
        state: the previous state ``(h', c')``, each (B, H).
        weight_ih: W of all gates, in the order i f g o, (4H, D).
        weight_hh: U of all gates, (4H, H).
        bias: b of all gates, (4H,).

    Returns:
        The next state, ``(h, c)``.

    Source:
        Hochreiter & Schmidhuber 1997; forget gate: Gers, Schmidhuber & Cummins 2000.
    """
    h, c = state
    i, f, g, o = (linear(x, weight_ih, bias) + linear(h, weight_hh)).chunk(4, dim=1)
    c = f.sigmoid() * c + i.sigmoid() * g.tanh()
    return o.sigmoid() * c.tanh(), c


def gru(x: Tensor, state: LayerState, weight_ih: Tensor, weight_hh: Tensor, bias: Tensor, bias_n: Tensor) -> LayerState:
    """One step of the gated recurrent unit, with the reset gate after the recurrent product, as in cuDNN.

    ::

        r = σ(W_r x + U_r h' + b_r)                 reset gate
        z = σ(W_z x + U_z h' + b_z)                 update gate: the share of h' that is kept
        n = tanh(W_n x + b_n + r ⊙ (U_n h' + d_n))  candidate
        h = (1 - z) ⊙ n + z ⊙ h'

    Args:
        x: the input, (B, D).
        state: the previous state ``(h',)``, (B, H).
        weight_ih: W of all gates, in the order r z n, (3H, D).
        weight_hh: U of all gates, (3H, H).
        bias: b of all gates, (3H,).
        bias_n: d_n, (H,).

    Returns:
        The next state, ``(h,)``.

    Source:
        Cho et al. 2014, equations 5 to 8; this position of the reset gate: Chung et al. 2014 and cuDNN.
    """
    (h,) = state
    x_r, x_z, x_n = linear(x, weight_ih, bias).chunk(3, dim=1)
    h_r, h_z, h_n = linear(h, weight_hh).chunk(3, dim=1)
    r, z = (x_r + h_r).sigmoid(), (x_z + h_z).sigmoid()
    n = torch.tanh(x_n + r * (h_n + bias_n))
    return ((1 - z) * n + z * h,)


def peephole(
    x: Tensor, state: LayerState, weight_ih: Tensor, weight_hh: Tensor, bias: Tensor, peephole: Tensor
) -> LayerState:
    """One step of the LSTM whose gates read the cell state: i and f the previous one, o the new one.

    ::

        i = σ(W_i x + U_i h' + p_i ⊙ c' + b_i)      c = f ⊙ c' + i ⊙ g
        f = σ(W_f x + U_f h' + p_f ⊙ c' + b_f)      o = σ(W_o x + U_o h' + p_o ⊙ c + b_o)
        g = tanh(W_g x + U_g h' + b_g)              h = o ⊙ tanh(c)

    Args:
        x: the input, (B, D).
        state: the previous state ``(h', c')``, each (B, H).
        weight_ih: W of all gates, in the order i f g o, (4H, D).
        weight_hh: U of all gates, (4H, H).
        bias: b of all gates, (4H,).
        peephole: p, in the order i f o, (3H,).

    Returns:
        The next state, ``(h, c)``.

    Source:
        Gers & Schmidhuber 2000; Gers, Schraudolph & Schmidhuber 2002.
    """
    h, c = state
    p_i, p_f, p_o = peephole.chunk(3)
    i, f, g, o = (linear(x, weight_ih, bias) + linear(h, weight_hh)).chunk(4, dim=1)
    c = (f + p_f * c).sigmoid() * c + (i + p_i * c).sigmoid() * g.tanh()
    return (o + p_o * c).sigmoid() * c.tanh(), c


STEPS: dict[str, Callable[..., LayerState]] = {"rnn": rnn, "lstm": lstm, "gru": gru, "peephole": peephole}
