"""The language model: embedding → recurrent layers (→ attention) → softmax over the vocabulary.

Letters: B batch, T time, V vocabulary, H hidden units, E embedding features, K members of an ensemble.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import linear

from charlstm.nn.architecture import Architecture
from charlstm.nn.attention import Attention
from charlstm.nn.dropout import DropoutRng
from charlstm.nn.recurrence import RecurrentLayer
from charlstm.nn.shapes import tensor_shapes
from charlstm.nn.side_inputs.base import Memory, WindowHistory
from charlstm.nn.side_inputs.table import SideInputTable
from charlstm.nn.state import LayerState, State


class CharLM(nn.Module):
    """A stack of recurrent layers that predicts the next token.

    Between the layers lies *locked* dropout: one mask for a whole window (Gal & Ghahramani 2016). With
    ``skip_connections`` every layer also reads the embedding, and the softmax reads every layer (Graves 2013).

    A ``bidirectional`` network has a second stack that reads from the window's end, and both together predict each
    token from all the others (Berglund et al. 2015): with f_t the first one's features after token t, and b_t the
    second one's after it has read down to t ::

        m_t = tanh(M [f_(t-1), b_(t+1)] + d)
        logits_t = W m_t + c

    So no token sees itself; where the mask stands, the token is hidden from all others as well.

    An ``ensemble`` has K stacks. In training each has a loss of its own, so that it learns as if there were no other
    and all make different mistakes; otherwise their logits are averaged. With h_k the features of stack k, and W_k its
    columns of the head ::

        logits = (1/K) Σ_k (W_k h_k + c)

    That is the geometric mean of their probabilities (ensembles: Hansen & Salamon 1990).

    Args:
        architecture: the network's shape.
    """

    architecture: Architecture
    side_inputs: nn.ModuleDict

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        self.architecture = architecture
        shapes = dict(tensor_shapes(architecture))
        tokens, size = shapes["embedding.weight"]
        self.embedding = nn.Embedding(tokens, size)
        self.side_inputs = nn.ModuleDict()
        for name, side in architecture.enabled.items():
            self.side_inputs[name] = SideInputTable(side, architecture.vocab_size, size)
        if self.side_inputs:  # rows of length 1: larger ones would drown what is added to them, which begins as zeros
            nn.init.normal_(self.embedding.weight, std=size**-0.5)
        self._stacks: list[list[RecurrentLayer]] = []
        for name in architecture.stacks:
            self._stacks.append([self._new_layer(size) for size in architecture.input_sizes])
            self.add_module(name, nn.ModuleList(self._stacks[-1]))
        window = architecture.attention_window
        self.attention = Attention(architecture.hidden_size, window) if window else None
        self.merge: nn.Linear | None = None
        if architecture.bidirectional:
            merged, features = shapes["merge.weight"]
            self.merge = nn.Linear(features, merged)
        vocab, features = shapes["head.weight"]
        self.head = nn.Linear(features, vocab)

    def _new_layer(self, input_size: int) -> RecurrentLayer:
        shape = self.architecture
        return RecurrentLayer(shape.cell, input_size, shape.hidden_size, shape.weight_drop)

    def empty_state(self, batch: int) -> State:
        """The state before any text, for ``batch`` texts side by side."""
        device, history = self.embedding.weight.device, self.architecture.history
        recent, side = None, None
        if history:
            recent = torch.zeros(batch, history, dtype=torch.int64, device=device)
            side = {name: side.empty_memory(batch, device) for name, side in self.architecture.enabled.items()}
        layers = tuple(tuple(layer.empty_state(batch) for layer in stack) for stack in self._stacks)
        return State(layers, None if self.attention is None else self.attention.empty_memory(batch), recent, side)

    def forward(
        self, inputs: Tensor, state: State | None = None, rng: DropoutRng | None = None
    ) -> tuple[Tensor, State]:
        """Predict what follows each token; of a bidirectional network, what each token is.

        Args:
            inputs: ids, (B, T); V is the mask of a bidirectional network.
            state: the state before the window, and for the backward stack behind it; None is `empty_state`.
            rng: of what is dropped in training; None is torch's own generator.

        Returns:
            Logits, (B, T, V), in training of an ensemble (K * B, T, V): each member's own, all rows of the first before
            those of the second; and the state after the window, and for the backward stack before it.
        """
        state = self.empty_state(len(inputs)) if state is None else state
        rng = rng or DropoutRng()
        embedded, recent, side = self._embed(inputs, state, rng)
        if self.merge is not None:
            logits, layers = self._predict_from_both_sides(embedded, state, rng)
            return logits.transpose(0, 1), State(layers)
        logits, layers, attention = self._predict_next(embedded, state, rng)
        return logits.transpose(0, 1), State(layers, attention, recent, side)

    def _predict_next(
        self, embedded: Tensor, state: State, rng: DropoutRng
    ) -> tuple[Tensor, tuple[tuple[LayerState, ...], ...], LayerState | None]:
        """Each member's logits, (T, K * B, V), or their mean, (T, B, V); the state of layers and attention after."""
        outputs, layers, attention = [], [], state.attention
        for stack, before in zip(self._stacks, state.layers, strict=True):
            dropped = self._locked_dropout(embedded, self.architecture.dropout / 2, rng)
            features, after, attention = self._run_stack(stack, dropped, before, attention, rng)
            outputs.append(features)
            layers.append(after)
        members = len(outputs)
        if self.training and members > 1:
            weights = self.head.weight.chunk(members, 1)
            logits = [linear(h, weight, self.head.bias) for h, weight in zip(outputs, weights, strict=True)]
            return torch.cat(logits, 1), tuple(layers), attention
        features = torch.cat(outputs, -1) / members if members > 1 else outputs[0]
        return self.head(features), tuple(layers), attention

    def _predict_from_both_sides(
        self, embedded: Tensor, state: State, rng: DropoutRng
    ) -> tuple[Tensor, tuple[tuple[LayerState, ...], ...]]:
        """The logits of each token, (T, B, V), and the state of both stacks after."""
        assert self.merge is not None
        (forwards, backwards), (before, behind) = self._stacks, state.layers
        embedded = self._locked_dropout(embedded, self.architecture.dropout / 2, rng)
        past, after_past, _ = self._run_stack(forwards, embedded, before, None, rng)
        future, after_future, _ = self._run_stack(backwards, embedded.flip(0), behind, None, rng)
        sides = torch.cat((self._one_late(past, before), self._one_late(future, behind).flip(0)), -1)
        return self.head(self.merge(sides).tanh()), (after_past, after_future)

    def _embed(
        self, inputs: Tensor, state: State, rng: DropoutRng
    ) -> tuple[Tensor, Tensor | None, dict[str, Memory] | None]:
        """What the lowest layer reads, (T, B, E), and the history and memories of the side inputs after."""
        embedded = self.embedding(inputs.t())
        if state.recent is None or state.side is None:
            return embedded, None, None
        time, memories = inputs.shape[1], {}
        history = WindowHistory(torch.cat((state.recent, inputs + 1), 1), time)
        for name, side in self.architecture.enabled.items():
            rows, memories[name] = side.window_rows(history, state.side[name], self.architecture.vocab_size)
            embedded = embedded + self.side_inputs[name](rows, rng).transpose(0, 1)
        return embedded, history.numbers[:, time:], memories

    def _run_stack(
        self,
        stack: list[RecurrentLayer],
        embedded: Tensor,
        state: tuple[LayerState, ...],
        attention: LayerState | None,
        rng: DropoutRng,
    ) -> tuple[Tensor, tuple[LayerState, ...], LayerState | None]:
        """A stack's features, (T, B, H), with skip connections those of all its layers, and the state after."""
        features, outputs, after = embedded, [], []
        for k, layer in enumerate(stack):
            if k and self.architecture.skip_connections:
                features = torch.cat((features, embedded), -1)
            features, layer_state = layer(features, state[k], rng)
            after.append(layer_state)
            if layer is stack[-1] and self.attention is not None and attention is not None:
                attended, attention = self.attention(features.transpose(0, 1), attention)
                features = attended.transpose(0, 1)
            features = self._locked_dropout(features, self.architecture.dropout, rng)
            outputs.append(features)
        features = torch.cat(outputs, -1) if self.architecture.skip_connections else features
        return features, tuple(after), attention

    def _one_late(self, features: Tensor, before: tuple[LayerState, ...]) -> Tensor:
        """The features one step later: at each token those before it, at the first token those of the state."""
        hidden = [layer[0] for layer in before]
        first = torch.cat(hidden, -1) if self.architecture.skip_connections else hidden[-1]
        return torch.cat((first[None].to(features.dtype), features[:-1]))

    def _locked_dropout(self, features: Tensor, rate: float, rng: DropoutRng) -> Tensor:
        """Drop features of (T, B, H) with one mask (1, B, H) for the whole window."""
        if not self.training or rate == 0.0:
            return features
        return features * rng.mask(features, (1, *features.shape[1:]), rate, batch_dim=1)

    @torch.no_grad()
    def init_output_bias(self, counts: NDArray[np.integer[Any]]) -> None:
        """Begin with each token's frequency as its probability, so that it need not be learnt first.

        Args:
            counts: how often each token occurs, (V,).
        """
        shares = (counts + 1) / (counts + 1).sum()
        self.head.bias.copy_(torch.from_numpy(np.log(shares)))

    def parameter_count(self) -> int:
        """How many numbers learn."""
        return sum(weight.numel() for weight in self.parameters() if weight.requires_grad)

    def to_tensors(self) -> dict[str, NDArray[Any]]:
        """A copy of the weights, by the names a checkpoint has them under."""
        return {name: weight.float().cpu().numpy().copy() for name, weight in self.state_dict().items()}

    def load_tensors(self, tensors: dict[str, NDArray[Any]]) -> None:
        """Undo `to_tensors`.

        Args:
            tensors: by name, of the shapes that the architecture asks for.
        """
        self.load_state_dict({name: torch.from_numpy(np.array(tensor, np.float32)) for name, tensor in tensors.items()})
