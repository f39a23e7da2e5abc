"""Recurrent cells, one step each, written for reading. `recurrence` computes the same over whole windows, fast.

Every cell is called as ``cell(x, state, *weights)`` and returns every part of its equations by its letter; the parts
that are its state go on to the next step, and h is also the output. The sum inside a gate's σ or tanh stands under
``sum_`` and the gate's letter. The weights are in the order of `shapes.CELLS`.

Letters: σ the logistic function, ⊙ the elementwise product; a prime marks a value from the previous step.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from torch import Tensor
from torch.nn.functional import linear

from charlstm.nn.shapes import CELLS
from charlstm.nn.state import LayerState

Parts: TypeAlias = dict[str, Tensor]
"""The parts of a cell's equations by their letters, (B, H) each."""


def rnn(x: Tensor, state: LayerState, weight_ih: Tensor, weight_hh: Tensor, bias: Tensor) -> Parts:
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
        ``sum_h`` and h.

    Source:
        Elman 1990.
    """
    (h,) = state
    sum_h = linear(x, weight_ih, bias) + linear(h, weight_hh)
    return {"sum_h": sum_h, "h": sum_h.tanh()}


def lstm(x: Tensor, state: LayerState, weight_ih: Tensor, weight_hh: Tensor, bias: Tensor) -> Parts:
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
        The sums of i f g o, and i f g o c h.

    Source:
        Hochreiter & Schmidhuber 1997; forget gate: Gers, Schmidhuber & Cummins 2000.
    """
    h, c = state
    sum_i, sum_f, sum_g, sum_o = (linear(x, weight_ih, bias) + linear(h, weight_hh)).chunk(4, dim=1)
    i, f, g, o = sum_i.sigmoid(), sum_f.sigmoid(), sum_g.tanh(), sum_o.sigmoid()
    c = f * c + i * g
    h = o * c.tanh()
    sums = {"sum_i": sum_i, "sum_f": sum_f, "sum_g": sum_g, "sum_o": sum_o}
    return {**sums, "i": i, "f": f, "g": g, "o": o, "c": c, "h": h}


def gru(x: Tensor, state: LayerState, weight_ih: Tensor, weight_hh: Tensor, bias: Tensor, bias_n: Tensor) -> Parts:
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
        The sums of r z n, and r z n h.

    Source:
        Cho et al. 2014, equations 5 to 8; this position of the reset gate: Chung et al. 2014 and cuDNN.
    """
    (h,) = state
    x_r, x_z, x_n = linear(x, weight_ih, bias).chunk(3, dim=1)
    h_r, h_z, h_n = linear(h, weight_hh).chunk(3, dim=1)
    sum_r, sum_z = x_r + h_r, x_z + h_z
    r, z = sum_r.sigmoid(), sum_z.sigmoid()
    sum_n = x_n + r * (h_n + bias_n)
    n = sum_n.tanh()
    h = (1 - z) * n + z * h
    return {"sum_r": sum_r, "sum_z": sum_z, "sum_n": sum_n, "r": r, "z": z, "n": n, "h": h}


def peephole(
    x: Tensor, state: LayerState, weight_ih: Tensor, weight_hh: Tensor, bias: Tensor, peephole: Tensor
) -> Parts:
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
        The sums of i f g o, and i f g o c h.

    Source:
        Gers & Schmidhuber 2000; Gers, Schraudolph & Schmidhuber 2002.
    """
    h, c = state
    p_i, p_f, p_o = peephole.chunk(3)
    sum_i, sum_f, sum_g, sum_o = (linear(x, weight_ih, bias) + linear(h, weight_hh)).chunk(4, dim=1)
    sum_i, sum_f = sum_i + p_i * c, sum_f + p_f * c
    i, f, g = sum_i.sigmoid(), sum_f.sigmoid(), sum_g.tanh()
    c = f * c + i * g
    sum_o = sum_o + p_o * c
    o = sum_o.sigmoid()
    h = o * c.tanh()
    sums = {"sum_i": sum_i, "sum_f": sum_f, "sum_g": sum_g, "sum_o": sum_o}
    return {**sums, "i": i, "f": f, "g": g, "o": o, "c": c, "h": h}


STEPS: dict[str, Callable[..., Parts]] = {"rnn": rnn, "lstm": lstm, "gru": gru, "peephole": peephole}


def next_state(cell: str, parts: Parts) -> LayerState:
    """The parts that go on to the next step.

    Args:
        cell: one of `shapes.CELLS`.
        parts: what its function returned.

    Returns:
        h, with some cells followed by c, (B, H) each.
    """
    return tuple(parts[name] for name in CELLS[cell].states)
