"""How much text some ids stand for."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from charlstm.tokenizers import Ids, Tokenizer


@dataclass(frozen=True)
class Extent:
    """How much text some ids stand for."""

    characters: int
    bytes: int


def extent(tokenizer: Tokenizer, pieces: Iterable[Ids]) -> Extent:
    """The characters and bytes that ids stand for, to turn nats per token into bits per character.

    A character is counted where its first byte stands, so that ids of single bytes add up. The unknown symbol counts as
    one character of three bytes, U+FFFD.

    Args:
        tokenizer: whose ids they are.
        pieces: the ids, in pieces of any length.
    """
    occurrences = np.zeros(tokenizer.vocab_size, np.int64)
    for ids in pieces:
        occurrences += np.bincount(ids, minlength=tokenizer.vocab_size)
    characters = size = 0
    for token in np.flatnonzero(occurrences).tolist():
        data = tokenizer.token_bytes(token)
        characters += int(occurrences[token]) * sum(byte & 0xC0 != 0x80 for byte in data)
        size += int(occurrences[token]) * len(data)
    return Extent(characters, size)
