"""How fast text is drawn at batch 1 on a CPU: the NumPy engine beside stepping ``torch.nn.LSTM``, in one run.

Run: ``python -m benchmarks.sampling [--rounds 7] [--shapes 2x256,1x512,2x512] [--cell lstm] [--attention]``

For each shape three are compared, each with random weights of its own: how fast a step is does not depend on them:

- ``nn.LSTM``: what char-rnn programs do: ``nn.Embedding``, ``nn.LSTM`` with all its layers, ``nn.Linear``, softmax and
  ``torch.multinomial``, one character at a time, under ``inference_mode``, with its better number of threads, 1 or 2.
  For other cells `nn.GRU` and `nn.RNN`, for the peephole, which torch does not have, `nn.LSTM`; with ``--attention``,
  over 256 states, `nn.attention.attend` behind it, stepped the same way;
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

from charlstm.cli.loading import one_blas_thread

one_blas_thread()

import numpy as np
import torch
from torch import nn

from benchmarks.machine import machine
from charlstm.checkpoint.format import Checkpoint, write
from charlstm.engine import Engine
from charlstm.nn.attention import Attention
from charlstm.sampling import SampleConfig, sample
from charlstm.shapes import CELLS, tensor_shapes
from charlstm.tokenizers import CharTokenizer

ALPHABET = "\n !$&',-.3:;?" + "".join(map(chr, range(65, 91))) + "".join(map(chr, range(97, 123)))
EMBEDDING = 64
CHARACTERS = 1500  # a block
Block = Callable[[], float]
"""Draws some characters; returns characters per second."""


def checkpoint(layers: int, hidden: int, cell: str = "lstm", attention_window: int = 0) -> Checkpoint:
    """Random weights of the size training starts from; how fast a step is does not depend on them."""
    tokenizer = CharTokenizer(ALPHABET)
    random = np.random.default_rng(0)
    model = {
        "vocab_size": tokenizer.vocab_size, "embedding_size": EMBEDDING, "hidden_size": hidden, "num_layers": layers,
        "cell": cell, "skip": False, "attention_window": attention_window,
    }  # fmt: skip
    tensors = {
        name: (random.uniform(-1, 1, shape) / np.sqrt(hidden)).astype(np.float32)
        for name, shape in tensor_shapes(model)
    }
    return Checkpoint("model", tensors, {"name": "benchmark", "model": model, "data": {}}, tokenizer.to_state(), {})


def torch_block(saved: Checkpoint, threads: int) -> Block:
    """Steps torch's module as char-rnn programs do; how fast it is does not depend on its weights."""
    model = saved.config["model"]
    embedding = nn.Embedding(model["vocab_size"], EMBEDDING)
    kind = {"gru": nn.GRU, "rnn": nn.RNN}.get(model["cell"], nn.LSTM)
    lstm = kind(EMBEDDING, model["hidden_size"], model["num_layers"])
    head = nn.Linear(model["hidden_size"], model["vocab_size"])
    window = model["attention_window"]
    attention = Attention(model["hidden_size"], window) if window else None

    @torch.inference_mode()
    def block() -> float:
        torch.set_num_threads(threads)
        token, state, memory = torch.zeros(1, 1, dtype=torch.long), None, None
        text = []
        start = time.perf_counter()
        for _ in range(CHARACTERS):
            features, state = lstm(embedding(token), state)
            if attention is not None:  # one row, one step: (1, 1, H) is batch first as well as time first
                features, memory = attention(features, memory)
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
    parser.add_argument("--cell", choices=sorted(CELLS), default="lstm")
    parser.add_argument("--attention", action="store_true")
    options = parser.parse_args()
    results: dict[str, dict[str, float]] = {}
    print(f"{options.cell}{' with attention' * options.attention}: characters a second")
    print(f"{'shape':8}{'torch, 1 thread':>20}{'2 threads':>12}{'engine':>12}{'steps only':>12}{'times torch':>15}")
    for shape in options.shapes.split(","):
        layers, hidden = map(int, shape.split("x"))
        saved = checkpoint(layers, hidden, options.cell, 256 if options.attention else 0)
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
    print(
        json.dumps(
            {
                "cell": options.cell,
                "attention": options.attention,
                "characters_per_second": results,
                "first_character_s": round(seconds, 3),
                "machine": machine(),
            }
        )
    )


if __name__ == "__main__":
    main()
