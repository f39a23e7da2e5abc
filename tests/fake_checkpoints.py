"""Checkpoints with random weights, small enough to be made anew for each test."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from charlstm.checkpoint.format import Checkpoint, write
from charlstm.checkpoint.provenance import Provenance
from charlstm.config import DataConfig, RunConfig
from charlstm.tokenizers import CharTokenizer, Tokenizer
from tests.networks import architecture

ALPHABET = "\n !',-.:;?" + "".join(map(chr, range(65, 91))) + "".join(map(chr, range(97, 123)))


def make_checkpoint(
    path: Path,
    tokenizer: Tokenizer | None = None,
    *,
    favour: Mapping[int, float] | None = None,
    hidden: int = 16,
    layers: int = 2,
    seed: int = 0,
) -> Checkpoint:
    """Write a model file.

    Args:
        path: where.
        tokenizer: a plain English alphabet unless given.
        favour: what to add to the bias of some ids, so that they are drawn more often.
        hidden, layers: its size.
        seed: of its weights.
    """
    tokenizer = tokenizer or CharTokenizer(ALPHABET)
    random = np.random.default_rng(seed)
    vocab, embedding = tokenizer.vocab_size, 8

    def weights(*shape: int) -> Any:
        return random.normal(size=shape).astype(np.float32)

    tensors = {
        "embedding.weight": weights(vocab, embedding),
        "head.weight": weights(vocab, hidden),
        "head.bias": np.zeros(vocab, np.float32),
    }
    for token, more in (favour or {}).items():
        tensors["head.bias"][token] += more
    for layer in range(layers):
        tensors[f"layers.{layer}.weight_ih"] = weights(4 * hidden, hidden if layer else embedding)
        tensors[f"layers.{layer}.weight_hh"] = weights(4 * hidden, hidden)
        tensors[f"layers.{layer}.bias"] = weights(4 * hidden)
    run = RunConfig(
        name="fake",
        model=architecture(vocab_size=vocab, embedding_size=embedding, hidden_size=hidden, num_layers=layers),
        data=DataConfig(tokenizer=tokenizer.kind),
    )
    checkpoint = Checkpoint("model", tensors, run, tokenizer.to_state(), Provenance(bits_per_char=1.5))
    path.parent.mkdir(parents=True, exist_ok=True)
    write(path, checkpoint)
    return checkpoint
