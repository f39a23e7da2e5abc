"""The tokenizer that settings ask for, fitted to a corpus."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Literal

from charlstm.config import DataConfig
from charlstm.corpora import ids_cache as store
from charlstm.corpora.cache_cleanup import touch
from charlstm.corpora.chunks import evenly
from charlstm.corpora.read import Corpus
from charlstm.corpora.scan import Survey
from charlstm.errors import CorruptError
from charlstm.tokenizers import ByteTokenizer, CharTokenizer, Tokenizer, from_state

SENTENCEPIECE_SAMPLE = 10_000_000
"""The most bytes of text a SentencePiece tokenizer is trained on, in evenly spaced pieces."""


def fit(corpus: Corpus, config: DataConfig, survey: Survey, cache: Path) -> Tokenizer:
    """The tokenizer the settings ask for, fitted to the text.

    Args:
        corpus: the text.
        config: ``tokenizer``, ``vocab_size`` and ``min_count``.
        survey: what the first pass found in it.
        cache: charlstm's cache folder: SentencePiece models are kept there.
    """
    if config.tokenizer == "byte":
        return ByteTokenizer()
    if config.tokenizer == "char":
        return CharTokenizer.fit(survey.counts, min_count=config.min_count)
    # Training one takes minutes on a large text, so it is kept; the others take no time.
    wanted = {"model": config.tokenizer, "vocab_size": config.vocab_size}
    path = cache / "tokenizers" / f"{store.key(survey.sha256, wanted)}.json"
    try:
        known = from_state(json.loads(path.read_text("utf-8")))
    except (OSError, ValueError, CorruptError):
        tokenizer = _train_sentencepiece(corpus, config, survey)
    else:
        touch(path)
        return known
    store.write(path, json.dumps(tokenizer.to_state()).encode())
    return tokenizer


def _train_sentencepiece(corpus: Corpus, config: DataConfig, survey: Survey) -> Tokenizer:
    from charlstm.tokenizers import sentencepiece  # slow to load, and seldom wanted

    model: Literal["unigram", "bpe"] = "bpe" if config.tokenizer == "bpe" else "unigram"
    pieces = evenly(corpus.chunks(), SENTENCEPIECE_SAMPLE / survey.bytes)
    return sentencepiece.train(pieces, model=model, vocab_size=config.vocab_size)
