"""Recurrent cells, one step each: the equations, to be read. `recurrence` has the same over a whole window, fast.

Letters: B batch, D input features, H hidden features. Gates stand in torch's order i f g o.
"""

from __future__ import annotations

from typing import TypeAlias

import torch
from torch import Tensor

LayerState: TypeAlias = tuple[Tensor, Tensor]
"""``(h, c)``, each (B, H)."""


def lstm(x: Tensor, state: LayerState, weight_ih: Tensor, weight_hh: Tensor, bias: Tensor) -> LayerState:
    """One step of the LSTM with forget gate.

    With ``h', c'`` the state before::

        i = σ(W_i x + U_i h' + b_i)     what is written
        f = σ(W_f x + U_f h' + b_f)     what is kept
        g = tanh(W_g x + U_g h' + b_g)  what there is to write
        o = σ(W_o x + U_o h' + b_o)     what is shown
        c = f ⊙ c' + i ⊙ g
        h = o ⊙ tanh(c)

    Args:
        x: the input, (B, D).
        state: ``(h', c')``, each (B, H).
        weight_ih: W of all gates, (4H, D).
        weight_hh: U of all gates, (4H, H).
        bias: b of all gates, (4H,).

    Returns:
        The state after, ``(h, c)``; h is also the output.

    Source:
        Hochreiter & Schmidhuber 1997; forget gate: Gers, Schmidhuber & Cummins 2000.
    """
    h, c = state
    i, f, g, o = torch.addmm(torch.addmm(bias, x, weight_ih.t()), h, weight_hh.t()).chunk(4, dim=1)
    c = f.sigmoid() * c + i.sigmoid() * g.tanh()
    return o.sigmoid() * c.tanh(), c
