"""Fit the tokenizer that the settings name to a corpus."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Literal

from charlstm.config import DataConfig
from charlstm.corpora import ids_cache
from charlstm.corpora.cache_cleanup import mark_used
from charlstm.corpora.chunks import evenly
from charlstm.corpora.read import Corpus
from charlstm.corpora.scan import ScanResult
from charlstm.errors import CorruptError
from charlstm.tokenizers import ByteTokenizer, CharTokenizer, Tokenizer, from_state

SENTENCEPIECE_SAMPLE = 10_000_000
"""The most bytes of text a SentencePiece tokenizer is trained on, in evenly spaced pieces."""


def fit(corpus: Corpus, config: DataConfig, scan: ScanResult, cache: Path) -> Tokenizer:
    """Fit the tokenizer that the settings name to a text.

    Args:
        corpus: the text.
        config: ``tokenizer``, ``vocab_size`` and ``min_count`` are used.
        scan: the result of the first pass over the text.
        cache: charlstm's cache folder, where SentencePiece models are stored: training one takes minutes on a large
            text, while the others take no time.

    Returns:
        The tokenizer.
    """
    if config.tokenizer == "byte":
        return ByteTokenizer()
    if config.tokenizer == "char":
        return CharTokenizer.fit(scan.counts, min_count=config.min_count)
    settings = {"model": config.tokenizer, "vocab_size": config.vocab_size}
    path = cache / "tokenizers" / f"{ids_cache.key(scan.sha256, settings)}.json"
    stored = _load(path)
    if stored is not None:
        mark_used(path)
        return stored
    tokenizer = _train_sentencepiece(corpus, config, scan)
    state = json.dumps(tokenizer.to_state()).encode()
    ids_cache.write(path, state + b"\n" + _digest(state))
    return tokenizer


def _load(path: Path) -> Tokenizer | None:
    """A stored tokenizer: its state on the first line, the SHA-256 of that on the second; None if that is not so."""
    try:
        state, _, digest = path.read_bytes().partition(b"\n")
        tokenizer = from_state(json.loads(state)) if digest == _digest(state) else None
    except (OSError, ValueError, RecursionError, CorruptError):
        return None
    return tokenizer if tokenizer is not None and tokenizer.kind == "sentencepiece" else None


def _digest(state: bytes) -> bytes:
    return hashlib.sha256(state).hexdigest().encode()


def _train_sentencepiece(corpus: Corpus, config: DataConfig, scan: ScanResult) -> Tokenizer:
    from charlstm.tokenizers import train_sentencepiece  # slow to import, and seldom needed

    pieces = evenly(corpus.chunks(), SENTENCEPIECE_SAMPLE / scan.bytes)
    model: Literal["unigram", "bpe"] = "bpe" if config.tokenizer == "bpe" else "unigram"
    return train_sentencepiece.train(pieces, model=model, vocab_size=config.vocab_size)
