"""Recurrent layers over a whole window, fast; each equals its cell in `cells` stepped along.

Letters: T time, B batch, D input features, H hidden features. Time comes first here: that is how oneDNN and cuDNN
want it, and `model` turns the batch around once on the way in and once on the way out.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from charlstm.nn.cells import LayerState


def keep_mask(like: Tensor, shape: Sequence[int], rate: float, generator: torch.Generator | None) -> Tensor:
    """A dropout mask: 0 with probability ``rate``, else 1 / (1 - rate), so that the mean is 1."""
    return (torch.rand(shape, dtype=like.dtype, device=like.device, generator=generator) >= rate) / (1.0 - rate)


class LstmLayer(nn.Module):
    """A one-layer `torch.nn.LSTM` with one bias, this project's initial weights, and weight-drop.

    Initial weights: recurrent matrices orthogonal gate by gate, which keeps the length of what is carried
    (Saxe et al. 2014); input matrices Glorot-uniform; forget-gate bias 1, so that the cell begins by remembering
    (Jozefowicz et al. 2015). torch's second bias is a twin of the first: it stays 0 and does not learn.

    Args:
        input_size: D.
        hidden_size: H.
        weight_drop: share of ``weight_hh`` set to zero in training, one mask a window (Merity et al. 2018).
    """

    def __init__(self, input_size: int, hidden_size: int, weight_drop: float = 0.0) -> None:
        super().__init__()
        self.hidden_size = hidden_size
        self.weight_drop = weight_drop
        self.rnn = nn.LSTM(input_size, hidden_size)
        weight_ih, weight_hh, bias, twin = self.rnn.all_weights[0]
        twin.requires_grad_(False)
        with torch.no_grad():
            for gate in range(4):
                nn.init.orthogonal_(weight_hh[gate * hidden_size : (gate + 1) * hidden_size])
            nn.init.xavier_uniform_(weight_ih)
            twin.zero_()
            bias.zero_()
            bias[hidden_size : 2 * hidden_size] = 1.0

    @property
    def weights(self) -> tuple[Tensor, Tensor, Tensor]:
        """``weight_ih`` (4H, D), ``weight_hh`` (4H, H) and ``bias`` (4H,), gates in the order i f g o."""
        weight_ih, weight_hh, bias, _ = self.rnn.all_weights[0]
        return weight_ih, weight_hh, bias

    def forward(
        self, inputs: Tensor, state: LayerState | None, generator: torch.Generator | None = None
    ) -> tuple[Tensor, LayerState]:
        """Read a window.

        Args:
            inputs: (T, B, D).
            state: ``(h, c)`` each (B, H), or None for zeros.
            generator: of the weights dropped in training.

        Returns:
            the hidden states (T, B, H) and the state after the window.
        """
        if state is None:
            zeros = inputs.new_zeros(inputs.shape[1], self.hidden_size)
            state = (zeros, zeros)
        h, c = (part.unsqueeze(0) for part in state)
        if self.training and self.weight_drop:
            outputs, h, c = self._dropped(inputs, h, c, generator)
        else:
            outputs, (h, c) = self.rnn(inputs, (h, c))
        return outputs, (h.squeeze(0), c.squeeze(0))

    def _dropped(
        self, inputs: Tensor, h: Tensor, c: Tensor, generator: torch.Generator | None
    ) -> tuple[Tensor, Tensor, Tensor]:
        weight_ih, weight_hh, bias, twin = self.rnn.all_weights[0]
        kept = weight_hh * keep_mask(weight_hh, weight_hh.shape, self.weight_drop, generator)
        weights = [weight_ih, kept, bias, twin]
        # What nn.LSTM.forward calls: one layer with biases, no dropout of its own, one direction, time first.
        outputs, h, c = torch.lstm(inputs, (h, c), weights, True, 1, 0.0, True, False, False)
        return outputs, h, c
