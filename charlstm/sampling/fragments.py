"""One drawn text, token by token: what each adds to it, and whether it ends there."""

from __future__ import annotations

import copy
from typing import NamedTuple

import numpy as np

from charlstm.engine.protocol import Logits
from charlstm.sampling.config import SampleConfig
from charlstm.sampling.stopping import FinishReason, StopRules
from charlstm.tokenizers import Tokenizer
from charlstm.tokenizers.byte import Utf8Decoder

_SPARE = 3
"""Tokens that may complete a character: in UTF-8 it has at most four bytes."""


class Fragment(NamedTuple):
    """What one token adds to one row."""

    row: int
    text: str
    """The text that is certain now: often one character, sometimes none."""
    token: int
    """The id drawn."""
    log_probability: float
    """In nats, under the network itself: at temperature 1 and before all filters. NaN unless requested."""
    finish_reason: FinishReason | None
    """Why the row ends with this token; None while it goes on."""
    logits: Logits = np.empty(0)
    """(V,), those that the token was drawn from, before all filters; of a text drawn by particles only with
    log-probabilities."""


class Row:
    """One of several texts while it is drawn.

    Args:
        number: of the row.
        tokenizer: of its tokens.
        config: its length and its stop rules.
        raw: whether bytes that are not UTF-8 become surrogate escapes; then it ends at its length to the byte.

    Attributes:
        number: as given.
    """

    def __init__(self, number: int, tokenizer: Tokenizer, config: SampleConfig, *, raw: bool = False) -> None:
        self.number = number
        self._decoder = Utf8Decoder(tokenizer, "surrogateescape") if raw else tokenizer.decoder()
        self._rules = StopRules(config.stop, config.lines, config.stop_after)
        self._length, self._spare, self._count = config.length, 0 if raw else _SPARE, 0

    def push(self, token: int, log_probability: float, *, may_end: bool = True, over: bool = False) -> Fragment:
        """Add a token.

        Args:
            token: its id.
            log_probability: in nats.
            may_end: whether the row's rules let it end here.
            over: whether they end it here.

        Returns:
            What the token adds.
        """
        self._count += 1
        text = self._rules.push(self._decoder.push(token))
        reason = self._rules.finish_reason
        if not reason and (over or (may_end and self._is_long_enough())):
            text += self._rules.push(self._decoder.flush()) + self._rules.flush()
            reason = self._rules.finish_reason or ("rule" if over else "length")
        return Fragment(self.number, text, token, log_probability, reason)

    def copy(self) -> Row:
        """The same text once more, to go on with it in another way."""
        again = copy.copy(self)
        again._decoder, again._rules = self._decoder.copy(), copy.copy(self._rules)
        return again

    def _is_long_enough(self) -> bool:
        left = self._length - self._count
        return bool(self._length) and left <= 0 and (not self._decoder.pending or left <= -self._spare)
