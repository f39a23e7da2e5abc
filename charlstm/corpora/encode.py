"""Text to memory-mapped ids on disk: two passes in chunks, and a cache that can never be stale.

The first pass reads the whole text, hashes it and counts its characters; the tokenizer follows from the counts. The
second pass reads it again, hashes it again and writes the ids. A cached file is found by the hash that the first pass
has just taken: names, sizes and times of files play no part.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from charlstm.config import DataConfig
from charlstm.corpora import ids_cache
from charlstm.corpora.fit_tokenizer import fit
from charlstm.corpora.read import Corpus
from charlstm.corpora.scan import Progress, Scanner
from charlstm.corpora.text_size import TextSize, text_size
from charlstm.errors import CorruptError
from charlstm.tokenizers import Ids, Tokenizer, narrowest

_SAMPLE_BLOCK, _SAMPLE_BLOCKS = 4096, 256
"""The tokens of a long text are counted in 256 blocks of 4096 tokens."""


@dataclass(frozen=True)
class Encoded:
    """A text as ids."""

    ids: Ids
    """(tokens,), read-only and memory-mapped, of the narrowest unsigned type."""
    tokenizer: Tokenizer
    characters: int
    """Of the text; for the byte tokenizer, bytes that begin a character of UTF-8."""
    bytes: int
    """Of the text in UTF-8; for the byte tokenizer, of the files."""
    corpus_sha256: str
    """`Corpus.sha256` of the view that was encoded."""
    path: Path
    """The ``.npy`` file that ``ids`` maps."""
    name: str = ""
    """The corpus's name."""
    fingerprint: str = ""
    """`Corpus.fingerprint` when it was read."""

    def text_size(self, begin: int, end: int) -> TextSize:
        """The characters and bytes that ``ids[begin:end]`` stand for.

        Args:
            begin: the first id.
            end: the id after the last.

        Raises:
            StorageError: the file cannot be read.
        """
        return text_size(self.tokenizer, ids_cache.pieces(self.path, self.ids, begin, end))

    def effective_vocab_size(self) -> int:
        """The number of different tokens that make up 99 % of the text."""
        cumulative = np.sort(frequencies(self.ids, self.tokenizer.vocab_size))[::-1].cumsum()
        return 1 + int(np.searchsorted(cumulative, 0.99 * cumulative[-1]))

    def provenance(self) -> dict[str, Any]:
        """What a checkpoint records of the text it was trained on."""
        size = {"characters": self.characters, "bytes": self.bytes}
        return {"name": self.name, "sha256": self.corpus_sha256, **size, "fingerprint": self.fingerprint}


def encode(
    corpus: Corpus,
    data: DataConfig,
    cache: Path,
    *,
    tokenizer: Tokenizer | None = None,
    progress: Progress | None = None,
) -> Encoded:
    """Encode a whole corpus, in memory that does not grow with it.

    The byte tokenizer encodes the corpus's bytes as they are, so it takes any file; all others encode its text.

    Args:
        corpus: the text.
        data: ``tokenizer``, ``vocab_size`` and ``min_count`` choose the tokenizer to fit.
        cache: charlstm's cache folder.
        tokenizer: a tokenizer to use instead of fitting one.
        progress: called with the bytes read so far and the bytes to read in all.

    Returns:
        The ids, memory-mapped, and the tokenizer that made them.

    Raises:
        TextError: not text in its encoding, empty, or changed while it was read.
        UnknownCharacter: the given tokenizer has no id for a character.
        NotFoundError: a file has disappeared.
        CorruptError: the disk returned other bytes than were written.
        StorageError: the disk is full, or the cache cannot be written.
    """
    fingerprint = corpus.fingerprint()  # before the text is read: what changes meanwhile has another one
    scanner = Scanner(corpus, (tokenizer.kind if tokenizer else data.tokenizer) == "byte", progress)
    scan = scanner.scan()
    if tokenizer is None:
        tokenizer = fit(corpus, data, scan, cache)
    path = _place(scan.sha256, tokenizer, cache)
    dtype = narrowest(tokenizer.vocab_size)
    size = {"char": scan.characters, "byte": scan.bytes}.get(tokenizer.kind)
    written = False
    while (ids := ids_cache.load(path, tokenizer.vocab_size)) is None:
        # A missing file was removed by another process's cleanup between writing and loading: encode again.
        if written and path.exists():
            raise CorruptError("differs from what was just written to it", where=path, hint="Check the disk.")
        ids_cache.save(path, scanner.ids(tokenizer, scan.sha256), dtype, size)
        written = True
    return Encoded(ids, tokenizer, scan.characters, scan.bytes, scan.sha256, path, corpus.name, fingerprint)


def fit_tokenizer(corpus: Corpus, data: DataConfig, cache: Path) -> Tokenizer:
    """Fit the tokenizer that the settings name to a corpus, without encoding it.

    Args:
        corpus: the text; it is read once.
        data: ``tokenizer``, ``vocab_size`` and ``min_count`` are used.
        cache: charlstm's cache folder.

    Returns:
        The tokenizer.

    Raises:
        TextError, NotFoundError, StorageError: as in `encode`.
    """
    return fit(corpus, data, Scanner(corpus, data.tokenizer == "byte").scan(), cache)


def cached(corpus_sha256: str, tokenizer: Tokenizer, cache: Path) -> Encoded | None:
    """Load a text that was encoded before, whose source may be gone; None if the cache does not have it.

    Args:
        corpus_sha256: `Encoded.corpus_sha256` of the text.
        tokenizer: the tokenizer that encoded it.
        cache: charlstm's cache folder.

    Returns:
        The ids and their tokenizer, or None.
    """
    path = _place(corpus_sha256, tokenizer, cache)
    ids = ids_cache.load(path, tokenizer.vocab_size)
    if ids is None:
        return None
    size = text_size(tokenizer, ids_cache.pieces(path, ids, 0, len(ids)))
    return Encoded(ids, tokenizer, size.characters, size.bytes, corpus_sha256, path)


def split(ids: Ids, val_fraction: float) -> tuple[Ids, Ids]:
    """Split a text into its beginning, to train on, and its end, to validate on; both are views.

    Args:
        ids: (tokens,).
        val_fraction: in [0, 1); the share of the second part, rounded up to whole tokens.

    Returns:
        The training tokens and the validation tokens.
    """
    border = train_size(len(ids), val_fraction)
    return ids[:border], ids[border:]


def train_size(size: int, val_fraction: float) -> int:
    """The length of the part of a text that is trained on.

    Args:
        size: the length of the text, in tokens or in characters.
        val_fraction: in [0, 1); the share that is kept for validation.
    """
    return int(size * (1.0 - val_fraction))


def frequencies(ids: Ids, vocab_size: int) -> NDArray[np.int64]:
    """How often each token occurs in a text, or in an evenly spread sample of a million tokens of a longer one.

    Args:
        ids: (tokens,).
        vocab_size: the tokenizer's.

    Returns:
        (vocab_size,).
    """
    begins = np.linspace(0, max(0, len(ids) - _SAMPLE_BLOCK), _SAMPLE_BLOCKS, dtype=np.int64)
    short = len(ids) <= _SAMPLE_BLOCK * _SAMPLE_BLOCKS
    counts = np.zeros(vocab_size, np.int64)
    for block in [ids] if short else [ids[begin : begin + _SAMPLE_BLOCK] for begin in begins]:
        counts += np.bincount(block, minlength=vocab_size)
    return counts


def _place(sha256: str, tokenizer: Tokenizer, cache: Path) -> Path:
    return cache / "encoded" / f"{ids_cache.key(sha256, tokenizer.to_state())}.npy"
