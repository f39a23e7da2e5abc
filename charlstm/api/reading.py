"""What a network knows after a text: the distribution of the next token, and its state."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from charlstm.sampling.position import Position
from charlstm.tokenizers import Tokenizer

_SHOWN = 24
"""Characters of the text, its last ones, that a ``repr`` repeats."""


@dataclass(frozen=True, eq=False, repr=False)
class HiddenState:
    """The state of one recurrent layer."""

    name: str
    """The prefix of the layer's weights: ``layers.0`` is the lowest; a second network of an ensemble has
    ``layers_2.0``."""
    h: NDArray[np.float32]
    """The hidden state, (hidden_size,), read-only: the layer's output."""
    c: NDArray[np.float32] | None
    """The cell state, (hidden_size,), read-only; None for a cell without one (``gru``, ``rnn``)."""

    def __repr__(self) -> str:
        parts = "h" if self.c is None else "h, c"
        return f"<charlstm.HiddenState {self.name}: {parts} of {len(self.h)}>"


@dataclass(frozen=True, eq=False, repr=False)
class Reading:
    """A network after a text; with a tokenizer of characters a token is a character."""

    text: str
    """What was read."""
    logits: NDArray[np.float64]
    """Of the next token, by id, (vocab_size,), read-only."""
    state: tuple[HiddenState, ...]
    """Of each layer, the lowest first; of an ensemble one network after the other."""
    tokenizer: Tokenizer

    @cached_property
    def probabilities(self) -> tuple[tuple[str, float], ...]:
        """Every token's text and its probability of being next, the likeliest first; they add up to 1."""
        return ranked(self.logits, self.tokenizer)

    def __repr__(self) -> str:
        text = self.text if len(self.text) <= _SHOWN else f"…{self.text[-_SHOWN:]}"
        likeliest = ", ".join(f"{token!r} {share:.0%}" for token, share in self.probabilities[:3])
        return f"<charlstm.Reading of {text!r}: next {likeliest}>"


def ranked(logits: NDArray[Any], tokenizer: Tokenizer) -> tuple[tuple[str, float], ...]:
    """Return every token's text and its probability, the likeliest first; they add up to 1.

    Args:
        logits: of the next token, (vocab_size,).
        tokenizer: of these tokens.
    """
    weights = np.exp(logits - logits.max())
    shares = (weights / weights.sum()).tolist()
    ranking = np.argsort(-logits, kind="stable").tolist()
    return tuple((tokenizer.decode((token,)), shares[token]) for token in ranking)


def reading_at(position: Position, text: str, stacks: Sequence[str], tokenizer: Tokenizer) -> Reading:
    """Name the parts of a position.

    Args:
        position: the NumPy engine's, of one text.
        text: what was read.
        stacks: the prefix of each stack's weights, as `Architecture.stacks`.
        tokenizer: the network's.

    Returns:
        The distribution of the next token, and the states by name.
    """
    state = tuple(
        HiddenState(f"{prefix}.{number}", _frozen(layer[0]), _frozen(layer[1]) if len(layer) > 1 else None)
        for prefix, layers in zip(stacks, position.state.layers, strict=True)
        for number, layer in enumerate(layers)
    )
    return Reading(text, _frozen(position.logits[0]), state, tokenizer)


def _frozen(array: NDArray[Any]) -> NDArray[Any]:
    view = array.view()
    view.flags.writeable = False
    return view
