"""What a stepping network is to those who use it: token ids in, logits and a state out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from charlstm.tokenizers import Tokenizer

Logits = NDArray[np.floating[Any]]
TokenIds = NDArray[np.integer[Any]]


class Stepper(Protocol):
    """A trained network, one token at a time; the NumPy engine and the torch backend are two of them."""

    @property
    def vocab_size(self) -> int:
        """V, the number of different tokens."""

    def step(self, tokens: TokenIds, state: Any) -> tuple[Logits, Any]:
        """Read one token a row, ids (B,); return the logits (B, V) of what follows and the new state.

        ``state`` None means zeros. No state is changed once it has been returned.
        """

    def expand(self, state: Any, rows: int) -> Any:
        """The state of one row, repeated for ``rows`` rows."""

    def select(self, state: Any, rows: Sequence[int]) -> Any:
        """The state of some rows, in the order given."""

    def join(self, states: Sequence[Any]) -> Any:
        """The state of all rows of several, one below the other."""


class TextModel(Stepper, Protocol):
    """A stepper that brings the tokenizer it was trained with."""

    @property
    def tokenizer(self) -> Tokenizer:
        """Text to ids and back."""
