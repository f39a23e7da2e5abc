"""The language model: embedding → stack of recurrent layers (→ attention) → softmax over the vocabulary.

Letters: B batch, T time, V vocabulary, H hidden features.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import linear

from charlstm.config import ModelConfig
from charlstm.nn.attention import Attention
from charlstm.nn.cells import LayerState
from charlstm.nn.recurrence import RecurrentLayer, keep_mask
from charlstm.nn.shapes import input_sizes, looks_up, stacks, tensor_shapes
from charlstm.nn.side_inputs.match import Recall
from charlstm.nn.side_inputs.ngram_embedding import NGrams

State: TypeAlias = tuple[LayerState, ...]
"""The state of each layer, parts of (B, H) each; behind them the attention's memory if there is one, or the state of
each layer of the other stacks; last what was read, for the n-grams and for what is recalled, if there are any.

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

    An ``ensemble`` has K stacks. In training each is asked alone, so that it learns as if there were no other, and all
    make different mistakes; else their logits are averaged, and many of the mistakes with them. With h_k what stack k
    has read, and W_k its columns of the head ::

        logits = (1/K) Σ_k (W_k h_k + c)

    That is the geometric mean of their probabilities (ensembles: Hansen & Salamon 1990).

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
        if looks_up(config.model_dump()):  # rows of length 1, else it would drown what is added to it from zero on
            nn.init.normal_(self.embedding.weight, std=size**-0.5)
        self._first_memory = config.num_layers * config.ensemble + bool(config.attention_window)
        self._stacks = []
        for name in stacks(config.model_dump()):
            self._stacks.append(self._new_stack())
            self.add_module(name, nn.ModuleList(self._stacks[-1]))
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
            logits (B, T, V), in training of an ensemble (K * B, T, V): each network's own, all rows of the first before
            those of the next; and the state after the window, and for the backward stack before it.
        """
        embedded, read = self._embedded(inputs, state, generator, part)
        if self.merge is not None:
            logits, after = self._of_both_sides(embedded, state, generator, part)
        else:
            logits, after = self._of_all_networks(embedded, state, generator, part)
        return logits.transpose(0, 1), after + read

    def _of_all_networks(
        self, embedded: Tensor, state: State | None, generator: torch.Generator | None, part: Part | None
    ) -> tuple[Tensor, State]:
        """What each network says, (T, K * B, V), or all in the mean, (T, B, V), and their state after."""
        said: list[Tensor] = []
        after: State = ()
        for stack in self._stacks:
            seen = self._locked_dropout(embedded, self.config.dropout / 2, generator, part)
            before = None if state is None else state[len(after) :]
            features, onwards = self._through(stack, seen, before, generator, part)
            said.append(features)
            after += onwards
        if self.training and len(said) > 1:
            weights = self.head.weight.chunk(len(said), 1)
            alone = [linear(features, weight, self.head.bias) for features, weight in zip(said, weights, strict=True)]
            return torch.cat(alone, 1), after
        features = torch.cat(said, -1) / len(said) if len(said) > 1 else said[0]
        return self.head(features), after

    def _of_both_sides(
        self, embedded: Tensor, state: State | None, generator: torch.Generator | None, part: Part | None
    ) -> tuple[Tensor, State]:
        """What each token is, seen from both sides, (T, B, V), and the state of both stacks."""
        assert self.merge is not None
        forwards, backwards = self._stacks
        embedded = self._locked_dropout(embedded, self.config.dropout / 2, generator, part)
        before, behind = (None, None) if state is None else (state[: len(forwards)], state[len(forwards) :])
        past, after = self._through(forwards, embedded, before, generator, part)
        future, onwards = self._through(backwards, embedded.flip(0), behind, generator, part)
        sides = torch.cat((self._until(past, before), self._until(future, behind).flip(0)), -1)
        return self.head(self.merge(sides).tanh()), after + onwards

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
