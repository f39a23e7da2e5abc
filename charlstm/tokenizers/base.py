"""What every tokenizer can do. Text goes in as `str`, the network sees integer ids, and text comes out again.

The law of all of them: ``decode(encode(text)) == text`` for every text in the tokenizer's alphabet, and cutting
the text into pieces anywhere on the way in (`Encoder`) or the ids on the way out (`Decoder`) changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

Ids = NDArray[np.unsignedinteger[Any]]
"""A vector of token ids, in the narrowest of uint8, uint16, uint32 that holds the vocabulary."""


class Encoder(Protocol):
    """Text to ids, piece by piece; the joined ids do not depend on where the pieces are cut."""

    def push(self, text: str) -> Ids:
        """The ids that are certain once ``text`` has arrived; the rest is kept for the next call."""

    def flush(self) -> Ids:
        """The ids of what is still kept; the encoder is then as new."""


class Decoder(Protocol):
    """Ids to text, one by one, never half a character."""

    def push(self, token: int) -> str:
        """The text that is complete once ``token`` has arrived; often one character, sometimes none."""

    def flush(self) -> str:
        """What is still kept, with U+FFFD for a character that never became whole."""


@runtime_checkable
class Tokenizer(Protocol):
    """Text to ids and back."""

    @property
    def kind(self) -> str:
        """``"char"``, ``"byte"`` or ``"sentencepiece"``."""

    @property
    def vocab_size(self) -> int:
        """The number of different ids; ids run from 0 to this, exclusive."""

    @property
    def unknown_id(self) -> int | None:
        """The id that stands for every character outside the alphabet, or None if there is no such id."""

    def encode(self, text: str) -> Ids:
        """The ids of a whole text.

        Raises:
            UnknownCharacter: the text has a character outside the alphabet and there is no unknown symbol.
        """

    def decode(self, ids: Iterable[int]) -> str:
        """The text of a whole run of ids."""

    def encoder(self) -> Encoder:
        """A fresh streaming encoder."""

    def decoder(self) -> Decoder:
        """A fresh streaming decoder."""

    def unknown_characters(self, text: str) -> list[str]:
        """The characters of ``text`` that `encode` has no id of their own for, each once, in order."""

    def token_bytes(self, token: int) -> bytes:
        """The UTF-8 bytes one id stands for, to count bytes and characters; U+FFFD for the unknown symbol."""

    def to_state(self) -> dict[str, Any]:
        """All there is to know of this tokenizer as plain JSON values; `tokenizers.from_state` undoes it."""


def narrowest(vocab_size: int) -> np.dtype[np.unsignedinteger[Any]]:
    """The smallest unsigned integer type that holds every id below ``vocab_size``."""
    return np.dtype(np.uint8 if vocab_size <= 1 << 8 else np.uint16 if vocab_size <= 1 << 16 else np.uint32)


class Stateless:
    """The `Encoder` of a tokenizer whose ids never depend on a character's neighbours."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._encode = tokenizer.encode
        self._nothing = np.empty(0, narrowest(tokenizer.vocab_size))

    def push(self, text: str) -> Ids:
        """The ids of ``text``."""
        return self._encode(text)

    def flush(self) -> Ids:
        """Nothing: no id ever waits for the next character."""
        return self._nothing
