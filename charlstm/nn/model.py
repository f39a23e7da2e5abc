"""The language model: embedding → stack of recurrent layers (→ attention) → softmax over the vocabulary.

Letters: B batch, T time, V vocabulary, H hidden features.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from charlstm.config import ModelConfig
from charlstm.nn.attention import Attention
from charlstm.nn.cells import LayerState
from charlstm.nn.ngrams import NGrams
from charlstm.nn.recall import Recall
from charlstm.nn.recurrence import RecurrentLayer, keep_mask
from charlstm.shapes import input_sizes, tensor_shapes

State: TypeAlias = tuple[LayerState, ...]
"""The state of each layer, parts of (B, H) each; behind them the attention's memory if there is one, or the state of
each layer that reads backwards; last what was read, for the n-grams and for what is recalled, if there are any.

A value: it goes in by argument and comes out by return."""

Part: TypeAlias = tuple[int, int]
"""Rows of a larger batch: the number of the first, and how many the whole has."""


class CharLM(nn.Module):
    """A stack of recurrent layers that predicts the next token.

    Between the layers lies *locked* dropout: one mask for a whole window (Gal & Ghahramani 2016). With ``skip`` every
    layer also reads the embedding, and the softmax reads every layer (Graves 2013).

    If it is ``bidirectional`` a second stack reads from the window's end, and both together predict each token from all
    the others (Berglund et al. 2015): with f_t what the one has read up to token t, and b_t the other down to it ::

        m_t = tanh(M [f_(t-1), b_(t+1)] + d)
        logits_t = W m_t + c

    So no token sees itself, and each can be asked for; where the mask stands it is hidden from the others as well.

    Args:
        config: the network's shape.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        hidden = config.hidden_size
        outer = dict(tensor_shapes(config.model_dump()))
        tokens, size = outer["embedding.weight"]
        self.embedding = nn.Embedding(tokens, size)
        self.ngrams: NGrams | None = None
        if config.ngram_order >= 2:
            self.ngrams = NGrams(config.ngram_order, config.ngram_rows, size, config.ngram_dropout)
        self.recall: Recall | None = None
        if config.recall:
            self.recall = Recall(config.recall, config.recall_rows, config.vocab_size, size)
        self._first_memory = config.num_layers + bool(config.attention_window)
        self._stack = self._new_stack()
        self.layers = nn.ModuleList(self._stack)
        self._back = self._new_stack() if config.bidirectional else []
        self.backwards = nn.ModuleList(self._back) if self._back else None
        self.attention = Attention(hidden, config.attention_window) if config.attention_window else None
        self.merge: nn.Linear | None = None
        if config.bidirectional:
            merged, features = outer["merge.weight"]
            self.merge = nn.Linear(features, merged)
        vocab, features = outer["head.weight"]
        self.head = nn.Linear(features, vocab)

    def forward(
        self,
        inputs: Tensor,
        state: State | None = None,
        generator: torch.Generator | None = None,
        part: Part | None = None,
    ) -> tuple[Tensor, State]:
        """Predict what follows each token; of a bidirectional network, what each token is.

        Args:
            inputs: ids, (B, T); V is the mask of a bidirectional network.
            state: the state before the window, and for the backward stack behind it; None is zeros.
            generator: of what is dropped in training; None is torch's own.
            part: which rows of a larger batch these are, if they are: what is dropped is drawn for all of its rows,
                so that a row has the same mask however many processes share the batch.

        Returns:
            logits (B, T, V) and the state after the window, and for the backward stack before it.
        """
        embedded, read = self._embedded(inputs, state, generator, part)
        embedded = self._locked_dropout(embedded, self.config.dropout / 2, generator, part)
        features, after = self._through(self._stack, embedded, state, generator, part)
        if self.merge is not None:
            before, behind = (None, None) if state is None else (state[: len(self._stack)], state[len(self._stack) :])
            future, onwards = self._through(self._back, embedded.flip(0), behind, generator, part)
            sides = torch.cat((self._until(features, before), self._until(future, behind).flip(0)), -1)
            features = self.merge(sides).tanh()
            after += onwards
        return self.head(features).transpose(0, 1), after + read

    def _embedded(
        self, inputs: Tensor, state: State | None, generator: torch.Generator | None, part: Part | None
    ) -> tuple[Tensor, State]:
        """What the lowest layer reads, (T, B, E), and what was read by then, as the state ends with it."""
        embedded, read = self.embedding(inputs.t()), []
        memories = iter(() if state is None else state[self._first_memory :])
        if self.ngrams is not None:
            looked_up, memory = self.ngrams(inputs, next(memories, None), generator, part)
            embedded, read = embedded + looked_up.transpose(0, 1), [memory]
        if self.recall is not None:
            looked_up, memory = self.recall(inputs, next(memories, None))
            embedded, read = embedded + looked_up.transpose(0, 1), [*read, memory]
        return embedded, tuple(read)

    def _through(
        self,
        stack: list[RecurrentLayer],
        embedded: Tensor,
        state: State | None,
        generator: torch.Generator | None,
        part: Part | None,
    ) -> tuple[Tensor, State]:
        """What a stack makes of a window, (T, B, H), with ``skip`` of all its layers, and its state after."""
        features, outputs, after = embedded, [], []
        for k, layer in enumerate(stack):
            if k and self.config.skip:
                features = torch.cat((features, embedded), -1)
            features, layer_state = layer(features, None if state is None else state[k], generator)
            after.append(layer_state)
            if layer is stack[-1] and self.attention is not None:
                memory = None if state is None else state[len(stack)]
                attended, memory = self.attention(features.transpose(0, 1), memory)
                features = attended.transpose(0, 1)
                after.append(memory)
            features = self._locked_dropout(features, self.config.dropout, generator, part)
            outputs.append(features)
        return torch.cat(outputs, -1) if self.config.skip else features, tuple(after)

    def _until(self, features: Tensor, before: State | None) -> Tensor:
        """The features one step late: at each token what was read until it, at the first what came with the state."""
        first = torch.zeros_like(features[:1])
        if before is not None:
            heads = [layer[0] for layer in before]
            first = (torch.cat(heads, -1) if self.config.skip else heads[-1])[None]
        return torch.cat((first, features[:-1]))

    def _new_stack(self) -> list[RecurrentLayer]:
        config = self.config
        sizes = input_sizes(config.model_dump())
        return [RecurrentLayer(config.cell, size, config.hidden_size, config.weight_drop) for size in sizes]

    def _locked_dropout(
        self, features: Tensor, rate: float, generator: torch.Generator | None, part: Part | None
    ) -> Tensor:
        """Drop features of (T, B, H) with one mask (1, B, H) for the whole window."""
        if not self.training or rate == 0.0:
            return features
        batch, hidden = features.shape[1:]
        first, whole = part or (0, batch)
        mask = keep_mask(features, (1, whole, hidden), rate, generator)
        return features * mask[:, first : first + batch]

    @torch.no_grad()
    def begin_with(self, counts: NDArray[np.integer[Any]]) -> None:
        """Let it begin by knowing how frequent each token is: so it need not learn that first.

        Args:
            counts: of each token, (V,).
        """
        shares = (counts + 1) / (counts + 1).sum()
        self.head.bias.copy_(torch.from_numpy(np.log(shares)))

    def parameter_count(self) -> int:
        """How many numbers learn."""
        return sum(weight.numel() for weight in self.parameters() if weight.requires_grad)

    def to_tensors(self) -> dict[str, NDArray[Any]]:
        """The weights by the names a checkpoint has them under."""
        # A copy each: training goes on with the weights while a file is written.
        return {name: weight.float().cpu().numpy().copy() for name, weight in self.state_dict().items()}

    def load_tensors(self, tensors: dict[str, NDArray[Any]]) -> None:
        """Undo `to_tensors`; shapes must be those of `config`."""
        self.load_state_dict({name: torch.from_numpy(np.array(tensor, np.float32)) for name, tensor in tensors.items()})


def reset_rows(state: State, fresh: Tensor) -> State:
    """The state with the rows where ``fresh`` (B,) is true set to zero."""
    keep = ~fresh
    return tuple(tuple(part * keep.view(-1, *[1] * (part.dim() - 1)) for part in layer) for layer in state)


def detach(state: State) -> State:
    """The state cut off from the window that made it, so that gradients end there."""
    return tuple(tuple(part.detach() for part in layer) for layer in state)
