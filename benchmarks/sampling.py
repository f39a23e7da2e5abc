"""How fast text is drawn on a CPU: the NumPy engine beside stepping ``torch.nn.LSTM``, in one run.

Run: ``python -m benchmarks.sampling [--rounds 7] [--shapes 2x256,1x512,2x512] [--cell lstm] [--attention]
[--batches 8,64,256] [--char-rnn-pytorch PATH] [--nanogpt PATH]``

At batch 1 these are compared for each shape, each with random weights of its own: how fast a step is does not depend on
them:

- ``nn.LSTM``: what char-rnn programs do: ``nn.Embedding``, ``nn.LSTM`` with all its layers, ``nn.Linear``, softmax and
  ``torch.multinomial``, one character at a time, under ``inference_mode``, with its better number of threads, 1 or 2.
  For other cells `nn.GRU` and `nn.RNN`, for the peephole, which torch does not have, `nn.LSTM`; with ``--attention``,
  over 256 states, `nn.attention.attend` behind it, stepped the same way;
- ``engine``: `charlstm.sampling.sampler.sample` on `charlstm.engine.auto_threads.PacedEngine`, which is
  ``charlstm sample``: all filters, decoding and stop rules included, and its own choice of threads;
- ``looking up``: the same, of such a network with a table of n-grams and recall, as the defaults have them;
- both with ``1 thread``, as ``--threads 1`` has them;
- ``steps, 1 thread``: the engine alone, for what the sampler costs;
- ``char-rnn.pytorch``: the network of that checkout's model.py, stepped and drawn from as its generate.py does;
- ``nanoGPT``: `generate` of that checkout's model.py for its CPU recipe (4 layers, 128 wide, context 64), of one size;
  both with their better number of threads, 1 or 2, too.

Then all characters a second of batches, as ``charlstm sample -n`` draws them, a process each.
``floor`` is how many characters a second reading every weight once would be, at the speed at which this core reads as
many bytes in the same run.

One short block of each in turn, many rounds, medians: whatever else the machine does meets all alike. Then the time
from starting ``charlstm sample`` to its first character on stdout. The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from benchmarks.machine import machine
from charlstm.checkpoint.format import Checkpoint, write
from charlstm.engine.auto_threads import PacedEngine, blas_threads
from charlstm.nn.attention import Attention
from charlstm.nn.shapes import CELLS, tensor_shapes
from charlstm.sampling.config import SampleConfig
from charlstm.sampling.sampler import sample
from charlstm.tokenizers import CharTokenizer

ALPHABET = "\n !$&',-.3:;?" + "".join(map(chr, range(65, 91))) + "".join(map(chr, range(97, 123)))
EMBEDDING = 64
CHARACTERS = 1500  # a block
_THREADS = {1: "1 thread", 2: "2 threads"}
Block = Callable[[], float]
"""Draws some characters; returns characters per second."""


def checkpoint(
    layers: int, hidden: int, cell: str = "lstm", attention_window: int = 0, *, looks_up: bool = False
) -> Checkpoint:
    """Random weights of the size training starts from; how fast a step is does not depend on them."""
    tokenizer = CharTokenizer(ALPHABET)
    random = np.random.default_rng(0)
    model = {
        "vocab_size": tokenizer.vocab_size, "embedding_size": EMBEDDING, "hidden_size": hidden, "num_layers": layers,
        "cell": cell, "skip": False, "attention_window": attention_window,
        "ngram_order": 6 * looks_up, "ngram_rows": 65536, "recall": [3, 6] * looks_up, "recall_rows": 8192,
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


def engine_block(saved: Checkpoint, threads: int | None = None) -> Block:
    """Draws text as ``charlstm sample`` does."""
    engine = PacedEngine.from_checkpoint(saved, threads)

    def block() -> float:
        config = SampleConfig(length=CHARACTERS, temperature=0.8, seed=1)
        start = time.perf_counter()
        "".join(fragment.text for fragment in sample(engine, [0], config))
        return CHARACTERS / (time.perf_counter() - start)

    return block


def steps_block(saved: Checkpoint) -> Block:
    """Steps the engine with one thread and draws nothing."""
    engine = PacedEngine.from_checkpoint(saved, 1)

    def block() -> float:
        token, state = np.array([0]), None
        start = time.perf_counter()
        for _ in range(CHARACTERS):
            _, state = engine.step(token, state)
        return CHARACTERS / (time.perf_counter() - start)

    return block


def batch_block(saved: Checkpoint, rows: int) -> Block:
    """Draws several texts side by side as ``charlstm sample -n`` does; characters of all of them."""
    worker = ProcessPoolExecutor(1, get_context("spawn"))
    return lambda: worker.submit(_drawn, saved, rows).result()


def _drawn(saved: Checkpoint, rows: int) -> float:
    engine, length = PacedEngine.from_checkpoint(saved), 200  # fewer would mostly wake the process up
    start = time.perf_counter()
    for _ in sample(engine, [0], SampleConfig(length=length, temperature=0.8, seed=1), rows=rows):
        pass
    return rows * length / (time.perf_counter() - start)


def floor_block(saved: Checkpoint) -> Block:
    """Reads as many bytes as a step has weights to read, again and again; reads a second."""
    model = saved.config["model"]
    tables = model["vocab_size"] * model["embedding_size"]  # the embedding is folded into a table of one row a token
    weights = np.ones(sum(tensor.size for tensor in saved.tensors.values()) - tables, np.float32)

    def block() -> float:
        blas_threads().use(1)
        start = time.perf_counter()
        for _ in range(CHARACTERS):
            np.dot(weights, weights)
        return CHARACTERS / (time.perf_counter() - start)

    return block


def module_of(checkout: Path, name: str) -> Any:
    """A module of a peer's checkout."""
    spec = importlib.util.spec_from_file_location(f"peer_{name}", checkout / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def char_rnn_block(checkout: Path, saved: Checkpoint, threads: int) -> Block:
    """Steps char-rnn.pytorch's network and draws as its generate.py does."""
    model = saved.config["model"]
    vocab, hidden = model["vocab_size"], model["hidden_size"]
    kind = "gru" if model["cell"] == "gru" else "lstm"
    decoder = module_of(checkout, "model").CharRNN(vocab, hidden, vocab, model=kind, n_layers=model["num_layers"])

    def block() -> float:
        torch.set_num_threads(threads)
        state, token, text = decoder.init_hidden(1), torch.zeros(1, dtype=torch.long), ""
        start = time.perf_counter()
        for _ in range(CHARACTERS // 3):
            output, state = decoder(token, state)
            chances = output.data.view(-1).div(0.8).exp()
            character = ALPHABET[torch.multinomial(chances, 1)[0]]
            text += character
            token = torch.tensor([ALPHABET.index(character)])
        return CHARACTERS // 3 / (time.perf_counter() - start)

    return block


def nanogpt_block(checkout: Path, threads: int) -> Block:
    """`generate` of nanoGPT's recipe for a CPU."""
    module = module_of(checkout, "model")
    sizes = {"block_size": 64, "vocab_size": len(ALPHABET), "n_layer": 4, "n_head": 4, "n_embd": 128}
    model = module.GPT(module.GPTConfig(**sizes, dropout=0.0, bias=False)).eval()

    def block() -> float:
        torch.set_num_threads(threads)
        start = time.perf_counter()
        with torch.inference_mode():
            model.generate(torch.zeros(1, 1, dtype=torch.long), CHARACTERS // 10, temperature=0.8, top_k=200)
        return CHARACTERS // 10 / (time.perf_counter() - start)

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
    parser.add_argument("--batches", default="")
    parser.add_argument("--char-rnn-pytorch", type=Path)
    parser.add_argument("--nanogpt", type=Path)
    options = parser.parse_args()
    results: dict[str, dict[str, float]] = {}
    print(f"{options.cell}{' with attention' * options.attention}: characters a second")
    for shape in options.shapes.split(","):
        layers, hidden = map(int, shape.split("x"))
        attention_window = 256 if options.attention else 0
        saved = checkpoint(layers, hidden, options.cell, attention_window)
        with_table = checkpoint(layers, hidden, options.cell, attention_window, looks_up=True)
        peers = {"nn module": partial(torch_block, saved)}
        if options.char_rnn_pytorch:
            peers["char-rnn.pytorch"] = partial(char_rnn_block, options.char_rnn_pytorch, saved)
        if options.nanogpt:
            peers["nanoGPT"] = partial(nanogpt_block, options.nanogpt)
        blocks = {f"{name}, {_THREADS[threads]}": of(threads) for name, of in peers.items() for threads in _THREADS}
        blocks |= {
            "engine": engine_block(saved),
            "engine, 1 thread": engine_block(saved, 1),
            "looking up": engine_block(with_table),
            "looking up, 1 thread": engine_block(with_table, 1),
            "steps, 1 thread": steps_block(saved),
            "floor": floor_block(saved),
        }
        blocks |= {f"batch {rows}": batch_block(saved, int(rows)) for rows in options.batches.split(",") if rows}
        speeds = interleaved(blocks, options.rounds)
        best = {name: max(speeds[f"{name}, {threads}"] for threads in _THREADS.values()) for name in peers}
        ratios = {f"times {name}": round(speeds["engine"] / speed, 2) for name, speed in best.items()}
        print(f"{shape}: the engine {', '.join(f'{ratio:.1f} {name}' for name, ratio in ratios.items())}")
        for name, speed in speeds.items():
            print(f"  {name:22}{speed:12,.0f}   {speed / speeds['engine']:7.2f} of the engine at batch 1")
        results[shape] = {name: round(speed, 2) for name, speed in speeds.items()} | ratios
    seconds = first_character(checkpoint(2, 256), options.rounds)
    print(f"first character {seconds:.2f} s after the command (2x256)")
    told = {"characters_per_second": results, "first_character_s": round(seconds, 3)}
    about = {"benchmark": "sampling", "cell": options.cell, "attention": options.attention}
    print(json.dumps(about | told | machine()))


if __name__ == "__main__":
    main()
