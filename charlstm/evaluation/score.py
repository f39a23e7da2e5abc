"""The score of a text: the negative log-likelihood of each token, and the figures that follow from it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from charlstm.errors import OUT_OF_RANGE, CheckpointError, UsageError
from charlstm.evaluation.score_html import to_html
from charlstm.tokenizers import Tokenizer

Losses: TypeAlias = Iterable[tuple[NDArray[np.intp], NDArray[np.float32]]]
"""Positions in a text and the losses of the tokens there, in nats; every position once, in any order."""
Precision: TypeAlias = Literal["fp32", "bf16", "int8"]


@dataclass(frozen=True)
class Method:
    """How a text is read when it is scored."""

    streams: int = 1
    """Parts of the text read in parallel; 1 reads it in order."""
    precision: Precision = "fp32"

    @property
    def exact(self) -> bool:
        """Whether the losses add up to the negative log-likelihood that the weights give the text."""
        return self == Method()


@dataclass(frozen=True)
class EncodedText:
    """A text as token ids, with its size."""

    ids: NDArray[Any]
    """(tokens,), at least one; it may be memory-mapped."""
    characters: int
    bytes: int
    """Of its UTF-8."""

    @classmethod
    def of(cls, text: str, tokenizer: Tokenizer) -> EncodedText:
        """Encode a text.

        Args:
            text: at least one character.
            tokenizer: of the network that scores it.

        Returns:
            The text.

        Raises:
            UnknownCharacter: it has a character outside the alphabet.
            UsageError: it is empty.
        """
        ids = tokenizer.encode(text)
        if not len(ids):
            raise UsageError("the text is empty")
        return cls(ids, len(text), len(text.encode("utf-8", "surrogateescape")))


@dataclass(frozen=True)
class ScoreSummary:
    """The score of a text as a whole."""

    nats: float
    """The sum of all tokens' losses."""
    tokens: int
    characters: int
    bytes: int
    """Of the text's UTF-8."""
    method: Method
    """How the text was read."""

    @property
    def nats_per_token(self) -> float:
        """The mean loss, as training reports it."""
        return self.nats / self.tokens

    @property
    def perplexity(self) -> float:
        """The effective number of choices per token."""
        return math.exp(self.nats_per_token) if self.nats_per_token < 700 else self.nats_per_token * math.inf

    @property
    def bits_per_char(self) -> float:
        """Bits that a code by this model needs for a character."""
        return self.nats / math.log(2) / self.characters

    @property
    def bits_per_byte(self) -> float:
        """Bits that a code by this model needs for a byte of UTF-8: the measure of compressors."""
        return self.nats / math.log(2) / self.bytes


@dataclass(frozen=True, eq=False, repr=False)
class Score:
    """The score of a text, token by token."""

    nats: NDArray[np.float32]
    """The loss of each token, (tokens,), read-only."""
    text: EncodedText
    tokenizer: Tokenizer
    method: Method = Method()
    """How the text was read."""

    def __post_init__(self) -> None:
        nats = self.nats.view()
        nats.flags.writeable = False
        object.__setattr__(self, "nats", nats)

    @cached_property
    def tokens(self) -> tuple[bytes, ...]:
        """The UTF-8 bytes that each token stands for, computed when first read."""
        return tuple(map(self.tokenizer.token_bytes, self.text.ids.tolist()))

    @cached_property
    def summary(self) -> ScoreSummary:
        """The score of the text as a whole."""
        nats = float(self.nats.sum(dtype=np.float64))
        return ScoreSummary(nats, len(self.nats), self.characters, self.bytes, self.method)

    @property
    def characters(self) -> int:
        """The length of the text in characters."""
        return self.text.characters

    @property
    def bytes(self) -> int:
        """The length of the text in bytes of UTF-8."""
        return self.text.bytes

    @property
    def nats_per_token(self) -> float:
        """As `ScoreSummary.nats_per_token`."""
        return self.summary.nats_per_token

    @property
    def perplexity(self) -> float:
        """As `ScoreSummary.perplexity`."""
        return self.summary.perplexity

    @property
    def bits_per_char(self) -> float:
        """As `ScoreSummary.bits_per_char`."""
        return self.summary.bits_per_char

    @property
    def bits_per_byte(self) -> float:
        """As `ScoreSummary.bits_per_byte`."""
        return self.summary.bits_per_byte

    def pieces(self) -> Iterator[tuple[str, float]]:
        """The text in order, each piece with its loss in nats.

        A piece is what a token completes: nothing where it ends inside a character, so that joined pieces are the text.
        """
        decoder = self.tokenizer.decoder()
        last = len(self.nats) - 1
        for position, (token, nats) in enumerate(zip(self.text.ids, self.nats, strict=True)):
            text = decoder.push(int(token))
            yield text + decoder.flush() if position == last else text, float(nats)

    def __repr__(self) -> str:
        return f"<charlstm.Score: {len(self.nats):,} tokens, {self.bits_per_char:.3f} bits per character>"

    def _repr_html_(self) -> str:
        """The text, shaded by surprisal, for notebooks."""
        pieces = ((text, nats / math.log(2)) for text, nats in self.pieces())
        return to_html(pieces, repr(self).strip("<>"))


def score_tokens(losses: Losses, text: EncodedText, tokenizer: Tokenizer, method: Method) -> Score:
    """Collect the loss of every token.

    Args:
        losses: of all positions of the text.
        text: the text.
        tokenizer: the one it was encoded with.
        method: how it is read.

    Returns:
        The score, with the loss of each token.

    Raises:
        CheckpointError: a loss is not finite.
    """
    nats = np.empty(len(text.ids), np.float32)
    for positions, values in losses:
        nats[positions] = values
    _check_finite(float(nats.sum(dtype=np.float64)))
    return Score(nats, text, tokenizer, method)


def summarize(losses: Losses, text: EncodedText, method: Method) -> ScoreSummary:
    """Add up the losses, storing none.

    Args:
        losses: of all positions of the text.
        text: the text.
        method: how it is read.

    Returns:
        The totals and means.

    Raises:
        CheckpointError: a loss is not finite.
    """
    nats = sum(float(values.sum(dtype=np.float64)) for _, values in losses)
    _check_finite(nats)
    return ScoreSummary(nats, len(text.ids), text.characters, text.bytes, method)


def _check_finite(nats: float) -> None:
    if not math.isfinite(nats):
        raise CheckpointError("the network's losses are not finite", hint=OUT_OF_RANGE)
