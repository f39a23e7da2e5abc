"""How a search uses a network, causal or bidirectional.

Letters: B candidates side by side, V the vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np

from charlstm.engine.bidirectional import BidirectionalEngine
from charlstm.engine.network import Engine
from charlstm.engine.protocol import Logits, Stepper, TokenIds
from charlstm.sampling.position import Position, advance, check_finite, prefill

MASK = -1
"""Stands for an unknown token in the text to the right."""

_LOOKAHEAD = 8
"""Tokens after a blank of variable length that a masked network scores, to find the length that fits."""


class Reader(Protocol):
    """A network that predicts a token from the text to its left, and perhaps from the text to its right.

    ``left`` is a value: the network's state in B rows, each after the text to the left. ``right`` is a value too: the
    text from a blank on, shared by all rows.
    """

    def begin(self, tokens: Sequence[int]) -> Any:
        """Read the text before the first blank, at least one token; return a left of one row."""

    def read_right(self, tokens: Sequence[int]) -> Any:
        """Read the text from a blank on, `MASK` where a token is unknown; return a right."""

    def predict(self, left: Any, right: Any, index: int) -> Logits:
        """Predict a masked token.

        Args:
            left: after all tokens before it, B rows.
            right: the text from the blank on.
            index: of the token within ``right``.

        Returns:
            (B, V) float64, the logits.

        Raises:
            CheckpointError: a logit is not finite.
        """

    def advance(self, left: Any, ids: TokenIds) -> Any:
        """Add one token per row to the left.

        Args:
            left: B rows.
            ids: (B,), the tokens.

        Returns:
            A left of B rows.
        """

    def select(self, left: Any, rows: Sequence[int]) -> Any:
        """Take some rows of a left.

        Args:
            left: B rows.
            rows: row numbers, in any order, any number of times.

        Returns:
            A left of as many rows as row numbers.
        """

    def join(self, lefts: Sequence[Any]) -> Any:
        """Concatenate the rows of several lefts."""

    def lookahead(self, variable: bool) -> int | None:
        """How many tokens after a blank, of variable length or not, have to be scored; None is all of them."""


class CausalReader:
    """A causal network: it predicts from the left alone, so the text to the right has to be scored.

    Args:
        stepper: the network.
    """

    def __init__(self, stepper: Stepper) -> None:
        self._stepper = stepper

    def begin(self, tokens: Sequence[int]) -> Position:
        """See `Reader`."""
        return prefill(self._stepper, tokens)

    def read_right(self, tokens: Sequence[int]) -> None:
        """See `Reader`; the right is not used."""

    def predict(self, left: Position, right: Any, index: int) -> Logits:
        """See `Reader`."""
        return left.logits

    def advance(self, left: Position, ids: TokenIds) -> Position:
        """See `Reader`."""
        return advance(self._stepper, left, ids)

    def select(self, left: Position, rows: Sequence[int]) -> Position:
        """See `Reader`."""
        return Position(left.logits[rows], self._stepper.select(left.state, rows))

    def join(self, lefts: Sequence[Position]) -> Position:
        """See `Reader`."""
        logits = np.concatenate([left.logits for left in lefts])
        return Position(logits, self._stepper.join([left.state for left in lefts]))

    def lookahead(self, variable: bool) -> None:
        """See `Reader`: all tokens, as the network knows nothing else of the right."""


class MaskedReader:
    """A bidirectional network: it predicts a masked token from both sides, as far as a window of its training reached.

    Only the tokens after a blank of variable length have to be scored: what the network predicts for a number of masks
    says nothing about the number.

    Args:
        engine: the network.
    """

    def __init__(self, engine: BidirectionalEngine) -> None:
        self._engine = engine

    def begin(self, tokens: Sequence[int]) -> Any:
        """See `Reader`."""
        return self._engine.begin(tokens)

    def read_right(self, tokens: Sequence[int]) -> tuple[int, ...]:
        """See `Reader`."""
        return self._engine.layout(tokens)

    def predict(self, left: Any, right: tuple[int, ...], index: int) -> Logits:
        """See `Reader`."""
        logits = self._engine.predict(left, right, index).astype(np.float64)
        check_finite(logits)
        return logits

    def advance(self, left: Any, ids: TokenIds) -> Any:
        """See `Reader`."""
        return self._engine.advance(left, ids)

    def select(self, left: Any, rows: Sequence[int]) -> Any:
        """See `Reader`."""
        return self._engine.select(left, rows)

    def join(self, lefts: Sequence[Any]) -> Any:
        """See `Reader`."""
        return self._engine.join(lefts)

    def lookahead(self, variable: bool) -> int:
        """See `Reader`."""
        return _LOOKAHEAD if variable else 0


def reader_of(engine: Engine | BidirectionalEngine) -> Reader:
    """Return the reader for a network of either kind."""
    return MaskedReader(engine) if isinstance(engine, BidirectionalEngine) else CausalReader(engine)
