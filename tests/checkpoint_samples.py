"""Small checkpoints, and folders that look like runs."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import numpy as np

from charlstm.checkpoint.format import Checkpoint, write
from charlstm.checkpoint.provenance import Provenance
from charlstm.checkpoint.run import MODEL
from charlstm.checkpoint.store import Store
from charlstm.config import RunConfig, TrainConfig
from tests.networks import architecture

ALPHABET = "\n abcdé"
DIGITS = "0" * 64


def model(
    alphabet: str = ALPHABET, *, hidden: int = 4, layers: int = 1, seed: int = 0, **provenance: Any
) -> Checkpoint:
    """A valid model with random weights."""
    random = np.random.default_rng(seed)
    vocab, embedding = len(alphabet), 3
    shapes: dict[str, tuple[int, ...]] = {"embedding.weight": (vocab, embedding)}
    for layer in range(layers):
        shapes[f"layers.{layer}.weight_ih"] = (4 * hidden, hidden if layer else embedding)
        shapes[f"layers.{layer}.weight_hh"] = (4 * hidden, hidden)
        shapes[f"layers.{layer}.bias"] = (4 * hidden,)
    shapes |= {"head.weight": (vocab, hidden), "head.bias": (vocab,)}
    sizes = {"vocab_size": vocab, "embedding_size": embedding, "hidden_size": hidden, "num_layers": layers}
    return Checkpoint(
        kind="model",
        tensors={name: random.standard_normal(shape).astype(np.float32) for name, shape in shapes.items()},
        run=RunConfig(name="sample", model=architecture(**sizes), train=TrainConfig(lr=0.006)),
        tokenizer={"kind": "char", "alphabet": alphabet, "unknown": False},
        provenance=Provenance(**{"step": 1200, "val_loss": 1.5, "bits_per_char": 2.164, "seconds": 61.0, **provenance}),
    )


def run(store: Store, name: str, *, modified: float | None = None, **settings: Any) -> Path:
    """Create a run with a valid model in the store; the model's file."""
    path = store.create(name, "", False) / MODEL
    write(path, model(**settings))
    if modified is not None:
        os.utime(path, (modified, modified))
    return path


def run_folder(store: Store, name: str, *files: str, modified: float | None = None) -> Path:
    """Create a run's folder with files of these names, which hold one byte each."""
    folder = store.create(name, "", False)
    for file in files:
        (folder / file).write_bytes(b"x")
        if modified is not None:
            os.utime(folder / file, (modified, modified))
    return folder


def file_of(header: Any, data: bytes = b"") -> bytes:
    """A safetensors file with any header, built from the format's description."""
    text = header if isinstance(header, bytes) else json.dumps(header, separators=(",", ":")).encode()
    return len(text).to_bytes(8, "little") + text + data


def signed(header: dict[str, Any], data: bytes = b"") -> bytes:
    """Such a file with its correct digest, where the header has a place for one."""
    blank = file_of(header, data)
    return blank.replace(DIGITS.encode(), hashlib.sha256(blank).hexdigest().encode(), 1)


def metadata(**changes: str) -> dict[str, str]:
    """Metadata of an empty checkpoint, its digest still blank."""
    ours = {
        "format": "charlstm",
        "version": "2",
        "kind": "model",
        "config": json.dumps({"model": {"vocab_size": 1}}),
        "tokenizer": "{}",
        "provenance": "{}",
    }
    return {**ours, "sha256": DIGITS, **changes}
