"""Text to token ids, and back."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache

from charlstm.export.numpy_parts.pieces import best_pieces, ids_of, merged_pieces
from charlstm.export.numpy_parts.settings import ALPHABET, BYTE_IDS, PIECES, TOKENIZER, UNKNOWN_ID


def encode(text: str) -> list[int]:
    """The ids of a text.

    Raises:
        ValueError: the network does not know one of its characters.
    """
    if TOKENIZER == "byte":
        return list(text.encode("utf-8", "surrogateescape"))
    if TOKENIZER == "unigram":
        return [token for line in re.split("(\n)", text) for piece in best_pieces(line) for token in ids_of(piece)]
    if TOKENIZER == "bpe":
        return [token for line in re.split("(\n)", text) for piece in merged_pieces(line) for token in ids_of(piece)]
    ids = [ALPHABET.find(character) for character in text]
    if UNKNOWN_ID is None:
        if -1 in ids:
            raise ValueError(f"the network does not know the character {text[ids.index(-1)]!r}")
        return ids
    return [UNKNOWN_ID if token < 0 else token for token in ids]


@cache
def spellings() -> dict[int, bytes]:
    """What each id stands for in UTF-8."""
    single = {token: bytes([byte]) for byte, token in enumerate(BYTE_IDS)}
    return single | {token: piece.encode() for piece, (token, _) in PIECES.items()}


def spelled(token: int) -> bytes:
    """What an id stands for in UTF-8."""
    if TOKENIZER == "byte":
        return bytes([token])
    return spellings()[token]


def decode(ids: Iterable[int]) -> str:
    """The text of ids."""
    if TOKENIZER == "char":
        return "".join(ALPHABET[token] for token in ids)
    return b"".join(spelled(token) for token in ids).decode("utf-8", "replace")
