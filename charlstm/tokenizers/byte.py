"""One id per byte: 256 ids, nothing unknown, any file at all."""

from __future__ import annotations

import codecs
import copy
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from charlstm.tokenizers.base import Ids, StatelessEncoder


class ByteTokenizer:
    """One id per byte of UTF-8. Bytes that are not UTF-8 are surrogate escapes in a `str` (PEP 383)."""

    kind = "byte"
    vocab_size = 256
    unknown_id: int | None = None

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> ByteTokenizer:
        """Undo `to_state`."""
        return cls()

    def to_state(self) -> dict[str, Any]:
        """Only the kind: every byte tokenizer is the same."""
        return {"kind": self.kind}

    def encode(self, text: str) -> Ids:
        """The bytes of the text."""
        return np.frombuffer(text.encode("utf-8", "surrogateescape"), np.uint8)

    def decode(self, ids: Iterable[int]) -> str:
        """The text of the bytes; U+FFFD for those that are not UTF-8."""
        return bytes(ids).decode("utf-8", "replace")

    def encoder(self) -> StatelessEncoder:
        """A new streaming encoder."""
        return StatelessEncoder(self)

    def decoder(self) -> Utf8Decoder:
        """A new streaming decoder: bytes wait until they make a whole character."""
        return Utf8Decoder(self)

    def unknown_characters(self, text: str) -> list[str]:
        """None: every byte has an id."""
        return []

    def token_bytes(self, token: int) -> bytes:
        """The byte itself."""
        return bytes((token,))


class Utf8Decoder:
    """A streaming decoder for tokenizers whose ids stand for bytes: whole characters out, never half of one.

    Args:
        tokenizer: the tokenizer of the ids.
        errors: what bytes that are not UTF-8 become: ``"replace"`` is U+FFFD, ``"surrogateescape"`` preserves them.
    """

    def __init__(self, tokenizer: Any, errors: str = "replace") -> None:
        self._bytes_of = tokenizer.token_bytes
        self._utf8 = codecs.getincrementaldecoder("utf-8")(errors)

    def push(self, token: int) -> str:
        """The characters completed by one id."""
        return self._utf8.decode(self._bytes_of(token))

    @property
    def pending(self) -> bool:
        """Whether a character has begun and is not complete."""
        return self._utf8.getstate()[0] != b""

    def flush(self) -> str:
        """What an incomplete character becomes."""
        text = self._utf8.decode(b"", final=True)
        self._utf8.reset()
        return text

    def copy(self) -> Utf8Decoder:
        """Another decoder, which goes on from the same place."""
        again = copy.copy(self)
        again._utf8 = copy.copy(self._utf8)
        return again
