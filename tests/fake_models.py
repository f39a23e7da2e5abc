"""Tiny models with the members of an engine, whose every number can be known beforehand."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from charlstm.tokenizers import CharTokenizer, Tokenizer


class Markov:
    """The logits of the next token depend on the last one only; the state is every token a row has read."""

    def __init__(self, table: Any, tokenizer: Tokenizer | None = None) -> None:
        self.table = np.asarray(table, np.float32)
        self.vocab_size = self.table.shape[1]
        self.tokenizer: Tokenizer = tokenizer or CharTokenizer(chr(97 + i) for i in range(self.vocab_size))
        self.steps: list[list[int]] = []
        """The tokens of every step taken, one list a step."""

    def step(self, tokens: Any, state: Any) -> tuple[Any, Any]:
        self.steps.append([int(token) for token in tokens])
        state = [()] * len(tokens) if state is None else state
        assert len(state) == len(tokens)
        logits = self.table[np.asarray(tokens, np.int64) % len(self.table)]
        return logits, [(*past, int(token)) for past, token in zip(state, tokens, strict=True)]

    def freeze(self, state: Any, frozen: bool = True) -> Any:
        return state

    def expand(self, state: Any, rows: int) -> Any:
        assert len(state) == 1
        return list(state) * rows

    def select(self, state: Any, rows: Sequence[int]) -> Any:
        return [state[row] for row in rows]

    def join(self, states: Sequence[Any]) -> Any:
        return [past for state in states for past in state]


def cycle(text: str, sharpness: float = 50.0) -> Markov:
    """A model that all but surely writes ``text`` (distinct characters) in a circle."""
    alphabet = sorted(set(text))
    table = np.zeros((len(alphabet), len(alphabet)))
    for before, after in zip(text, text[1:] + text[0], strict=True):
        table[alphabet.index(before), alphabet.index(after)] = sharpness
    return Markov(table, CharTokenizer(alphabet))


def random_markov(alphabet: str, seed: int = 0, spread: float = 2.0, *, unknown: bool = False) -> Markov:
    """A model with random logits over an alphabet."""
    tokenizer = CharTokenizer(alphabet, unknown=unknown)
    size = tokenizer.vocab_size
    return Markov(np.random.default_rng(seed).normal(size=(size, size)) * spread, tokenizer)
