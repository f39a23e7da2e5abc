"""One id a byte: 256 ids, no unknowns, any file at all."""

from __future__ import annotations

import codecs
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from charlstm.tokenizers.base import Ids, Stateless


class ByteTokenizer:
    """One id a byte of UTF-8. Bytes that are not UTF-8 travel through `str` as surrogate escapes (PEP 383)."""

    kind = "byte"
    vocab_size = 256
    unknown_id: int | None = None

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> ByteTokenizer:
        """Undo `to_state`; there is nothing to know."""
        return cls()

    def to_state(self) -> dict[str, Any]:
        """Only the kind: every byte tokenizer is the same."""
        return {"kind": self.kind}

    def encode(self, text: str) -> Ids:
        """The bytes of the text."""
        return np.frombuffer(text.encode("utf-8", "surrogateescape"), np.uint8)

    def decode(self, ids: Iterable[int]) -> str:
        """The text of the bytes; those that are no UTF-8 become U+FFFD."""
        return bytes(ids).decode("utf-8", "replace")

    def encoder(self) -> Stateless:
        """Bytes do not depend on their neighbours."""
        return Stateless(self)

    def decoder(self) -> Utf8Decoder:
        """Bytes wait until they make a whole character."""
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
        tokenizer: whose ids they are.
        errors: what becomes of bytes that are no UTF-8: ``"replace"`` is U+FFFD, ``"surrogateescape"`` keeps them.
    """

    def __init__(self, tokenizer: Any, errors: str = "replace") -> None:
        self._bytes_of = tokenizer.token_bytes
        self._utf8 = codecs.getincrementaldecoder("utf-8")(errors)

    def push(self, token: int) -> str:
        """The characters that are whole now."""
        return self._utf8.decode(self._bytes_of(token))

    def flush(self) -> str:
        """What becomes of a character that was left half done."""
        rest = self._utf8.decode(b"", final=True)
        self._utf8.reset()
        return rest
