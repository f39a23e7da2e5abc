"""Checkpoints with random weights that say, truly, which text they were trained on."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

from charlstm.checkpoint.format import Checkpoint, write
from charlstm.checkpoint.provenance import CorpusProvenance
from charlstm.checkpoint.writing import Writing
from charlstm.config import DataConfig
from charlstm.corpora.decode import Decoding
from charlstm.corpora.encode import encode
from charlstm.corpora.records import sorted_records
from charlstm.corpora.sources import open_sources
from charlstm.tokenizers import Tokenizer, from_state
from tests.fake_checkpoints import make_checkpoint


def prose(size: int, seed: int = 0) -> str:
    chance = random.Random(seed)
    words = ["".join(chance.choices("abcdefghijklmnop", k=chance.randint(2, 9))) for _ in range(400)]
    text = ""
    while len(text) < size:
        text += chance.choice(words) + (".\n" if chance.random() < 0.1 else " ")
    return text[:size]


def trained_on(folder: Path, text: bytes, tokenizer: Tokenizer | None = None, **data: Any) -> Checkpoint:
    """A network that says it was trained on a file, as training would."""
    (folder / "book.txt").write_bytes(text)
    path = folder / "checkpoints" / "my-1" / "model.safetensors"
    saved = make_checkpoint(path, tokenizer)
    settings = DataConfig(sources=(str(folder / "book.txt"),), tokenizer=saved.run.data.tokenizer, **data)
    corpus = open_sources(settings.sources, decoding=Decoding.of(settings), cache=folder / "cache")
    if settings.lists_records:
        corpus = sorted_records(corpus, settings.records, folder / "cache")
    encoded = encode(corpus, settings, folder / "cache", tokenizer=from_state(saved.tokenizer))
    provenance = saved.provenance.replace(corpus=CorpusProvenance(**encoded.provenance()))
    writing = Writing(record="\n", longest_record=9) if settings.lists_records else Writing()
    run = saved.run.replace(data=settings)
    saved = Checkpoint("model", saved.tensors, run, saved.tokenizer, provenance, writing=writing)
    write(path, saved)
    return saved
