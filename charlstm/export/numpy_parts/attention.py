"""Attention to the past."""

from __future__ import annotations

import math
from typing import TypeAlias

import numpy as np

from charlstm.export.numpy_parts.arrays import Array, softmax
from charlstm.export.numpy_parts.settings import ATTENTION_WINDOW

Memory: TypeAlias = tuple[Array, Array]


def attend(h: Array, memory: Memory, query: Array, key: Array, value: Array, out: Array) -> tuple[Array, Memory]:
    """Add to a hidden state a weighted mean of the last values, its own included.

    With s ranging over the last steps up to and including this one, t::

        q = Q h      k_s = K h_s      v_s = V h_s
        a_s = exp(q · k_s / √A) / Σ_r exp(q · k_r / √A)
        h + O Σ_s a_s v_s

    Args:
        h: the hidden state, (H,).
        memory: keys and values of the steps before, the newest last, (any number, A) each.
        query: Q, (A, H).
        key: K, (A, H).
        value: V, (A, H).
        out: O, (H, A).

    Returns:
        The sum, (H,), and the memory with this step in it.
    """
    keys = np.vstack((memory[0], key @ h))[-ATTENTION_WINDOW:]
    values = np.vstack((memory[1], value @ h))[-ATTENTION_WINDOW:]
    shares = softmax(keys @ (query @ h) / math.sqrt(len(query)))
    return h + out @ (shares @ values), (keys, values)
