"""Texts that are drawn side by side: which token adds what, in batches that are worth sending."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from charlstm.engine.protocol import Logits
from charlstm.sampling.sampler import Fragment
from charlstm.sampling.stopping import FinishReason
from charlstm.tokenizers import Decoder, Tokenizer
from charlstm.web.reading import Scored, score

_FLUSH_SECONDS, _FLUSH_TOKENS = 0.016, 64
"""A batch is sent after so much of either: as often as a screen is drawn."""


class Token(NamedTuple):
    """A token of a drawn text."""

    text: str
    """What it adds to the text."""
    id: int
    logits: Logits
    """(V,), that it was drawn from, before all filters."""


@dataclass
class Batch:
    """What was drawn of one row since its last batch."""

    row: int
    tokens: list[Token] = field(default_factory=list)
    reason: FinishReason | None = None
    """Why the row has ended; None while it goes on."""

    @property
    def texts(self) -> list[str]:
        """What each token adds."""
        return [token.text for token in self.tokens]

    def scored(self, bias: Logits | float = 0.0) -> Scored:
        """How each token was expected.

        Args:
            bias: what was added to the network's logits, (V,).
        """
        return score(np.stack([token.logits for token in self.tokens]) - bias, [token.id for token in self.tokens])


def batches(
    tokenizer: Tokenizer, fragments: Iterator[Fragment], rows: int, *, singly: bool = False
) -> Iterator[list[Batch]]:
    """Gather what is drawn, a short while or some tokens at a time; the first token alone, at once.

    Args:
        tokenizer: of the network.
        fragments: as `sample` yields them.
        rows: how many texts are drawn.
        singly: whether each token comes alone.

    Yields:
        A batch for each row that has something new.
    """
    drawn = [_Row(tokenizer.decoder()) for _ in range(rows)]
    gathered: dict[int, Batch] = {}
    last = 0.0
    for count, fragment in enumerate(fragments):
        tokens = drawn[fragment.row].push(fragment)
        if tokens or fragment.finish_reason:
            batch = gathered.setdefault(fragment.row, Batch(fragment.row))
            batch.tokens += tokens
            batch.reason = fragment.finish_reason
        now = time.perf_counter()
        if gathered and (singly or count % _FLUSH_TOKENS == 0 or now - last > _FLUSH_SECONDS):
            yield list(gathered.values())
            gathered, last = {}, now
    if gathered:
        yield list(gathered.values())


class _Row:
    """Pairs the tokens of a row with its text, of which the end may wait: for a stop text, or half a character."""

    def __init__(self, decoder: Decoder) -> None:
        self._decoder = decoder
        self._waiting: list[Token] = []
        self._certain = ""

    def push(self, fragment: Fragment) -> list[Token]:
        """Add a fragment; return the tokens whose text is certain now."""
        self._waiting.append(Token(self._decoder.push(fragment.token), fragment.token, fragment.logits))
        self._certain += fragment.text
        ready = self._covered()
        if fragment.finish_reason and self._certain and not self._waiting:  # half a character after the last whole one
            ready[-1] = ready[-1]._replace(text=ready[-1].text + self._certain)
        elif fragment.finish_reason and self._certain:  # the first token of which a stop text leaves a part
            cut = next((place for place, token in enumerate(self._waiting) if token.text), len(self._waiting) - 1)
            ready += [*self._waiting[:cut], self._waiting[cut]._replace(text=self._certain)]
        return ready

    def _covered(self) -> list[Token]:
        """Take the tokens whose whole text is certain, each with those before it that have none."""
        length = count = size = 0
        for place, token in enumerate(self._waiting, 1):
            length += len(token.text)
            if length > len(self._certain):
                break
            if token.text:
                count, size = place, length
        ready, self._waiting = self._waiting[:count], self._waiting[count:]
        self._certain = self._certain[size:]
        return ready
