"""What a checkpoint keeps of its training text: where it begins, its words, its records, how much it repeats itself."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from charlstm.checkpoint.known import KnownRecords
from charlstm.checkpoint.writing import Writing
from charlstm.corpora.records import read_records, record_ends, terminator, terminator_ids
from charlstm.corpora.starts import find_starts
from charlstm.corpora.words import common_words
from charlstm.sampling.repeats import longest_run, usual_repeats
from charlstm.tokenizers import Tokenizer

_MOST_KNOWN = 1 << 20
"""Records whose digests are stored, at most: 4 MB. Of a longer list nothing can be said to be new."""


@dataclass(frozen=True)
class Extracts:
    """What is kept of a text."""

    writing: Writing
    """How a network of it writes, before its min-p is measured."""
    words: tuple[str, ...]
    """Its words, sorted."""
    records: KnownRecords = field(default_factory=KnownRecords)
    """Its records, if it is a list of them."""


def extract(train_ids: NDArray[Any], val_ids: NDArray[Any], tokenizer: Tokenizer, *, records: str | None) -> Extracts:
    """Look through a text.

    Args:
        train_ids: the training tokens, (tokens,), memory-mapped or not.
        val_ids: the validation tokens, (tokens,); only their records are kept.
        tokenizer: of these tokens.
        records: how a list of texts is separated; None if it is one text.

    Returns:
        What is kept.
    """
    words, run = common_words(train_ids, tokenizer), longest_run(train_ids)
    limits = Writing(no_repeat=usual_repeats(train_ids), longest_run=run if run > 1 else 0)
    if records is None:
        return Extracts(limits.replace(starts=find_starts(train_ids, tokenizer)), words)
    end, end_ids = terminator(records), terminator_ids(records, tokenizer)
    parts = [(ids, record_ends(ids, end_ids)) for ids in (train_ids, val_ids) if len(ids)]
    longest = max(int(np.diff(ends, prepend=0).max()) for _, ends in parts)

    def texts() -> Iterator[str]:
        for ids, ends in parts:
            yield from read_records(ids, ends, end, tokenizer)

    few_enough = sum(len(ends) for _, ends in parts) <= _MOST_KNOWN
    writing = limits.replace(record=end, longest_record=longest)
    return Extracts(writing, words, KnownRecords.of(texts()) if few_enough else KnownRecords())
