"""A text to compare cells on: its training and held-out parts, and the training settings all cells share."""

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
"""Features of a character's embedding, the same for all cells."""
MIN_CHARACTERS = 2000
"""Characters a text must have."""
_MAX_HELD_OUT = 20_000
"""Characters of the held-out part that are used, at most: an evaluation must not take longer than the training."""


@dataclass(frozen=True)
class Text:
    """An encoded text in two parts."""

    name: str
    vocab_size: int
    train: NDArray[Any]
    """Token ids, (tokens,)."""
    held_out: NDArray[Any]
    """Token ids that no network is trained on, (tokens,)."""

    @classmethod
    def from_encoded(cls, encoded: Encoded) -> Text:
        """Split an encoded text.

        Raises:
            TextError: it is too short to compare cells on.
        """
        if len(encoded.ids) < MIN_CHARACTERS:
            what = f"{len(encoded.ids):,} characters are too few to compare cells on"
            raise TextError(what, where=encoded.name, hint=f"At least {MIN_CHARACTERS:,} are needed.")
        train, held_out = split(encoded.ids, DATA.val_fraction)
        return cls(encoded.name, encoded.tokenizer.vocab_size, train, held_out[:_MAX_HELD_OUT])

    def batches(self, seed: int) -> Iterator[Batch]:
        """Endless batches of the training part."""
        return TbpttBatches(self.train, DATA, seed).start_from(0, 0)

    def excerpts(self, count: int, length: int) -> NDArray[Any]:
        """Excerpts spread evenly over the held-out part.

        Args:
            count: number of excerpts.
            length: length of each, in characters.

        Returns:
            Token ids, (count, length).
        """
        starts = np.linspace(0, max(0, len(self.held_out) - length), count).astype(int)
        return self.held_out[(starts[:, None] + np.arange(length)) % len(self.held_out)]
