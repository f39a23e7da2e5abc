"""A trained network stepped with NumPy: the same logits as the torch model, without the cost of importing torch.

One character at a time there is nothing to batch: a step is one matrix-vector product a layer, bound by the time it
takes to read the weights once. So every product that depends only on the token is folded into a table when
the network is loaded, ``weight_ih`` and ``weight_hh`` lie side by side in one matrix, and each step allocates only
its new state.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from charlstm.checkpoint.format import Checkpoint
from charlstm.tokenizers import from_state

Array = NDArray[np.float32]
State: TypeAlias = tuple[tuple[Array, Array], ...]
"""Per layer ``(h, c)``, each (batch, hidden). Arrays of a state are never written to again."""


class LstmLayer:
    """One LSTM layer.

    With ``[i f g o]`` the four gates' rows, ``x`` the layer's input and ``h', c'`` the state before::

        i = σ(W_i x + U_i h' + b_i)     g = tanh(W_g x + U_g h' + b_g)      c = f ⊙ c' + i ⊙ g
        f = σ(W_f x + U_f h' + b_f)     o = σ(W_o x + U_o h' + b_o)         h = o ⊙ tanh(c)

    σ(z) = (1 + tanh(z/2)) / 2, so with the rows of i, f, o halved beforehand one tanh serves all four gates.

    Args:
        weight_ih: (4·hidden, input).
        weight_hh: (4·hidden, hidden).
        bias: (4·hidden,).
        embedding: (vocab, embedding), where the layer's input ends with the token's embedding, else None.
    """

    def __init__(self, weight_ih: Array, weight_hh: Array, bias: Array, embedding: Array | None) -> None:
        hidden = weight_hh.shape[1]
        self.hidden_size = hidden
        half = np.full((4 * hidden, 1), 0.5, np.float32)
        half[2 * hidden : 3 * hidden] = 1.0
        self._scale = half[:, 0]
        self._shift = 1.0 - self._scale
        weight_ih, weight_hh, bias = weight_ih * half, weight_hh * half, bias * self._scale
        below = weight_ih.shape[1] - (0 if embedding is None else embedding.shape[1])
        # What the token alone decides, for every token: (vocab, 4·hidden), or (1, 4·hidden) where it decides nothing.
        self._table = bias[None] if embedding is None else embedding @ weight_ih[:, below:].T + bias
        self._per_token = embedding is not None
        self._weight = np.ascontiguousarray(np.concatenate((weight_ih[:, :below], weight_hh), 1)).T
        self._has_below = below > 0

    def step(self, tokens: NDArray[np.integer[Any]], below: Array, state: tuple[Array, Array]) -> tuple[Array, Array]:
        """One step: tokens (batch,), ``h`` of the layer below (batch, hidden) and the old state, to the new state."""
        h, c = state
        n = self.hidden_size
        z = np.matmul(np.concatenate((below, h), 1) if self._has_below else h, self._weight)
        z += self._table.take(tokens, 0) if self._per_token else self._table
        np.tanh(z, out=z)
        z *= self._scale
        z += self._shift
        c = z[:, n : 2 * n] * c + z[:, :n] * z[:, 2 * n : 3 * n]
        return z[:, 3 * n :] * np.tanh(c), c


class Engine:
    """A trained network for stepping one token at a time, at any batch.

    Attributes:
        config: the run's settings as plain values.
        tokenizer: the run's tokenizer.
        vocab_size: tokens it knows.
    """

    def __init__(self, tensors: dict[str, NDArray[Any]], config: dict[str, Any], tokenizer: dict[str, Any]) -> None:
        self.config = config
        self.tokenizer = from_state(tokenizer)
        self.vocab_size = self.tokenizer.vocab_size
        model = config["model"]
        self._skip: bool = model["skip"]
        weights = {name: np.asarray(tensor, np.float32) for name, tensor in tensors.items()}
        embedding = weights["embedding.weight"]
        self.layers = [
            LstmLayer(
                weights[f"layers.{k}.weight_ih"],
                weights[f"layers.{k}.weight_hh"],
                weights[f"layers.{k}.bias"],
                embedding if k == 0 or self._skip else None,
            )
            for k in range(model["num_layers"])
        ]
        self._head = np.ascontiguousarray(weights["head.weight"]).T
        self._head_bias = weights["head.bias"]

    @classmethod
    def from_checkpoint(cls, checkpoint: Checkpoint) -> Engine:
        """The network of a checkpoint that `checkpoint.format.read` has verified."""
        return cls(checkpoint.tensors, checkpoint.config, checkpoint.tokenizer)

    def zero_state(self, batch: int) -> State:
        """The state before any text, for ``batch`` rows."""
        return tuple((np.zeros((batch, layer.hidden_size), np.float32),) * 2 for layer in self.layers)

    def step(self, tokens: NDArray[np.integer[Any]], state: State | None) -> tuple[Array, State]:
        """Read one token a row.

        Args:
            tokens: (batch,) ids.
            state: the state before, or None for the state before any text.

        Returns:
            logits (batch, vocab) of the next token, and the state after.
        """
        state = self.zero_state(len(tokens)) if state is None else state
        below = np.empty((len(tokens), 0), np.float32)
        after = []
        for layer, before in zip(self.layers, state, strict=True):
            after.append(layer.step(tokens, below, before))
            below = after[-1][0]
        top = np.concatenate([h for h, _ in after], 1) if self._skip else below
        return np.matmul(top, self._head) + self._head_bias, tuple(after)

    def expand(self, state: State, rows: int) -> State:
        """The state of one row, for ``rows`` rows that go different ways from here."""
        return tuple((np.repeat(h, rows, 0), np.repeat(c, rows, 0)) for h, c in state)

    def select(self, state: State, rows: Sequence[int]) -> State:
        """The state of some rows, in the order given."""
        index = np.asarray(rows)
        return tuple((h[index], c[index]) for h, c in state)
