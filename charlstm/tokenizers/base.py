"""The interface of every tokenizer: text goes in as `str`, the network works on integer ids, and text comes out again.

The law of all of them: ``decode(encode(text)) == text`` for every text in the tokenizer's alphabet, and cutting the
text anywhere on the way in (`Encoder`) or the ids on the way out (`Decoder`) changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

Ids = NDArray[np.unsignedinteger[Any]]
"""Token ids, (tokens,), in the narrowest of uint8, uint16 and uint32 that holds the vocabulary."""


class Encoder(Protocol):
    """Text to ids, piece by piece; the joined ids do not depend on where the pieces are cut."""

    def push(self, text: str) -> Ids:
        """The ids that are final once ``text`` has arrived; the remaining text waits for the next call."""

    def flush(self) -> Ids:
        """The ids of the remaining text; the encoder is then as new."""


class Decoder(Protocol):
    """Ids to text, one id at a time, never half a character."""

    def push(self, token: int) -> str:
        """The text that is complete once ``token`` has arrived: usually one character, sometimes none."""

    @property
    def pending(self) -> bool:
        """Whether a character has begun and is not complete."""

    def flush(self) -> str:
        """The remaining text, with U+FFFD for an incomplete character; the decoder is then as new."""

    def copy(self) -> Decoder:
        """Another decoder, which goes on from the same place."""


@runtime_checkable
class Tokenizer(Protocol):
    """Text to ids and back."""

    @property
    def kind(self) -> str:
        """``"char"``, ``"byte"`` or ``"sentencepiece"``."""

    @property
    def vocab_size(self) -> int:
        """The number of ids; they run from 0 to ``vocab_size - 1``."""

    @property
    def unknown_id(self) -> int | None:
        """The id of all characters outside the alphabet, or None if there is no such id."""

    def encode(self, text: str) -> Ids:
        """The ids of a whole text.

        Raises:
            UnknownCharacter: a character is outside the alphabet and there is no unknown symbol.
        """

    def decode(self, ids: Iterable[int]) -> str:
        """The text of a sequence of ids."""

    def encoder(self) -> Encoder:
        """A new streaming encoder."""

    def decoder(self) -> Decoder:
        """A new streaming decoder."""

    def unknown_characters(self, text: str) -> list[str]:
        """The characters of ``text`` that have no id of their own, each once, in order."""

    def token_bytes(self, token: int) -> bytes:
        """The UTF-8 bytes of one id, for counting bytes and characters; U+FFFD for the unknown symbol."""

    def to_state(self) -> dict[str, Any]:
        """The whole tokenizer as plain JSON values; `tokenizers.from_state` restores it."""


def narrowest(vocab_size: int) -> np.dtype[np.unsignedinteger[Any]]:
    """The smallest unsigned integer type that holds every id below ``vocab_size``."""
    return np.dtype(np.uint8 if vocab_size <= 1 << 8 else np.uint16 if vocab_size <= 1 << 16 else np.uint32)


class StatelessEncoder:
    """The `Encoder` of a tokenizer whose ids never depend on neighbouring characters."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._encode = tokenizer.encode
        self._empty = np.empty(0, narrowest(tokenizer.vocab_size))

    def push(self, text: str) -> Ids:
        """The ids of ``text``."""
        return self._encode(text)

    def flush(self) -> Ids:
        """Nothing: no text ever remains."""
        return self._empty
