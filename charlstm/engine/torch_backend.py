"""Stepping a trained network with torch, for GPUs. Same logits as the NumPy `engine`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from charlstm.checkpoint.format import Checkpoint
from charlstm.nn.attention import attend, no_memory
from charlstm.nn.cells import STEPS, LayerState
from charlstm.nn.device import parse_device
from charlstm.nn.model import State
from charlstm.nn.shapes import CELLS, NGRAM_TABLE, RECALL_TABLE, attention_shapes, stacks
from charlstm.nn.side_inputs import match as recall
from charlstm.nn.side_inputs.ngram_embedding import look_up, nothing_read
from charlstm.tokenizers import from_state


class TorchBackend:
    """A trained network on a torch device, one token a row at a time.

    It steps the readable cells: `torch.nn.LSTM` lays out its weights anew in every call, and that costs more than
    the step itself.

    Args:
        tensors: a checkpoint's weights.
        config: the run's settings as plain values.
        tokenizer: the tokenizer's state.
        device: where to compute, as torch names it.
    """

    def __init__(
        self,
        tensors: dict[str, NDArray[Any]],
        config: dict[str, Any],
        tokenizer: dict[str, Any],
        device: str = "cpu",
    ) -> None:
        self.config = config
        self.tokenizer = from_state(tokenizer)
        self.vocab_size = self.tokenizer.vocab_size
        self._device = parse_device(device)
        self._model = config["model"]
        self._cell, self._step = CELLS[self._model["cell"]], STEPS[self._model["cell"]]
        self._weights = {
            name: torch.from_numpy(np.array(tensor, np.float32)).to(self._device) for name, tensor in tensors.items()
        }
        names = attention_shapes(self._model["hidden_size"]) if self._model.get("attention_window") else ()
        self._layers = self._model["num_layers"] * len(stacks(self._model))
        self._attention = [self._weights[f"attention.{name}"] for name in names]

    @classmethod
    def from_checkpoint(cls, checkpoint: Checkpoint, *, device: str = "cpu") -> TorchBackend:
        """The network of a checkpoint that `checkpoint.format.read` has verified."""
        return cls(checkpoint.tensors, checkpoint.config, checkpoint.tokenizer, device)

    def zero_state(self, batch: int) -> State:
        """The state before any text, for ``batch`` rows."""
        zeros = torch.zeros(batch, self._model["hidden_size"], device=self._device)
        state: State = ((zeros,) * len(self._cell.states),) * self._layers
        if self._attention:
            state += (no_memory(batch, self._model["attention_window"], len(self._attention[0]), zeros),)
        if NGRAM_TABLE in self._weights:
            state += ((nothing_read(batch, self._model["ngram_order"], self._device),),)
        if RECALL_TABLE in self._weights:
            orders, rows = self._model["recall"], self._model["recall_rows"]
            state += (recall.nothing_read(batch, orders, rows, self._device),)
        return state

    @torch.inference_mode()
    def step(self, tokens: NDArray[np.integer[Any]], state: State | None) -> tuple[NDArray[np.float32], State]:
        """Read one token a row.

        Args:
            tokens: (batch,) ids.
            state: the state before, or None for the state before any text.

        Returns:
            logits (batch, vocab) of the next token as a NumPy array, and the state after.
        """
        w, skip = self._weights, self._model["skip"]
        state = self.zero_state(len(tokens)) if state is None else state
        ids = torch.from_numpy(np.asarray(tokens, np.int64)).to(self._device)
        embedded, read = self._embedded(ids, state)
        after: list[LayerState] = []
        said: list[Tensor] = []
        for stack in stacks(self._model):
            features = embedded
            outputs: list[Tensor] = []
            for k in range(self._model["num_layers"]):
                if k:
                    features = torch.cat((outputs[-1], embedded), 1) if skip else outputs[-1]
                weights = [w[f"{stack}.{k}.{name}"] for name in self._cell.tensors]
                after.append(self._step(features, state[len(after)], *weights))
                outputs.append(after[-1][0])
            if self._attention:
                attended, memory = attend(outputs[-1][:, None], state[len(after)], *self._attention)
                outputs[-1] = attended[:, 0]
                after.append(memory)
            said += outputs if skip else outputs[-1:]
        features = torch.cat(said, 1) / len(stacks(self._model))
        logits = torch.addmm(w["head.bias"], features, w["head.weight"].t())
        return logits.cpu().numpy(), (*after, *read)

    def _embedded(self, ids: Tensor, state: State) -> tuple[Tensor, State]:
        """What the lowest layer reads, (batch, features), and what was read by then, as the state ends with it."""
        w = self._weights
        read: list[LayerState] = []
        embedded = w["embedding.weight"][ids]
        memories = iter(state[self._layers + bool(self._attention) :])
        if NGRAM_TABLE in w:
            table = w[NGRAM_TABLE]
            rows, numbers = look_up(ids[:, None], next(memories)[0], len(table))
            embedded, read = embedded + table[rows[:, 0]].sum(1), [(numbers,)]
        if RECALL_TABLE in w:
            table = w[RECALL_TABLE]
            found, memory = recall.recall(ids[:, None], next(memories), self._model["recall"])
            embedded, read = embedded + table[recall.in_table(found[:, 0], len(table))].sum(1), [*read, memory]
        return embedded, tuple(read)

    def expand(self, state: State, rows: int) -> State:
        """The state of one row, for ``rows`` rows that go different ways from here."""
        return tuple(tuple(part.repeat_interleave(rows, 0) for part in layer) for layer in state)

    def select(self, state: State, rows: Sequence[int]) -> State:
        """The state of some rows, in the order given."""
        index = torch.as_tensor(rows, device=self._device)
        return tuple(tuple(part[index] for part in layer) for layer in state)

    def join(self, states: Sequence[State]) -> State:
        """All rows of several states, one below the other."""
        return tuple(tuple(map(torch.cat, zip(*layers, strict=True))) for layers in zip(*states, strict=True))
