"""A small network of every kind, with weights that make every part of it matter."""

from __future__ import annotations

from typing import Any

import torch

from charlstm.checkpoint.format import Checkpoint
from charlstm.checkpoint.provenance import CorpusProvenance, Provenance
from charlstm.checkpoint.writing import Writing
from charlstm.config import DataConfig, RunConfig
from charlstm.nn.model import CharLM
from charlstm.nn.shapes import CELLS
from charlstm.tokenizers import CharTokenizer, Tokenizer
from tests.networks import architecture

CAUSAL: dict[str, dict[str, Any]] = {
    **{cell: {"cell": cell, "num_layers": 2} for cell in CELLS},
    "skip connections": {"skip_connections": True, "num_layers": 3},
    "attention": {"attention_window": 5, "cell": "gru"},
    "attention and skip connections": {"attention_window": 5, "skip_connections": True, "num_layers": 2},
    "n-grams": {"ngram_order": 4, "ngram_buckets": 20},
    "match memory": {"match_orders": (2, 3), "match_slots": 20},
    "side inputs of an ensemble": {
        "ngram_order": 3, "ngram_buckets": 20, "match_orders": (2, 5), "match_slots": 200, "ensemble": 2,
    },
    "ensemble": {"ensemble": 3, "skip_connections": True, "num_layers": 2, "cell": "peephole"},
}  # fmt: skip
BIDIRECTIONAL: dict[str, dict[str, Any]] = {
    f"both sides, {cell}": {"bidirectional": True, "cell": cell, "num_layers": 2, "skip_connections": cell == "lstm"}
    for cell in CELLS
}
KINDS = CAUSAL | BIDIRECTIONAL

ALPHABET = "\n abcde"
WRITING = Writing(
    temperature=0.9, top_p=0.95, min_p=0.02, no_repeat=3, longest_run=2, starts=("ab ", "cd\n", "e e e ")
)  # fmt: skip


def network(shape: dict[str, Any], vocab_size: int = len(ALPHABET), seed: int = 0) -> CharLM:
    """A network whose weights are all drawn at random, also those that begin at zero."""
    torch.manual_seed(seed)
    size = {"vocab_size": vocab_size, "embedding_size": 4, "hidden_size": 6, "num_layers": 1}
    model = CharLM(architecture(**size | shape)).eval()
    for weight in model.parameters():
        torch.nn.init.normal_(weight, std=0.4)
    return model


def checkpoint(
    shape: dict[str, Any],
    tokenizer: Tokenizer | None = None,
    *,
    kind: str = "char",
    writing: Writing = WRITING,
    **data: Any,
) -> Checkpoint:
    """A checkpoint of such a network."""
    tokenizer = tokenizer or CharTokenizer(ALPHABET)
    model = network(shape, tokenizer.vocab_size)
    if shape.get("bidirectional"):
        data["windows"] = "shuffled"
    settings = DataConfig(**{"seq_len": 8, "tokenizer": kind} | data)
    run = RunConfig(name="mine", model=model.architecture, data=settings)
    provenance = Provenance(bits_per_char=1.5, corpus=CorpusProvenance(name="letters", sha256="5ea" * 20))
    return Checkpoint("model", model.to_tensors(), run, tokenizer.to_state(), provenance, writing=writing)
