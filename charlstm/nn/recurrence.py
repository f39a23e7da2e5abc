"""Recurrent layers over whole windows, fast; each is equal to its cell in `cells`, applied step by step.

Here time is the first axis, as oneDNN and cuDNN require; `model` transposes once at its input and once at its output.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from charlstm.nn import fused
from charlstm.nn.cells import STEPS, next_state
from charlstm.nn.dropout import DropoutRng
from charlstm.nn.fused import WindowFunction
from charlstm.nn.shapes import CELLS
from charlstm.nn.state import LayerState

FUSED_FROM = 3_000_000
"""Weights of an LSTM from which our fused kernel is faster in half precision than oneDNN's, as measured
(``docs/decisions/fused-kernels.md``)."""


class RecurrentLayer(nn.Module):
    """One layer of any cell, with its initial weights and DropConnect.

    Initial weights: recurrent matrices orthogonal gate by gate, which preserves the norm of the hidden state
    (Saxe et al. 2014); input matrices Glorot-uniform; biases 0, but 1 for the gate that keeps the state (f, in the GRU
    z), so that the cell remembers at first (Jozefowicz et al. 2015); peepholes 0.

    Args:
        cell: one of `shapes.CELLS`.
        input_size: D.
        hidden_size: H.
        weight_drop: share of ``weight_hh`` set to zero in training, with one mask per window (Merity et al. 2018).
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
        """The tensors of the layer in the order of `shapes.CELLS`, which is that of the cell's parameters."""
        return tuple(getattr(self, name) for name in CELLS[self.cell].tensors)

    def empty_state(self, batch: int) -> LayerState:
        """Return the state of B texts before any text: zeros, (B, H) each."""
        weight_hh = self.weights[1]
        return (weight_hh.new_zeros(batch, self.hidden_size),) * len(CELLS[self.cell].states)

    def forward(self, inputs: Tensor, state: LayerState, rng: DropoutRng) -> tuple[Tensor, LayerState]:
        """Process a window.

        Args:
            inputs: (T, B, D).
            state: the state before the window, each part (B, H).
            rng: the source of the DropConnect mask in training.

        Returns:
            The hidden states, (T, B, H), and the state after the window.
        """
        if len(inputs) == 1 and not self.training:  # one step: the plain cell has the least overhead
            after = next_state(self.cell, STEPS[self.cell](inputs[0], state, *self.weights))
            return after[0][None], after
        weight_ih, weight_hh, *others = self.weights
        if self.training and self.weight_drop:
            weight_hh = weight_hh * rng.mask(weight_hh, weight_hh.shape, self.weight_drop)
        run_window = (CUDA_KERNELS if inputs.is_cuda else CPU_KERNELS)[self.cell]
        return run_window(inputs, state, (weight_ih, weight_hh, *others))


# ---- torch's kernels --------------------------------------------------------------------------------------------
#
# Called as nn.LSTM.forward calls them: one layer with biases, without dropout, one direction, time first. torch adds
# two biases; the second is 0 here. Under autocast the kernels return the state in half precision; it is converted back
# to the precision of the initial state.


def torch_lstm(inputs: Tensor, state: LayerState, weights: tuple[Tensor, ...]) -> tuple[Tensor, LayerState]:
    """See `WindowFunction`: `cells.lstm` with oneDNN or cuDNN."""
    weight_ih, weight_hh, bias = weights
    initial = [part.unsqueeze(0).to(inputs.dtype) for part in state]
    outputs, h, c = torch.lstm(
        inputs, initial, [weight_ih, weight_hh, bias, torch.zeros_like(bias)], *_one_layer()
    )  # fmt: skip
    return outputs, (h.squeeze(0).to(state[0].dtype), c.squeeze(0).to(state[1].dtype))


def cpu_lstm(inputs: Tensor, state: LayerState, weights: tuple[Tensor, ...]) -> tuple[Tensor, LayerState]:
    """See `WindowFunction`: `cells.lstm` with oneDNN, or in half precision with our fused kernel.

    Ours is faster for large layers, and oneDNN has none on processors without AVX-512.
    """
    onednn = onednn_computes(sum(weight.numel() for weight in weights), half=torch.is_autocast_enabled("cpu"))
    return (torch_lstm if onednn else fused.lstm)(inputs, state, weights)


def onednn_computes(weights: int, *, half: bool) -> bool:
    """Whether oneDNN computes the windows of an LSTM layer on this CPU.

    Args:
        weights: how many the layer has.
        half: whether it is computed in half precision.

    Returns:
        False where our fused kernel does.
    """
    return not half or (weights < FUSED_FROM and onednn_has_half_lstm())


def onednn_has_half_lstm() -> bool:
    """Whether oneDNN has an LSTM in bf16 for this processor."""
    return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


def torch_gru(inputs: Tensor, state: LayerState, weights: tuple[Tensor, ...]) -> tuple[Tensor, LayerState]:
    """See `WindowFunction`: `cells.gru` with cuDNN."""
    weight_ih, weight_hh, bias, bias_n = weights
    second_bias = torch.cat((torch.zeros_like(bias[: -len(bias_n)]), bias_n))
    initial = state[0].unsqueeze(0).to(inputs.dtype)
    outputs, h = torch.gru(inputs, initial, [weight_ih, weight_hh, bias, second_bias], *_one_layer())
    return outputs, (h.squeeze(0).to(state[0].dtype),)


def torch_rnn(inputs: Tensor, state: LayerState, weights: tuple[Tensor, ...]) -> tuple[Tensor, LayerState]:
    """See `WindowFunction`: `cells.rnn` with cuDNN."""
    weight_ih, weight_hh, bias = weights
    initial = state[0].unsqueeze(0).to(inputs.dtype)
    outputs, h = torch.rnn_tanh(inputs, initial, [weight_ih, weight_hh, bias, torch.zeros_like(bias)], *_one_layer())
    return outputs, (h.squeeze(0).to(state[0].dtype),)


def _one_layer() -> tuple[bool, int, float, bool, bool, bool]:
    """Return ``has_biases, num_layers, dropout, train, bidirectional, batch_first``."""
    return True, 1, 0.0, torch.is_grad_enabled(), False, False


CUDA_KERNELS: dict[str, WindowFunction] = {
    "rnn": torch_rnn,
    "lstm": torch_lstm,
    "gru": torch_gru,
    "peephole": fused.peephole,
}
CPU_KERNELS: dict[str, WindowFunction] = {
    "rnn": fused.rnn,
    "lstm": cpu_lstm,
    "gru": fused.gru,
    "peephole": fused.peephole,
}
"""Also for Apple's GPUs. On a CPU only the LSTM has a oneDNN kernel; ``docs/decisions/fused-kernels.md`` compares it
with ours by shape."""
