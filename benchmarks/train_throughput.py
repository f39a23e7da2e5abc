"""How many characters a second does training read, and what share of this machine's arithmetic is that?

Run: ``python -m benchmarks.train_throughput [--shapes 2x256x16,1x512x16,1x1024x64] [--rounds 7] [--threads 2]
[--precisions fp32] [--embedding-size N] [--char-rnn-pytorch PATH]``

A shape is layers × hidden size × batch; windows are 64 long, the alphabet has 65 characters, its embedding 64 features,
or as many as ``--embedding-size`` says; 0 is as many as the network has. Each has a process of its own, since what one
program asks of the system (how freed memory is kept) is no merit of another; blocks of steps one after the other in
every round, medians:

- ``peak``: a product of two square matrices of 1,024 in the same precision, in GFLOP/s;
- ``nn.LSTM``: embedding, `nn.LSTM`, softmax, loss and their gradients, and AdamW, as a program of a page has it;
- ``charlstm``: `charlstm.training.Training` itself, a whole step: windows, state, gradients, clipping, optimizer, mean
  of weights, events; with its default optimizer, and with AdamW. ``looking up`` adds a table of n-grams and recall, as
  the defaults have them; characters are drawn at random, so that nearly all n-grams are different: a table costs its
  most;
- ``char-rnn.pytorch``: the network of that checkout's model.py, an LSTM stepped a character at a time as its train.py
  does, with its Adam; PATH is never written to.

The share is of operations: 6 a weight and character, without the embedding, which is not multiplied. The last line is
one JSON object.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import math
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from benchmarks.cells import FEATURES, VOCAB, Network
from benchmarks.machine import machine
from charlstm.config import DataConfig, ModelConfig, RunConfig, TrainConfig
from charlstm.events import StepDone
from charlstm.nn.shapes import parameter_count
from charlstm.tokenizers import CharTokenizer
from charlstm.training.loop import Training

TIME = 64
BLOCK = 0.3
"""Seconds of steps at once."""
ALPHABET = [chr(number) for number in range(48, 48 + VOCAB)]
Step = Callable[[], object]


def autocast(precision: str) -> AbstractContextManager[Any]:
    """The context of a precision."""
    return torch.autocast("cpu", torch.bfloat16) if precision == "bf16" else nullcontext()


def product(precision: str) -> Step:
    """A product of 2 · 1024³ operations."""
    kind = torch.bfloat16 if precision == "bf16" else torch.float32
    left, right, product = (torch.randn(1024, 1024, dtype=kind) for _ in range(3))
    return lambda: torch.mm(left, right, out=product)


def plain(model: ModelConfig, batch: int, precision: str) -> Step:
    """A step of a program of a page around `nn.LSTM`."""
    network = Network(model.num_layers, model.hidden_size, model.embedding_size)
    optimizer = torch.optim.AdamW(network.parameters())
    ids = torch.randint(VOCAB, (batch, TIME + 1))

    def step() -> None:
        with autocast(precision):
            logits = network(ids[:, :-1])[0]
        torch.autograd.backward(cross_entropy(logits.float().flatten(0, 1), ids[:, 1:].flatten()))
        nn.utils.clip_grad_norm_(network.parameters(), 0.5)
        optimizer.step()
        optimizer.zero_grad()

    return step


def ours(model: ModelConfig, batch: int, precision: str, optimizer: str, folder: Path) -> Step:
    """A step of training as it is, in the middle of a long run."""
    run = RunConfig(
        name="run",
        model=model,
        data=DataConfig(batch_size=batch, seq_len=TIME, streams=batch),
        train=TrainConfig(
            max_steps=10**9, eval_every=10**9, save_every=1e9, preview=0, optimizer=optimizer, precision=precision
        ),
    )
    ids = np.random.default_rng(0).integers(VOCAB, size=1_000_000).astype(np.uint8)
    folder = tempfile.mkdtemp(dir=folder)
    events: Iterator[Any] = Training(run, CharTokenizer(ALPHABET), ids, ids[:0], 0, Path(folder)).events()

    def step() -> None:
        while not isinstance(next(events), StepDone):
            pass

    return step


def peer(checkout: Path, layers: int, hidden: int, batch: int) -> Step:
    """A step of char-rnn.pytorch, from its own network and as its train.py takes it."""
    spec = importlib.util.spec_from_file_location("peer_model", checkout / "model.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    decoder = module.CharRNN(VOCAB, hidden, VOCAB, model="lstm", n_layers=layers)
    optimizer = torch.optim.Adam(decoder.parameters(), lr=0.01)
    ids = torch.randint(VOCAB, (batch, TIME + 1))

    def step() -> None:
        state = decoder.init_hidden(batch)
        decoder.zero_grad()
        loss = torch.zeros(())
        for place in range(TIME):
            output, state = decoder(ids[:, place], state)
            loss = loss + cross_entropy(output, ids[:, place + 1])
        torch.autograd.backward(loss)
        optimizer.step()

    return step


class Timed:
    """A step in a process of its own.

    Args:
        threads: of that process.
        make: gives the step.
        arguments: what it is given.
    """

    def __init__(self, threads: int, make: Callable[..., Step], *arguments: object) -> None:
        self._process = ProcessPoolExecutor(1, get_context("spawn"), _begin, (threads, make, arguments))

    def seconds(self) -> float:
        """Of a step, the mean of a block; not a number where it does not work."""
        time.sleep(0.05)  # the threads of whoever was before spin for a while
        return self._process.submit(_seconds).result()

    def end(self) -> None:
        """Stop the process."""
        self._process.shutdown()


_steps: list[Step] = []
"""Of this process: the one it times."""


def _begin(threads: int, make: Callable[..., Step], arguments: tuple[object, ...]) -> None:
    torch.set_num_threads(threads)
    _steps.append(make(*arguments))


def _seconds() -> float:
    try:
        _steps[0]()  # from caches that others have used
        times = [time.perf_counter()]
        while times[-1] - times[0] < BLOCK:
            _steps[0]()
            times.append(time.perf_counter())
    except RuntimeError:  # oneDNN has no bf16 LSTM for this processor
        return math.nan
    return (times[-1] - times[0]) / (len(times) - 1)


def seconds_of(steps: dict[str, Timed], rounds: int) -> dict[str, float]:
    """Median seconds of each that works, one after the other in every round; the first round only warms up."""
    seen = [{name: step.seconds() for name, step in steps.items()} for _ in range(rounds + 1)][1:]
    medians = {name: statistics.median(times[name] for times in seen) for name in steps}
    return {name: seconds for name, seconds in medians.items() if not math.isnan(seconds)}


def main() -> None:
    """Measure, print a table, and one JSON line last."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--shapes", default="2x256x16,1x512x16,1x1024x64")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--precisions", default="fp32")
    parser.add_argument("--embedding-size", type=int, default=FEATURES)
    parser.add_argument("--char-rnn-pytorch", type=Path)
    options = parser.parse_args()
    timed = partial(Timed, options.threads)
    results: dict[str, dict[str, dict[str, float]]] = {}
    with tempfile.TemporaryDirectory() as name:
        for shape in options.shapes.split(","):
            layers, hidden, batch = map(int, shape.split("x"))
            model = ModelConfig(
                vocab_size=VOCAB,
                hidden_size=hidden,
                num_layers=layers,
                embedding_size=options.embedding_size or hidden,
            )
            looking_up = model.model_copy(update={"ngram_order": 6, "ngram_dropout": 0.1, "recall": (3, 6)})
            weights = parameter_count(model.model_dump()) - VOCAB * model.embedding_size
            for precision in options.precisions.split(","):
                folder = Path(name)
                steps = {
                    "peak": timed(product, precision),
                    "nn.LSTM": timed(plain, model, batch, precision),
                    "charlstm, soap": timed(ours, model, batch, precision, "soap", folder),
                    "charlstm, adamw": timed(ours, model, batch, precision, "adamw", folder),
                    "charlstm, looking up": timed(ours, looking_up, batch, precision, "soap", folder),
                }
                if options.char_rnn_pytorch and precision == "fp32":
                    steps["char-rnn.pytorch"] = timed(peer, options.char_rnn_pytorch, layers, hidden, batch)
                seconds = seconds_of(steps, options.rounds)
                for step in steps.values():
                    step.end()
                peak = 2 * 1024**3 / seconds.pop("peak")
                figures = {who: batch * TIME / took for who, took in seconds.items()}
                print(f"{layers}×{hidden}, batch {batch}, {precision}: peak {peak / 1e9:.0f} GFLOP/s")
                for who, speed in figures.items():
                    share, ratio = 6 * weights * speed / peak, speed / figures.get("nn.LSTM", math.inf)
                    print(f"  {who:24}{speed:10,.0f} characters/s   {share:5.2f} of the peak   {ratio:6.2f} of nn.LSTM")
                results.setdefault(shape, {})[precision] = {"peak": peak, **figures}
    print(json.dumps({"benchmark": "train_throughput", "results": results, "threads": options.threads, **machine()}))


if __name__ == "__main__":
    main()
