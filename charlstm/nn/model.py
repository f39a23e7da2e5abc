"""The language model: embedding → recurrent layers (→ attention) → softmax over the vocabulary.

Letters as in `charlstm.nn`; K is the number of members of an ensemble.
"""

from __future__ import annotations

from collections.abc import Mapping
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

    Between the layers there is *locked* dropout: one mask for a whole window (Gal & Ghahramani 2016). With
    ``skip_connections`` every layer also reads the embedding, and the softmax reads every layer (Graves 2013).

    A ``bidirectional`` network has a second stack that reads the window backwards, and the two predict each token from
    all others (Berglund et al. 2015). With f_t the features of the forward stack after token t, and b_t those of the
    backward stack after it has read from the end down to t::

        m_t = tanh(M [f_(t-1), b_(t+1)] + d)
        logits_t = W m_t + c

    So the prediction of a token does not depend on it; a masked token is hidden from all other predictions as well.

    An ``ensemble`` has K stacks. In training each has its own loss, so that it learns independently of the others and
    they make different errors; in evaluation their logits are averaged. With h_k the features of stack k, and W_k its
    columns of the head's weight::

        logits = (1/K) Σ_k (W_k h_k + c)

    This is the normalised geometric mean of their probabilities (ensembles: Hansen & Salamon 1990).

    Args:
        architecture: the network's architecture.
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
        if self.side_inputs:  # rows of length 1: longer ones would swamp the side inputs, which start at zero
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
        architecture = self.architecture
        return RecurrentLayer(architecture.cell, input_size, architecture.hidden_size, architecture.weight_drop)

    def empty_state(self, batch: int) -> State:
        """Return the state of B texts before any text."""
        device, history = self.embedding.weight.device, self.architecture.history
        recent, side = None, None
        if history:
            recent = torch.zeros(batch, history, dtype=torch.int64, device=device)
            side = {name: side.empty_memory(batch, device) for name, side in self.architecture.enabled.items()}
        layers = tuple(tuple(layer.empty_state(batch) for layer in stack) for stack in self._stacks)
        return State(layers, None if self.attention is None else self.attention.empty_memory(batch), recent, side)

    def remember(self, tokens: Tensor, state: State | None = None) -> State:
        """Return the state of B texts at a place where the side inputs know what came before and the layers do not.

        Args:
            tokens: the ids of what came before, (B, any number).
            state: before them; None is `empty_state`.
        """
        state, time = self.empty_state(len(tokens)) if state is None else state, tokens.shape[1]
        if state.recent is None or state.side is None:
            return state
        history = WindowHistory(torch.cat((state.recent, tokens + 1), 1), time)
        memories = {name: side.remember(history, state.side[name]) for name, side in self.architecture.enabled.items()}
        return state._replace(recent=history.numbers[:, time:], side=memories)

    def forward(
        self, inputs: Tensor, state: State | None = None, rng: DropoutRng | None = None
    ) -> tuple[Tensor, State]:
        """Predict the successor of each token; a bidirectional network predicts each token itself.

        Args:
            inputs: token ids, (B, T); in a bidirectional network the id V is the mask.
            state: the state at the window's start, and for the backward stack at its end; None is `empty_state`.
            rng: the source of dropout masks in training; None is torch's global generator.

        Returns:
            Logits, (B, T, V). In the training of an ensemble (K * B, T, V): the logits of each member, all rows of the
            first member before those of the second. And the state at the window's end, and for the backward stack at
            its start.
        """
        state = self.empty_state(len(inputs)) if state is None else state
        rng = rng or DropoutRng()
        embedded, recent, side = self._embed(inputs, state, rng)
        if self.merge is not None:
            logits, layers = self._predict_from_both_sides(embedded, state, rng)
            return logits.transpose(0, 1), State(layers)
        logits, layers, attention = self._predict_next(embedded, state, rng)
        return logits.transpose(0, 1), State(layers, attention, recent, side, state.frozen)

    def _predict_next(
        self, embedded: Tensor, state: State, rng: DropoutRng
    ) -> tuple[Tensor, tuple[tuple[LayerState, ...], ...], LayerState | None]:
        """Return each member's logits, (T, K * B, V), or their mean, (T, B, V), and the next states."""
        outputs, layers, attention = [], [], state.attention
        for stack, stack_state in zip(self._stacks, state.layers, strict=True):
            dropped = self._locked_dropout(embedded, self.architecture.dropout / 2, rng)
            features, next_state, attention = self._run_stack(stack, dropped, stack_state, attention, rng)
            outputs.append(features)
            layers.append(next_state)
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
        """Return the logits of each token, (T, B, V), and the next state of both stacks."""
        assert self.merge is not None
        (forward_stack, backward_stack), (forward_state, backward_state) = self._stacks, state.layers
        embedded = self._locked_dropout(embedded, self.architecture.dropout / 2, rng)
        past, next_forward, _ = self._run_stack(forward_stack, embedded, forward_state, None, rng)
        future, next_backward, _ = self._run_stack(backward_stack, embedded.flip(0), backward_state, None, rng)
        sides = torch.cat((self._delay(past, forward_state), self._delay(future, backward_state).flip(0)), -1)
        return self.head(self.merge(sides).tanh()), (next_forward, next_backward)

    def _embed(
        self, inputs: Tensor, state: State, rng: DropoutRng
    ) -> tuple[Tensor, Tensor | None, dict[str, Memory] | None]:
        """Return the lowest layer's input, (T, B, E), and the next history and memories of the side inputs."""
        embedded = self.embedding(inputs.t())
        if state.recent is None or state.side is None:
            return embedded, None, None
        time, memories = inputs.shape[1], {}
        history = WindowHistory(torch.cat((state.recent, inputs + 1), 1), time)
        for name, side in self.architecture.enabled.items():
            rows, memories[name] = side.window_rows(
                history, state.side[name], self.architecture.vocab_size, frozen=state.frozen
            )
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
        """Return a stack's features, (T, B, H), with skip connections those of all its layers, and its next state."""
        features, outputs, next_state = embedded, [], []
        for k, layer in enumerate(stack):
            if k and self.architecture.skip_connections:
                features = torch.cat((features, embedded), -1)
            features, layer_state = layer(features, state[k], rng)
            next_state.append(layer_state)
            if layer is stack[-1] and self.attention is not None and attention is not None:
                attended, attention = self.attention(features.transpose(0, 1), attention)
                features = attended.transpose(0, 1)
            features = self._locked_dropout(features, self.architecture.dropout, rng)
            outputs.append(features)
        features = torch.cat(outputs, -1) if self.architecture.skip_connections else features
        return features, tuple(next_state), attention

    def _delay(self, features: Tensor, state: tuple[LayerState, ...]) -> Tensor:
        """Shift features by one step: each token gets those of the previous token, the first one those of the state."""
        hidden = [layer[0] for layer in state]
        first = torch.cat(hidden, -1) if self.architecture.skip_connections else hidden[-1]
        return torch.cat((first[None].to(features.dtype), features[:-1]))

    def _locked_dropout(self, features: Tensor, rate: float, rng: DropoutRng) -> Tensor:
        """Apply dropout to features (T, B, H) with one mask (1, B, H) for the whole window."""
        if not self.training or rate == 0.0:
            return features
        return features * rng.mask(features, (1, *features.shape[1:]), rate, batch_dim=1)

    @torch.no_grad()
    def init_output_bias(self, counts: NDArray[np.integer[Any]]) -> None:
        """Initialise the output bias to the log frequency of each token, so that training need not learn it first.

        Args:
            counts: occurrences of each token in the training text, (V,).
        """
        shares = (counts + 1) / (counts + 1).sum()
        self.head.bias.copy_(torch.from_numpy(np.log(shares)))

    def parameter_count(self) -> int:
        """Return the number of trainable parameters."""
        return sum(weight.numel() for weight in self.parameters() if weight.requires_grad)

    def to_tensors(self) -> dict[str, NDArray[Any]]:
        """Return a copy of the weights in fp32, by their names in a checkpoint."""
        return {name: weight.float().cpu().numpy().copy() for name, weight in self.state_dict().items()}

    def load_tensors(self, tensors: Mapping[str, NDArray[Any]]) -> None:
        """Load weights: the inverse of `to_tensors`.

        Args:
            tensors: by name, with the shapes that the architecture requires.
        """
        self.load_state_dict({name: torch.from_numpy(np.array(tensor, np.float32)) for name, tensor in tensors.items()})
