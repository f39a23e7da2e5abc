"""An ONNX file in the place of the network it was made from: run by onnxruntime, scored like a `CharLM`."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnxruntime  # type: ignore[import-untyped]
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from charlstm.export.onnx_side_inputs import FROZEN, NEXT, TOKENS
from charlstm.nn.dropout import DropoutRng
from charlstm.nn.model import CharLM
from charlstm.nn.state import State

_COMPARED = (2, 64)  # rows and tokens that both networks read


class OnnxNetwork(nn.Module):
    """A network that onnxruntime computes on one thread.

    Args:
        file: the content of the ONNX file.
        model: the network it was made from, which gives the empty state.

    Attributes:
        architecture: of both.
    """

    def __init__(self, file: bytes, model: CharLM) -> None:
        super().__init__()
        self.architecture, self._model = model.architecture, model
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
        self._inputs = {each.name for each in self._session.get_inputs()}
        self._outputs = [each.name.removeprefix(NEXT) for each in self._session.get_outputs()]

    def forward(
        self, inputs: Tensor, state: State | None = None, rng: DropoutRng | None = None
    ) -> tuple[Tensor, State]:
        """Compute what `CharLM.forward` does.

        Args:
            inputs: token ids, (B, T).
            state: the state before them; None is the empty one.
            rng: not used: nothing is dropped.

        Returns:
            The logits, (B, T, V), and the next state.
        """
        state = self._model.empty_state(len(inputs)) if state is None else state
        feed: dict[str, NDArray[Any]] = {name: part.numpy() for name, part in state.named_parts()}
        feed |= {TOKENS: inputs.numpy(), FROZEN: np.array(state.frozen)}
        given = {name: array for name, array in feed.items() if name in self._inputs}
        results = [torch.from_numpy(array) for array in self._session.run(None, given)]
        logits, *_ = results
        return logits, state.from_named(dict(zip(self._outputs, results, strict=True)))


@torch.inference_mode()
def largest_difference(network: OnnxNetwork, model: CharLM) -> float:
    """The largest difference between a logit of both networks, on random tokens in two windows.

    Args:
        network: the one in ONNX.
        model: the other.
    """
    ids = torch.from_numpy(np.random.default_rng(0).integers(0, model.architecture.vocab_size, _COMPARED))
    states: list[State | None] = [None, None]
    largest = 0.0
    for window in ids.chunk(2, 1):
        (logits, states[0]), (wanted, states[1]) = network(window, states[0]), model(window, states[1])
        largest = max(largest, float((logits - wanted).abs().max()))
    return largest
