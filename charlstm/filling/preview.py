"""The sample shown during training: what a network writes, or how it fills the blanks of a passage."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from charlstm.checkpoint.format import Checkpoint
from charlstm.engine.bidirectional import BidirectionalEngine
from charlstm.engine.load import load_engine
from charlstm.filling import fill
from charlstm.filling.readers import MaskedReader
from charlstm.sampling import sampler
from charlstm.sampling.config import MAX_SEED, settings_for
from charlstm.sampling.records import draw_records

_RECORDS = 8
"""Records in a preview, at most."""


def write_preview(checkpoint: Checkpoint, passage: Sequence[int]) -> str:
    """A short text by a network: the same for the same weights, and with other random numbers at every step.

    Args:
        checkpoint: the network.
        passage: ids of a text it has not learnt: a bidirectional network fills blanks in it, a causal one writes as
            many characters as it has tokens.
    """
    with np.errstate(over="ignore", invalid="ignore"):  # of a training that diverges; the error says so
        engine = load_engine(checkpoint)
        if isinstance(engine, BidirectionalEngine):
            return fill.preview(MaskedReader(engine), engine.tokenizer, passage)
        seed = (checkpoint.run.train.seed + (checkpoint.provenance.step or 0)) % (MAX_SEED + 1)
        config = settings_for(checkpoint.writing, seed=seed)
        writing, length = checkpoint.writing, checkpoint.run.train.preview
        if writing.record:
            drawn = draw_records(engine, writing, checkpoint.records, config, _RECORDS)
            return "".join(record.text + writing.record for record in drawn)[:length]
        return sampler.preview(engine, length, config, writing.starts)
