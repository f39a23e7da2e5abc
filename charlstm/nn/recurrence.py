"""Recurrent layers over a whole window, fast; each equals its cell in `cells` stepped along.

Letters: T time, B batch, D input features, H hidden features. Time comes first here: that is how oneDNN and cuDNN
want it, and `model` turns the batch around once on the way in and once on the way out.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from charlstm.nn import fused
from charlstm.nn.cells import STEPS
from charlstm.nn.dropout import DropoutRng
from charlstm.nn.shapes import CELLS
from charlstm.nn.state import LayerState

WholeWindow = Callable[[Tensor, LayerState, tuple[Tensor, ...]], tuple[Tensor, LayerState]]
"""Inputs (T, B, D), the state before and the weights → hidden states (T, B, H) and the state after."""


_FUSED_FROM = 3_000_000
"""Weights of an LSTM from which on our fused window is quicker in half precision than oneDNN's, as measured."""


class RecurrentLayer(nn.Module):
    """One layer of any cell, with this project's initial weights, and weight-drop.

    Initial weights: recurrent matrices orthogonal gate by gate, which keeps the length of what is carried
    (Saxe et al. 2014); input matrices Glorot-uniform; biases 0, but 1 for the gate that keeps (f, of the GRU z), so
    that the cell begins by remembering (Jozefowicz et al. 2015); peepholes 0.

    Args:
        cell: one of `shapes.CELLS`.
        input_size: D.
        hidden_size: H.
        weight_drop: share of ``weight_hh`` set to zero in training, one mask a window (Merity et al. 2018).
    """

    def __init__(self, cell: str, input_size: int, hidden_size: int, weight_drop: float = 0.0) -> None:
        super().__init__()
        self.cell, self.hidden_size, self.weight_drop = cell, hidden_size, weight_drop
        for name, shape in CELLS[cell].shapes(input_size, hidden_size).items():
            setattr(self, name, nn.Parameter(torch.zeros(shape)))
        weight_ih, weight_hh, bias, *_ = self.weights
        with torch.no_grad():
            for gate in weight_hh.chunk(CELLS[cell].gates):
                nn.init.orthogonal_(gate)
            nn.init.xavier_uniform_(weight_ih)
            if CELLS[cell].gates > 1:
                bias[hidden_size : 2 * hidden_size] = 1.0

    @property
    def weights(self) -> tuple[Tensor, ...]:
        """Its tensors in the order of `shapes.CELLS`, as its functions take them."""
        return tuple(getattr(self, name) for name in CELLS[self.cell].tensors)

    def empty_state(self, batch: int) -> LayerState:
        """The state before any text: zeros."""
        weight_hh = self.weights[1]
        return (weight_hh.new_zeros(batch, self.hidden_size),) * len(CELLS[self.cell].states)

    def forward(self, inputs: Tensor, state: LayerState, rng: DropoutRng) -> tuple[Tensor, LayerState]:
        """Read a window.

        Args:
            inputs: (T, B, D).
            state: the parts of the state before it, each (B, H).
            rng: of the weights dropped in training.

        Returns:
            The hidden states, (T, B, H), and the state after the window.
        """
        if len(inputs) == 1 and not self.training:  # one step: the readable cell has the least to set up
            after = STEPS[self.cell](inputs[0], state, *self.weights)
            return after[0][None], after
        weight_ih, weight_hh, *further = self.weights
        if self.training and self.weight_drop:
            weight_hh = weight_hh * rng.mask(weight_hh, weight_hh.shape, self.weight_drop)
        whole_window = (ON_CUDA if inputs.is_cuda else ELSEWHERE)[self.cell]
        return whole_window(inputs, state, (weight_ih, weight_hh, *further))


# ---- torch's own whole windows ----------------------------------------------------------------------------------
#
# Called as nn.LSTM.forward calls them: one layer with biases, no dropout of its own, one direction, time first. torch
# has two biases in every sum; the second is 0 here. Under autocast they give the state in half precision; it is carried
# in the precision it had.


def torch_lstm(inputs: Tensor, state: LayerState, weights: tuple[Tensor, ...]) -> tuple[Tensor, LayerState]:
    """`cells.lstm` by oneDNN or cuDNN."""
    weight_ih, weight_hh, bias = weights
    before = [part.unsqueeze(0).to(inputs.dtype) for part in state]
    outputs, h, c = torch.lstm(
        inputs, before, [weight_ih, weight_hh, bias, torch.zeros_like(bias)], *_one_layer()
    )  # fmt: skip
    return outputs, (h.squeeze(0).to(state[0].dtype), c.squeeze(0).to(state[1].dtype))


def cpu_lstm(inputs: Tensor, state: LayerState, weights: tuple[Tensor, ...]) -> tuple[Tensor, LayerState]:
    """`cells.lstm` by oneDNN; large ones in half precision by our fused window: there oneDNN falls behind."""
    large = torch.is_autocast_enabled("cpu") and sum(weight.numel() for weight in weights) >= _FUSED_FROM
    return (fused.lstm if large else torch_lstm)(inputs, state, weights)


def torch_gru(inputs: Tensor, state: LayerState, weights: tuple[Tensor, ...]) -> tuple[Tensor, LayerState]:
    """`cells.gru` by cuDNN."""
    weight_ih, weight_hh, bias, bias_n = weights
    second = torch.cat((torch.zeros_like(bias[: -len(bias_n)]), bias_n))
    before = state[0].unsqueeze(0).to(inputs.dtype)
    outputs, h = torch.gru(inputs, before, [weight_ih, weight_hh, bias, second], *_one_layer())
    return outputs, (h.squeeze(0).to(state[0].dtype),)


def torch_rnn(inputs: Tensor, state: LayerState, weights: tuple[Tensor, ...]) -> tuple[Tensor, LayerState]:
    """`cells.rnn` by cuDNN."""
    weight_ih, weight_hh, bias = weights
    before = state[0].unsqueeze(0).to(inputs.dtype)
    outputs, h = torch.rnn_tanh(inputs, before, [weight_ih, weight_hh, bias, torch.zeros_like(bias)], *_one_layer())
    return outputs, (h.squeeze(0).to(state[0].dtype),)


def _one_layer() -> tuple[bool, int, float, bool, bool, bool]:
    """``has_biases, num_layers, dropout, train, bidirectional, batch_first``."""
    return True, 1, 0.0, torch.is_grad_enabled(), False, False


ON_CUDA: dict[str, WholeWindow] = {
    "rnn": torch_rnn,
    "lstm": torch_lstm,
    "gru": torch_gru,
    "peephole": fused.peephole,
}
ELSEWHERE: dict[str, WholeWindow] = {
    "rnn": fused.rnn,
    "lstm": cpu_lstm,
    "gru": fused.gru,
    "peephole": fused.peephole,
}
"""On a CPU only the LSTM has a oneDNN path; `docs/decisions` has how it and ours compare, by shape."""
