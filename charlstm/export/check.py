"""Whether a network can be asked at all: one whose weights are out of range is of no use to another program either."""

from __future__ import annotations

import numpy as np

from charlstm.checkpoint.format import Checkpoint
from charlstm.engine.bidirectional import BidirectionalEngine
from charlstm.engine.load import load_engine
from charlstm.sampling.position import check_finite, prefill

_TRIED = 64  # tokens


def check_works(checkpoint: Checkpoint) -> None:
    """Let a network read some tokens of its alphabet.

    Args:
        checkpoint: the network.

    Raises:
        CheckpointError: a logit is not finite.
    """
    engine = load_engine(checkpoint)
    ids = np.arange(_TRIED) % engine.vocab_size
    if isinstance(engine, BidirectionalEngine):
        check_finite(engine.logits(ids).astype(np.float64))
    else:
        prefill(engine, ids)
