"""From logits to log-probabilities."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from charlstm.engine.protocol import Logits

Nats = NDArray[np.float64]
"""Log-probabilities, in nats."""


def log_softmax(logits: Logits) -> Nats:
    """Compute the log-probabilities of each row of logits (B, C), in nats."""
    wide = logits.astype(np.float64)
    shifted = wide - wide.max(axis=1, keepdims=True)
    nats: Nats = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return nats
