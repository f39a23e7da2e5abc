"""What a training has come to, beside what is known without any network: how frequent each token is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from charlstm.corpora.encode import frequencies


@dataclass(frozen=True)
class Outcome:
    """The figures of a run so far."""

    passes: float
    """Over the training text, in all sessions."""
    seconds: float
    """Of training, in all sessions."""
    bits: float | None
    """Bits per character of the validation text, at best; per byte for a model of bytes; None without such a text."""
    bits_by_frequency: float | None
    """The same if only the frequency of each token in the training text is known."""


def unigram_loss(train_ids: NDArray[Any], val_ids: NDArray[Any], vocab_size: int) -> float:
    """The loss of a text if each token is predicted by its frequency alone, with one occurrence more than it has.

    Args:
        train_ids: the tokens that are counted, (tokens,).
        val_ids: the tokens that are predicted, (tokens,), at least one.
        vocab_size: the tokenizer's.

    Returns:
        Nats per token.
    """
    counts = frequencies(train_ids, vocab_size) + 1
    shares = frequencies(val_ids, vocab_size)
    return float(-(shares * np.log(counts / counts.sum())).sum() / shares.sum())
