"""The interface of a network that runs step by step: token ids in, logits and a state out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from charlstm.errors import UsageError
from charlstm.tokenizers import Tokenizer

Logits = NDArray[np.floating[Any]]
"""Unnormalised log-probabilities of the next token, (B, V)."""
TokenIds = NDArray[np.integer[Any]]
"""One token id per text, (B,)."""
AnyTokenIds = Sequence[int] | TokenIds
"""The same, also as a list."""


def as_token_ids(tokens: object) -> TokenIds:
    """Convert a list of token ids to an array.

    Args:
        tokens: whole numbers, one for each text.

    Raises:
        UsageError: it is a text, or otherwise not a list of ids.
    """
    if isinstance(tokens, str):
        hint = "Encode it first: `tokenizer.encode(text)`; each id is a text of its own, so feed them one at a time."
        raise UsageError("a step takes token ids, not a text", hint=hint)
    ids = np.asarray(tokens)
    if ids.ndim != 1 or ids.dtype.kind not in "iu":
        raise UsageError("a step takes a list of token ids, one for each text", hint="For one text: [id].")
    return ids


class Stepper(Protocol):
    """A trained network that processes one token at a time, such as the NumPy engine or the torch backend."""

    @property
    def vocab_size(self) -> int:
        """V."""

    def step(self, tokens: TokenIds, state: Any) -> tuple[Logits, Any]:
        """Process one token of each text.

        Args:
            tokens: ids, (B,).
            state: the previous state of B texts; None is the state before any text. It is never changed in place.

        Returns:
            The logits of the next token, (B, V), and the next state.
        """

    def freeze(self, state: Any, frozen: bool = True) -> Any:
        """Make the memories of side inputs store no more of what is read, so that a network does not copy itself.

        Args:
            state: the state of any number of texts.
            frozen: False lets them store again.

        Returns:
            The state, which every later one follows in this until it is changed again.
        """

    def expand(self, state: Any, rows: int) -> Any:
        """Repeat the state of one text.

        Args:
            state: the state of a single text, B = 1.
            rows: B of the result.

        Returns:
            The state of ``rows`` texts.
        """

    def select(self, state: Any, rows: Sequence[int]) -> Any:
        """Return the state of some of the texts.

        Args:
            state: the state of B texts.
            rows: row indices, in any order and with repetitions.

        Returns:
            The state with a row for each index.
        """

    def join(self, states: Sequence[Any]) -> Any:
        """Concatenate the rows of several states."""


class TextModel(Stepper, Protocol):
    """A stepper with its tokenizer."""

    @property
    def tokenizer(self) -> Tokenizer:
        """The tokenizer the network was trained with."""
