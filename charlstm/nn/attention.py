"""Attention of the top recurrent layer to its own past.

Letters: A features of queries, keys and values; W length of the attention window, in steps.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import linear, scaled_dot_product_attention

from charlstm.nn.shapes import attention_shapes
from charlstm.nn.state import LayerState


def empty_memory(batch: int, window: int, size: int, like: Tensor) -> LayerState:
    """Return the attention memory before any text: W empty places.

    Args:
        batch: B.
        window: W.
        size: A.
        like: a tensor with the device and type that the memory is to have.

    Returns:
        Keys (B, W, A), values (B, W, A), and which places are filled, (B, W) bool: none.
    """
    zeros = like.new_zeros(batch, window, size)
    return zeros, zeros, torch.zeros(batch, window, dtype=torch.bool, device=like.device)


def attend(
    hidden: Tensor, memory: LayerState, query: Tensor, key: Tensor, value: Tensor, out: Tensor
) -> tuple[Tensor, LayerState]:
    """Add to each hidden state a weighted mean of the last W values, its own included.

    With h the hidden states and s ranging over the last W steps up to and including t::

        q_t = Q h_t        a_ts = exp(q_t · k_s / √A) / Σ_r exp(q_t · k_r / √A)
        k_s = K h_s        m_t = h_t + O Σ_s a_ts v_s
        v_s = V h_s

    Args:
        hidden: h, (B, T, H).
        memory: keys (B, W, A) and values (B, W, A) of the last W steps, the newest last, and which of them are filled,
            (B, W).
        query: Q, (A, H).
        key: K, (A, H).
        value: V, (A, H).
        out: O, (H, A).

    Returns:
        m, (B, T, H), and the next memory.

    Source:
        Content-based attention over recurrent states: Luong, Pham & Manning 2015; over the network's own past: Cheng,
        Dong & Lapata 2016; scaled dot products: Vaswani et al. 2017, equation 1.
    """
    old_keys, old_values, old_filled = memory
    window, time = old_keys.shape[1], hidden.shape[1]
    keys = torch.cat((old_keys, linear(hidden, key).to(old_keys.dtype)), 1)
    values = torch.cat((old_values, linear(hidden, value).to(old_values.dtype)), 1)
    filled = torch.cat((old_filled, old_filled.new_ones(len(hidden), time)), 1)
    # Step t is at place W + t of the concatenation and attends to the W places up to its own.
    age = window + torch.arange(time, device=hidden.device)[:, None] - torch.arange(window + time, device=hidden.device)
    visible = ((age >= 0) & (age < window)) & filled[:, None]
    queries = linear(hidden, query).to(keys.dtype)
    attended = scaled_dot_product_attention(
        queries[:, None], keys[:, None], values[:, None], attn_mask=visible[:, None]
    ).squeeze(1)
    return hidden + linear(attended, out), (keys[:, time:], values[:, time:], filled[:, time:])


def attention_weights(hidden: Tensor, memory: LayerState, query: Tensor, key: Tensor) -> Tensor:
    """The weights a_ts that `attend` gives to each earlier step, which its fused kernel does not return.

    Args:
        hidden: h, (B, T, H).
        memory: the memory before the first step, as `attend` takes it.
        query: Q, (A, H).
        key: K, (A, H).

    Returns:
        The weights of the last W steps, the newest, which is the step's own, last: (B, T, W). They sum to 1; places
        before the text have none.
    """
    old_keys, _, old_filled = memory
    window, time = old_keys.shape[1], hidden.shape[1]
    keys = torch.cat((old_keys, linear(hidden, key).to(old_keys.dtype)), 1)
    filled = torch.cat((old_filled, old_filled.new_ones(len(hidden), time)), 1)
    # The places that step t sees are t + 1 to t + W of the concatenation.
    seen_keys = keys[:, 1:].unfold(1, window, 1).transpose(2, 3)  # (B, T, W, A)
    seen = filled[:, 1:].unfold(1, window, 1)
    queries = linear(hidden, query).to(keys.dtype)
    scores = (seen_keys @ queries[..., None]).squeeze(-1) / math.sqrt(keys.shape[-1])
    return scores.masked_fill(~seen, -math.inf).softmax(-1)


class Attention(nn.Module):
    """`attend` with its weights. O is initialised to zeros, so that attention has no effect at first.

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
        """Return the memory of B texts before any text."""
        return empty_memory(batch, self.window, self.size, self.out)

    def forward(self, hidden: Tensor, memory: LayerState) -> tuple[Tensor, LayerState]:
        """See `attend`."""
        return attend(hidden, memory, *self.weights)
