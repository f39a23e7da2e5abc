"""The interface of a network that steps: token ids in, logits and a state out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from charlstm.tokenizers import Tokenizer

Logits = NDArray[np.floating[Any]]
"""Unnormalised log-probabilities of the next token, (B, V)."""
TokenIds = NDArray[np.integer[Any]]
"""One token id per row, (B,)."""


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
