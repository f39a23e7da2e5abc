"""The interface of a network that steps: token ids in, logits and a state out."""

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
"""One token id per row, (B,)."""
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
    """A trained network that is fed one token at a time, such as the NumPy engine or the torch backend."""

    @property
    def vocab_size(self) -> int:
        """V, the number of different tokens."""

    def step(self, tokens: TokenIds, state: Any) -> tuple[Logits, Any]:
        """Feed one token per row.

        Args:
            tokens: (B,) ids.
            state: the state before, of B rows; None is zeros. It is never changed in place.

        Returns:
            The logits (B, V) of the next token, and the state after.
        """

    def expand(self, state: Any, rows: int) -> Any:
        """Repeat the state of one row.

        Args:
            state: of one row.
            rows: how many rows the result has.
        """

    def select(self, state: Any, rows: Sequence[int]) -> Any:
        """Take some rows of a state.

        Args:
            state: of B rows.
            rows: row numbers, in any order, any number of times.
        """

    def join(self, states: Sequence[Any]) -> Any:
        """Concatenate the rows of several states."""


class TextModel(Stepper, Protocol):
    """A stepper together with the tokenizer it was trained with."""

    @property
    def tokenizer(self) -> Tokenizer:
        """Converts text to ids and back."""
