"""The size of the text that ids stand for."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from charlstm.tokenizers import Ids, Tokenizer


@dataclass(frozen=True)
class TextSize:
    """The size of a text."""

    characters: int
    bytes: int
    """In UTF-8."""


def text_size(tokenizer: Tokenizer, pieces: Iterable[Ids]) -> TextSize:
    """Count the characters and bytes that ids stand for, to turn nats per token into bits per character.

    A character is counted at its first byte, so that ids of single bytes add up. The unknown symbol counts as one
    character of three bytes, U+FFFD.

    Args:
        tokenizer: the tokenizer of the ids.
        pieces: the ids, in pieces of any length.

    Returns:
        The characters and the bytes.
    """
    occurrences = np.zeros(tokenizer.vocab_size, np.int64)
    for ids in pieces:
        occurrences += np.bincount(ids, minlength=tokenizer.vocab_size)
    characters = size = 0
    for token in np.flatnonzero(occurrences).tolist():
        data = tokenizer.token_bytes(token)
        characters += int(occurrences[token]) * sum(byte & 0xC0 != 0x80 for byte in data)
        size += int(occurrences[token]) * len(data)
    return TextSize(characters, size)
