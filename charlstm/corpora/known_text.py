"""The text of a run: opened as its settings say, found again by its hash, and cut where training cut it."""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO, TypeAlias

import numpy as np
from numpy.typing import NDArray

from charlstm.config import DataConfig
from charlstm.corpora.decode import Decoding
from charlstm.corpora.encode import Encoded, cached, encode, split
from charlstm.corpora.read import Corpus
from charlstm.corpora.records import NONE, record_ends, sorted_records, terminator_ids, validation_border
from charlstm.corpora.sources import open_sources
from charlstm.errors import TextError, UnknownCharacter, UsageError
from charlstm.tokenizers import Ids, Tokenizer

Mismatch: TypeAlias = tuple[str, str]
"""The error message for a text with another hash, and the hint."""


def open_corpus(data: DataConfig, cache: Path, stdin: BinaryIO | None) -> Corpus:
    """Open the text that the settings name; a list of texts is in the order in which it is trained on.

    Args:
        data: the data settings.
        cache: the folder of the cache.
        stdin: the stream that the source ``-`` stands for.

    Returns:
        The text.

    Raises:
        CharlstmError: a source does not exist or cannot be read.
    """
    return as_list(open_as_given(data, cache, stdin), data.records, cache)


def open_as_given(data: DataConfig, cache: Path, stdin: BinaryIO | None) -> Corpus:
    """Open the text that the settings name, in its own order.

    Args:
        data: the data settings.
        cache: the folder of the cache.
        stdin: the stream that the source ``-`` stands for.

    Returns:
        The text.

    Raises:
        CharlstmError: a source does not exist or cannot be read.
    """
    return open_sources(data.sources, decoding=Decoding.of(data), stdin=stdin, cache=cache)


def as_list(corpus: Corpus, records: str, cache: Path) -> Corpus:
    """Return a list of texts in the order in which it is trained on; one text as it is.

    Args:
        corpus: the text in its own order.
        records: how its texts are separated.
        cache: the folder of the cache.
    """
    return corpus if records == NONE else sorted_records(corpus, records, cache)


def load_known_text(
    data: DataConfig, tokenizer: Tokenizer, sha256: str, cache: Path, stdin: BinaryIO | None, mismatch: Mismatch
) -> Encoded:
    """Load a text with a known hash from the cache, or read and encode it again.

    Args:
        data: the data settings of the run.
        tokenizer: the tokenizer of the run.
        sha256: the hash of the text.
        cache: the folder of the cache of encoded texts.
        stdin: the stream that the source ``-`` stands for.
        mismatch: the message and hint of the error if the text has another hash.

    Returns:
        The encoded text.

    Raises:
        UsageError: the text has another hash.
    """
    encoded = cached(sha256, tokenizer, cache)
    if encoded is not None:
        return encoded
    changed = UsageError(mismatch[0], where=", ".join(data.sources), hint=mismatch[1])
    try:
        encoded = encode(open_corpus(data, cache, stdin), data, cache, tokenizer=tokenizer)
    except (TextError, UnknownCharacter) as fault:
        raise changed from fault
    if encoded.corpus_sha256 != sha256:
        raise changed
    return encoded


def training_and_validation(encoded: Encoded, data: DataConfig) -> tuple[Ids, Ids]:
    """Cut a text into the part to train on and the part after it to validate on; a list between two of its texts.

    Args:
        encoded: the text.
        data: the data settings.

    Returns:
        The training tokens and the validation tokens.
    """
    ids, ends = encoded.ids, ends_of_records(encoded, data.records)
    border = None if ends is None else validation_border(ids, ends, data.val_fraction)
    return split(ids, data.val_fraction) if border is None else (ids[:border], ids[border:])


def ends_of_records(encoded: Encoded, records: str) -> NDArray[np.int64] | None:
    """Return where the texts of a list end; None for one text.

    Args:
        encoded: the list, or the one text.
        records: how its texts are separated.
    """
    return None if records == NONE else record_ends(encoded.ids, terminator_ids(records, encoded.tokenizer))
