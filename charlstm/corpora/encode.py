"""Text to ids on the disk, memory-mapped: two passes in chunks, cached so that a cached file can never be stale.

Pass 1 reads the whole text, hashes it and counts its characters; the tokenizer follows from the counts. Pass 2 reads it
again, hashes it again and writes the ids. A cached file is found by the hash that pass 1 takes of the text as it is
now: names, sizes and times of files play no part.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from charlstm.config import DataConfig
from charlstm.corpora import ids_cache as store
from charlstm.corpora.fit_tokenizer import fit
from charlstm.corpora.read import Corpus
from charlstm.corpora.scan import Progress, Reading
from charlstm.corpora.text_size import Extent, extent
from charlstm.tokenizers import Ids, Tokenizer, narrowest

_BLOCK, _BLOCKS = 4096, 256
"""A long text's tokens are counted in so many blocks of it, of so many tokens."""


@dataclass(frozen=True)
class Encoded:
    """A text as ids, ready to be cut into windows."""

    ids: Ids
    """Read-only and memory-mapped, (tokens,), of the narrowest unsigned type."""
    tokenizer: Tokenizer
    characters: int
    """Of the text; for the byte tokenizer, bytes that begin a character of UTF-8."""
    bytes: int
    """Of the text in UTF-8; for the byte tokenizer, of the files."""
    corpus_sha256: str
    """`Corpus.sha256` of the view that was encoded."""
    path: Path
    """The file that ``ids`` maps: ``.npy``."""
    name: str = ""
    """The corpus's."""

    def count(self, begin: int, end: int) -> Extent:
        """The characters and bytes that ``ids[begin:end]`` stand for.

        Raises:
            StorageError: the file cannot be read any more.
        """
        return extent(self.tokenizer, store.pieces(self.path, self.ids.dtype, begin, end))

    def common(self) -> int:
        """How many different tokens 99 % of the text is made of."""
        falling = np.sort(frequencies(self.ids, self.tokenizer.vocab_size))[::-1].cumsum()
        return 1 + int(np.searchsorted(falling, 0.99 * falling[-1]))

    def about(self) -> dict[str, Any]:
        """What a checkpoint says of the text it was trained on."""
        return {"name": self.name, "sha256": self.corpus_sha256, "characters": self.characters, "bytes": self.bytes}


def encode(
    corpus: Corpus,
    data: DataConfig,
    cache: Path,
    *,
    tokenizer: Tokenizer | None = None,
    progress: Progress | None = None,
) -> Encoded:
    """Encode a whole corpus, in memory that does not grow with it.

    The byte tokenizer takes the corpus's bytes as they are, so any file; all others take its text.

    Args:
        corpus: the text.
        data: its ``tokenizer``, ``vocab_size`` and ``min_count`` say what tokenizer to fit.
        cache: charlstm's cache folder.
        tokenizer: take this one instead.
        progress: called with the bytes done so far and in all.

    Raises:
        TextError: not text in its encoding, empty, or changed while it was read.
        UnknownCharacter: the tokenizer given has no id for a character.
        NotFoundError: a file is gone.
        StorageError: the disk is full, or the cache cannot be written.
    """
    reading = Reading(corpus, (tokenizer.kind if tokenizer else data.tokenizer) == "byte", progress)
    survey = reading.survey()
    if tokenizer is None:
        tokenizer = fit(corpus, data, survey, cache)
    path = _place(survey.sha256, tokenizer, cache)
    dtype = narrowest(tokenizer.vocab_size)
    size = {"char": survey.characters, "byte": survey.bytes}.get(tokenizer.kind)
    ids = store.load(path, dtype, size)
    if ids is None:
        ids = store.save(path, reading.ids(tokenizer, survey.sha256), dtype, size)
    return Encoded(ids, tokenizer, survey.characters, survey.bytes, survey.sha256, path, corpus.name)


def fit_tokenizer(corpus: Corpus, data: DataConfig, cache: Path) -> Tokenizer:
    """The tokenizer that the settings ask for, fitted to a corpus.

    Args:
        corpus: the text; it is read once.
        data: ``tokenizer``, ``vocab_size`` and ``min_count``.
        cache: charlstm's cache folder.

    Raises:
        TextError, NotFoundError, StorageError: as in `encode`.
    """
    return fit(corpus, data, Reading(corpus, data.tokenizer == "byte").survey(), cache)


def cached(corpus_sha256: str, tokenizer: Tokenizer, cache: Path) -> Encoded | None:
    """A text that was encoded before, though its source may be gone; None when the cache does not have it.

    Args:
        corpus_sha256: `Encoded.corpus_sha256` of the text.
        tokenizer: what it was encoded with.
        cache: charlstm's cache folder.
    """
    path = _place(corpus_sha256, tokenizer, cache)
    dtype = narrowest(tokenizer.vocab_size)
    ids = store.load(path, dtype, None)
    if ids is None:
        return None
    found = extent(tokenizer, store.pieces(path, dtype, 0, len(ids)))
    return Encoded(ids, tokenizer, found.characters, found.bytes, corpus_sha256, path)


def split(ids: Ids, val_fraction: float) -> tuple[Ids, Ids]:
    """The text's contiguous beginning, to train on, and its last ``val_fraction``, to validate on; both are views.

    Args:
        ids: (tokens,).
        val_fraction: in [0, 1); its share is rounded up to whole tokens, and 0 leaves the second part empty.
    """
    border = boundary(len(ids), val_fraction)
    return ids[:border], ids[border:]


def boundary(tokens: int, val_fraction: float) -> int:
    """How many of the tokens are trained on."""
    return int(tokens * (1.0 - val_fraction))


def frequencies(ids: Ids, vocab_size: int) -> NDArray[np.int64]:
    """How often each token stands in a text, (vocab_size,); in a million tokens, evenly spread, of a longer one.

    Args:
        ids: (tokens,).
        vocab_size: of the tokenizer.
    """
    begins = np.linspace(0, max(0, len(ids) - _BLOCK), _BLOCKS, dtype=np.int64)
    counts = np.zeros(vocab_size, np.int64)
    for block in [ids] if len(ids) <= _BLOCK * _BLOCKS else [ids[begin : begin + _BLOCK] for begin in begins]:
        counts += np.bincount(block, minlength=vocab_size)
    return counts


def _place(sha256: str, tokenizer: Tokenizer, cache: Path) -> Path:
    return cache / "encoded" / f"{store.key(sha256, tokenizer.to_state())}.npy"
