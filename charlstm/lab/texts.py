"""A text for the contestants: what they learn from, what they are tested on, and the recipe they share."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from charlstm.config import DataConfig, TrainConfig
from charlstm.corpora.encode import Encoded, split
from charlstm.errors import TextError
from charlstm.training.batches import Batch, TbpttBatches

DATA = DataConfig(batch_size=16, seq_len=64, streams=64, reset_prob=0.02)
TRAIN = TrainConfig(optimizer="soap", lr=0.01, beta2=0.97, grad_clip=0.5, weight_decay=0.02)
EMBEDDING = 24
"""Features of a character, the same for all."""
LEAST = 2000
"""Characters a text must have."""
_TESTED = 20_000
"""Characters of the held-out part, at most: a test must not take longer than what it tests."""


@dataclass(frozen=True)
class Text:
    """An encoded text in its two parts."""

    name: str
    vocab_size: int
    train: NDArray[Any]
    held_out: NDArray[Any]

    @classmethod
    def of(cls, encoded: Encoded) -> Text:
        """The two parts of an encoded text.

        Raises:
            TextError: it is too short to compare anything on.
        """
        if len(encoded.ids) < LEAST:
            raise TextError(f"{len(encoded.ids)} characters are too few to compare cells on; {LEAST} are needed")
        train, held_out = split(encoded.ids, DATA.val_fraction)
        return cls(encoded.name, encoded.tokenizer.vocab_size, train, held_out[:_TESTED])

    def windows(self, seed: int) -> Iterator[Batch]:
        """The windows of the training part, without end."""
        return TbpttBatches(self.train, DATA, seed).start_from(0, 0)

    def pieces(self, count: int, length: int) -> NDArray[Any]:
        """Pieces of the held-out part, evenly spread over it, (count, length)."""
        starts = np.linspace(0, max(0, len(self.held_out) - length), count).astype(int)
        return self.held_out[(starts[:, None] + np.arange(length)) % len(self.held_out)]
