"""The page in a real browser, computed in the page itself and by a server."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from charlstm.checkpoint.format import Checkpoint, write
from charlstm.checkpoint.provenance import Provenance
from charlstm.checkpoint.writing import Writing
from charlstm.config import DataConfig, RunConfig
from charlstm.nn.shapes import tensor_shapes
from charlstm.tokenizers import CharTokenizer
from tests.networks import architecture

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium, from your system's packages")

LETTERS = "\n abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.,!?'\"_{}-0123456789é😀"
WORDS = ("a", "and", "be", "bed", "cat", "sat", "the", "Ted")
"""Those that the networks have read."""


def network(alphabet: str = LETTERS, *, seed: int = 1, name: str = "tiny", **shape) -> Checkpoint:
    """A small network with random weights, which writes nonsense and is never sure."""
    random = np.random.default_rng(seed)
    config = architecture(
        **{"vocab_size": len(alphabet), "embedding_size": 8, "hidden_size": 12, "num_layers": 2, **shape}
    )
    tensors = {name: random.normal(0, 0.6, size).astype(np.float32) for name, size in tensor_shapes(config)}
    return Checkpoint(
        "model",
        tensors,
        RunConfig(name=name, model=config, data=DataConfig(seq_len=16)),
        CharTokenizer(alphabet).to_state(),
        Provenance(step=1, val_loss=2.0, bits_per_char=2.885),
        writing=Writing(temperature=1.0, min_p=0.02, no_repeat=8),
        words=WORDS,
    )


def save(checkpoints: dict[str, Checkpoint], folder: Path) -> list[Path]:
    """Write checkpoints as files that are called like them."""
    paths = [folder / f"{name}.safetensors" for name in checkpoints]
    for path, checkpoint in zip(paths, checkpoints.values(), strict=True):
        write(path, checkpoint)
    return paths


@contextmanager
def served(paths: list[Path], *options: str) -> Iterator[str]:
    """A server of these networks; its address."""
    command = [sys.executable, "-m", "charlstm", "serve", *map(str, paths), "--port", "0", *options]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield process.stdout.readline().split()[0]
    finally:
        process.terminate()
        process.wait(timeout=20)
        process.stdout.close()
