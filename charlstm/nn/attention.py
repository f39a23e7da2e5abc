"""Attention of the top recurrent layer to its own past.

Letters: B batch, T time, H hidden features, A features attended with, W states looked back on.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import linear, scaled_dot_product_attention

from charlstm.nn.shapes import attention_shapes
from charlstm.nn.state import LayerState


def empty_memory(batch: int, window: int, size: int, like: Tensor) -> LayerState:
    """The memory before any text: W places with nothing in them."""
    nothing = like.new_zeros(batch, window, size)
    return nothing, nothing, torch.zeros(batch, window, dtype=torch.bool, device=like.device)


def attend(
    hidden: Tensor, memory: LayerState, query: Tensor, key: Tensor, value: Tensor, out: Tensor
) -> tuple[Tensor, LayerState]:
    """Add to each hidden state what it finds among the last W, itself the newest of them.

    With h the hidden states, s running over the last W steps up to t::

        q_t = Q h_t        a_ts = exp(q_t · k_s / √A) / Σ_r exp(q_t · k_r / √A)
        k_s = K h_s        m_t = h_t + O Σ_s a_ts v_s
        v_s = V h_s

    Args:
        hidden: h, (B, T, H).
        memory: keys (B, W, A) and values (B, W, A) of the last W steps, the newest last, and which of them there are,
            (B, W).
        query: Q, (A, H).
        key: K, (A, H).
        value: V, (A, H).
        out: O, (H, A).

    Returns:
        m, (B, T, H), and the memory after.

    Source:
        Attention by content over recurrent states: Luong, Pham & Manning 2015; over the network's own past: Cheng,
        Dong & Lapata 2016; scaled products: Vaswani et al. 2017, equation 1.
    """
    old_keys, old_values, old_there = memory
    window, time = old_keys.shape[1], hidden.shape[1]
    keys = torch.cat((old_keys, linear(hidden, key).to(old_keys.dtype)), 1)
    values = torch.cat((old_values, linear(hidden, value).to(old_values.dtype)), 1)
    there = torch.cat((old_there, old_there.new_ones(len(hidden), time)), 1)
    # Step t stands at place W + t of what there is now, and sees the W places up to its own.
    age = window + torch.arange(time, device=hidden.device)[:, None] - torch.arange(window + time, device=hidden.device)
    seen = ((age >= 0) & (age < window)) & there[:, None]
    queries = linear(hidden, query).to(keys.dtype)
    found = scaled_dot_product_attention(
        queries[:, None], keys[:, None], values[:, None], attn_mask=seen[:, None]
    ).squeeze(1)
    return hidden + linear(found, out), (keys[:, time:], values[:, time:], there[:, time:])


class Attention(nn.Module):
    """`attend` with its weights. O begins as zeros: the network begins as if it were not there.

    Args:
        hidden_size: H.
        window: W.
    """

    def __init__(self, hidden_size: int, window: int) -> None:
        super().__init__()
        self.window = window
        for name, shape in attention_shapes(hidden_size).items():
            setattr(self, name, nn.Parameter(torch.zeros(shape)))
        self.size = len(self.weights[0])
        for weight in self.weights[:3]:
            nn.init.normal_(weight, std=1 / math.sqrt(hidden_size))

    @property
    def weights(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Q, K, V and O."""
        return self.query, self.key, self.value, self.out

    query: Tensor
    key: Tensor
    value: Tensor
    out: Tensor

    def empty_memory(self, batch: int) -> LayerState:
        """The memory before any text."""
        return empty_memory(batch, self.window, self.size, self.out)

    def forward(self, hidden: Tensor, memory: LayerState) -> tuple[Tensor, LayerState]:
        """See `attend`."""
        return attend(hidden, memory, *self.weights)
