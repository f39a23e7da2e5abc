"""How fast text is drawn at batch 1 on a CPU: the NumPy engine beside stepping ``torch.nn.LSTM``, in one run.

Run: ``python -m benchmarks.sampling [--rounds 7] [--shapes 2x256,1x512,2x512]``

For each shape the same random weights go into

- ``nn.LSTM``: what char-rnn programs do: ``nn.Embedding``, ``nn.LSTM`` with all its layers, ``nn.Linear``, softmax and
  ``torch.multinomial``, one character at a time, under ``inference_mode``, with its better number of threads, 1 or 2;
- ``engine``: `charlstm.sampling.sample` on `charlstm.engine.Engine`, all filters, decoding and stop rules included;
- ``engine, steps``: the engine alone, for what the sampler costs.

One short block of each in turn, many rounds, medians: whatever else the machine does meets all alike. NumPy has one
BLAS thread, as ``charlstm sample`` gives it. Then the time from starting ``charlstm sample`` to its first character on
stdout. The last line is one JSON object.
"""

# ruff: noqa: E402 - the number of BLAS threads is set before NumPy is imported

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from charlstm.cli.loading import one_blas_thread

one_blas_thread()

import numpy as np
import torch
from torch import nn

from benchmarks.machine import machine
from charlstm.checkpoint.format import Checkpoint, write
from charlstm.engine import Engine
from charlstm.sampling import SampleConfig, sample
from charlstm.tokenizers import CharTokenizer

ALPHABET = "\n !$&',-.3:;?" + "".join(map(chr, range(65, 91))) + "".join(map(chr, range(97, 123)))
EMBEDDING = 64
CHARACTERS = 1500  # a block
Block = Callable[[], float]
"""Draws some characters; returns characters per second."""


def checkpoint(layers: int, hidden: int) -> Checkpoint:
    """Random weights of the size training starts from; how fast a step is does not depend on them."""
    tokenizer = CharTokenizer(ALPHABET)
    vocab, random = tokenizer.vocab_size, np.random.default_rng(0)

    def weights(*shape: int) -> Any:
        return random.uniform(-1, 1, shape).astype(np.float32) / np.float32(np.sqrt(hidden))

    tensors = {
        "embedding.weight": random.normal(size=(vocab, EMBEDDING)).astype(np.float32),
        "head.weight": weights(vocab, hidden),
        "head.bias": np.zeros(vocab, np.float32),
    }
    for k in range(layers):
        tensors[f"layers.{k}.weight_ih"] = weights(4 * hidden, hidden if k else EMBEDDING)
        tensors[f"layers.{k}.weight_hh"] = weights(4 * hidden, hidden)
        tensors[f"layers.{k}.bias"] = weights(4 * hidden)
    model = {
        "vocab_size": vocab, "embedding_size": EMBEDDING, "hidden_size": hidden, "num_layers": layers,
        "cell": "lstm", "skip": False,
    }  # fmt: skip
    return Checkpoint("model", tensors, {"name": "benchmark", "model": model, "data": {}}, tokenizer.to_state(), {})


def torch_block(saved: Checkpoint, threads: int) -> Block:
    """Steps ``nn.LSTM`` as char-rnn programs do."""
    model = saved.config["model"]
    embedding = nn.Embedding(model["vocab_size"], EMBEDDING)
    lstm = nn.LSTM(EMBEDDING, model["hidden_size"], model["num_layers"])
    head = nn.Linear(model["hidden_size"], model["vocab_size"])
    tensors = {name: torch.from_numpy(tensor) for name, tensor in saved.tensors.items()}
    with torch.no_grad():
        embedding.weight.copy_(tensors["embedding.weight"])
        head.weight.copy_(tensors["head.weight"])
        head.bias.copy_(tensors["head.bias"])
        for k in range(model["num_layers"]):
            getattr(lstm, f"weight_ih_l{k}").copy_(tensors[f"layers.{k}.weight_ih"])
            getattr(lstm, f"weight_hh_l{k}").copy_(tensors[f"layers.{k}.weight_hh"])
            getattr(lstm, f"bias_ih_l{k}").copy_(tensors[f"layers.{k}.bias"])
            getattr(lstm, f"bias_hh_l{k}").zero_()

    @torch.inference_mode()
    def block() -> float:
        torch.set_num_threads(threads)
        token, state = torch.zeros(1, 1, dtype=torch.long), None
        text = []
        start = time.perf_counter()
        for _ in range(CHARACTERS):
            features, state = lstm(embedding(token), state)
            chances = torch.softmax(head(features[0]) / 0.8, 1)
            token = torch.multinomial(chances, 1)
            text.append(ALPHABET[int(token)])
        return CHARACTERS / (time.perf_counter() - start)

    return block


def engine_block(engine: Engine) -> Block:
    """Draws text as ``charlstm sample`` does."""

    def block() -> float:
        config = SampleConfig(length=CHARACTERS, temperature=0.8, seed=1)
        start = time.perf_counter()
        "".join(fragment.text for fragment in sample(engine, [0], config))
        return CHARACTERS / (time.perf_counter() - start)

    return block


def steps_block(engine: Engine) -> Block:
    """Steps the engine and draws nothing."""

    def block() -> float:
        token, state = np.array([0]), None
        start = time.perf_counter()
        for _ in range(CHARACTERS):
            _, state = engine.step(token, state)
        return CHARACTERS / (time.perf_counter() - start)

    return block


def interleaved(blocks: dict[str, Block], rounds: int) -> dict[str, float]:
    """The median characters per second of each, one block of each in turn; the first round only warms up."""
    seen: dict[str, list[float]] = {name: [] for name in blocks}
    for number in range(rounds + 1):
        for name, block in blocks.items():
            time.sleep(0.05)  # torch's threads spin for a while after their work
            speed = block()
            if number:
                seen[name].append(speed)
    return {name: statistics.median(speeds) for name, speeds in seen.items()}


def first_character(saved: Checkpoint, rounds: int) -> float:
    """Median seconds from starting the command to its first character; the first start only warms the disk."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.safetensors"
        write(path, saved)
        seconds = []
        for _ in range(rounds + 1):
            start = time.perf_counter()
            command = [sys.executable, "-m", "charlstm", "sample", str(path), "--length", "0"]
            with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
                assert process.stdout is not None
                os.read(process.stdout.fileno(), 1)
                seconds.append(time.perf_counter() - start)
                process.kill()
    return statistics.median(seconds[1:])


def main() -> None:
    """Measure, print a table, and one JSON line last."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--shapes", default="2x256,1x512,2x512")
    options = parser.parse_args()
    results: dict[str, dict[str, float]] = {}
    print(f"{'shape':8}{'nn.LSTM, 1 thread':>20}{'2 threads':>12}{'engine':>12}{'steps only':>12}{'times nn.LSTM':>15}")
    for shape in options.shapes.split(","):
        layers, hidden = map(int, shape.split("x"))
        saved = checkpoint(layers, hidden)
        engine = Engine.from_checkpoint(saved)
        speeds = interleaved(
            {
                "lstm_1": torch_block(saved, 1),
                "lstm_2": torch_block(saved, 2),
                "engine": engine_block(engine),
                "steps": steps_block(engine),
            },
            options.rounds,
        )
        speeds["ratio"] = speeds["engine"] / max(speeds["lstm_1"], speeds["lstm_2"])
        results[shape] = {name: round(value, 2) for name, value in speeds.items()}
        row = "".join(
            f"{speeds[name]:{width},.0f}"
            for name, width in (("lstm_1", 20), ("lstm_2", 12), ("engine", 12), ("steps", 12))
        )
        print(f"{shape:8}{row}{speeds['ratio']:15.1f}")
    seconds = first_character(checkpoint(2, 256), options.rounds)
    print(f"first character {seconds:.2f} s after the command (2x256)")
    print(json.dumps({"characters_per_second": results, "first_character_s": round(seconds, 3), "machine": machine()}))


if __name__ == "__main__":
    main()
