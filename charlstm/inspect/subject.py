"""What is looked into: a network and a text that it reads."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from charlstm.nn.model import CharLM
from charlstm.tokenizers import Tokenizer


@dataclass(frozen=True, eq=False)
class Subject:
    """A network and a text."""

    name: str
    """Of the network, as a person calls it."""
    model: CharLM
    """In evaluation mode."""
    tokenizer: Tokenizer
    ids: NDArray[np.integer[Any]]
    """The text, (T,), at least two tokens."""

    @cached_property
    def tokens(self) -> tuple[str, ...]:
        """What each token adds to the text: nothing where it ends inside a character; joined, they are the text."""
        decoder, last = self.tokenizer.decoder(), len(self.ids) - 1
        texts = [decoder.push(int(token)) for token in self.ids]
        texts[last] += decoder.flush()
        return tuple(texts)

    @property
    def text(self) -> str:
        """The text."""
        return "".join(self.tokens)

    def name_of(self, token: int) -> str:
        """A token by itself, as a label shows it: a byte that is no character has its number."""
        data = self.tokenizer.token_bytes(token)
        try:
            return data.decode("utf-8")
        except UnicodeDecodeError:
            return data.hex(" ")
