"""How many characters per second does training read, and what share of this machine's arithmetic is that?

Run: ``python -m benchmarks.train_throughput [--shapes 2x256x16,1x512x16,1x1024x64] [--rounds 7] [--threads 2]
[--precisions fp32] [--embedding-size N] [--char-rnn-pytorch PATH]``

A shape is layers × hidden size × batch; windows are 64 long, the alphabet has 65 characters, its embedding 64 features
or ``--embedding-size``; 0 is as many as the network is wide. Each program has a process of its own, since its settings
of the process (such as how freed memory is kept) must not help the others. Blocks of steps of each in turn:

- ``matrix product``: of two square matrices of 1,024 in the same precision, in GFLOP/s: the peak;
- ``nn.LSTM``: embedding, `nn.LSTM`, softmax, loss, gradients and AdamW, as a one-page program has them;
- ``charlstm``: a whole step of `charlstm.training.loop.Training`: windows, state, gradients, clipping, optimizer,
  weight EMA, events; with its default optimizer SOAP, and with AdamW. ``side inputs`` adds n-gram embedding and match
  memory, as the defaults have them; the characters are random, so nearly all n-grams differ, which is the worst case;
- ``char-rnn.pytorch``: the network of that checkout's model.py, stepped one character at a time as its train.py does,
  with its Adam, in fp32.

The share counts 6 operations per weight and character, without the embedding, which is not multiplied. The last line is
the record of the run as JSON.
"""

from __future__ import annotations

import math
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from benchmarks import records
from benchmarks.peers import char_rnn_training
from benchmarks.plain_lstm import ALPHABET, EMBEDDING_SIZE, SEQ_LEN, PlainLSTM
from benchmarks.timing import autocast, interleaved
from charlstm.config import DataConfig, RunConfig, TrainConfig
from charlstm.events import StepDone
from charlstm.nn.architecture import Architecture
from charlstm.nn.shapes import parameter_count
from charlstm.schemas import parse
from charlstm.tokenizers import CharTokenizer
from charlstm.training.beginning import TrainingText
from charlstm.training.loop import Training

BLOCK_SECONDS = 0.3
VOCAB = len(ALPHABET)
SPEED = "characters per second"
UNDISTURBED = {"max_steps": 10**9, "eval_every": 10**9, "save_every": 1e9, "preview": 0}
SIDE_INPUTS = {"ngram_order": 6, "ngram_dropout": 0.1, "match_orders": (3, 6)}
Step = Callable[[], object]


def matrix_product(precision: str) -> Step:
    """A product of 2 · 1024³ operations."""
    kind = torch.bfloat16 if precision == "bf16" else torch.float32
    left, right, product = (torch.randn(1024, 1024, dtype=kind) for _ in range(3))
    return lambda: torch.mm(left, right, out=product)


def plain_training(model: Architecture, batch_size: int, precision: str) -> Step:
    """A step of a one-page program around `nn.LSTM`.

    Args:
        model: the network's shape.
        batch_size: windows at once.
        precision: ``fp32`` or ``bf16``.
    """
    network = PlainLSTM(model.num_layers, model.hidden_size, model.embedding_size)
    optimizer = torch.optim.AdamW(network.parameters())
    ids = torch.randint(VOCAB, (batch_size, SEQ_LEN + 1))

    def step() -> None:
        with autocast(precision):
            logits = network(ids[:, :-1])[0]
        torch.autograd.backward(cross_entropy(logits.float().flatten(0, 1), ids[:, 1:].flatten()))
        nn.utils.clip_grad_norm_(network.parameters(), 0.5)
        optimizer.step()
        optimizer.zero_grad()

    return step


def charlstm_training(model: Architecture, batch_size: int, precision: str, optimizer: str, folder: Path) -> Step:
    """A step of charlstm's own training, in the middle of a long run.

    Args:
        model: the network's shape.
        batch_size: windows at once.
        precision: ``fp32`` or ``bf16``.
        optimizer: ``soap`` or ``adamw``.
        folder: for the run.
    """
    run = RunConfig(
        name="run",
        model=model,
        data=DataConfig(batch_size=batch_size, seq_len=SEQ_LEN, streams=batch_size),
        train=parse(TrainConfig, {**UNDISTURBED, "optimizer": optimizer, "precision": precision}),
    )
    ids = np.random.default_rng(0).integers(VOCAB, size=1_000_000).astype(np.uint8)
    run_folder = Path(tempfile.mkdtemp(dir=folder))
    text = TrainingText(CharTokenizer(ALPHABET), ids, ids[:0], 0)
    events: Iterator[Any] = Training(run, text, run_folder).events()

    def step() -> None:
        while not isinstance(next(events), StepDone):
            pass

    return step


class TimedProcess:
    """A step in a process of its own.

    Args:
        threads: of that process.
        make: returns the step; called in the process.
        arguments: of ``make``.
    """

    def __init__(self, threads: int, make: Callable[..., Step], *arguments: object) -> None:
        self._process = ProcessPoolExecutor(1, get_context("spawn"), _begin, (threads, make, arguments))

    def seconds(self) -> float:
        """The mean seconds per step of one block; NaN where the step cannot run."""
        return self._process.submit(_seconds).result()

    def end(self) -> None:
        """Stop the process."""
        self._process.shutdown()


_steps: list[Step] = []
"""In the process of a `TimedProcess`: its step."""


def _begin(threads: int, make: Callable[..., Step], arguments: tuple[object, ...]) -> None:
    torch.set_num_threads(threads)
    _steps.append(make(*arguments))


def _seconds() -> float:
    try:
        _steps[0]()  # the caches hold another program's data
        times = [time.perf_counter()]
        while times[-1] - times[0] < BLOCK_SECONDS:
            _steps[0]()
            times.append(time.perf_counter())
    except RuntimeError:  # oneDNN has no bf16 LSTM for this processor
        return math.nan
    return (times[-1] - times[0]) / (len(times) - 1)


def measure(processes: dict[str, TimedProcess], rounds: int) -> dict[str, list[float]]:
    """Seconds per step of each, one value per round.

    Args:
        processes: name → the program; ended afterwards.
        rounds: values per program.
    """
    try:
        return interleaved({name: process.seconds for name, process in processes.items()}, rounds)
    finally:
        for process in processes.values():
            process.end()


def main() -> None:
    """Measure, print a table, record."""
    parser = records.parser(__doc__)
    parser.add_argument("--shapes", default="2x256x16,1x512x16,1x1024x64")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--precisions", default="fp32")
    parser.add_argument("--embedding-size", type=int, default=EMBEDDING_SIZE)
    parser.add_argument("--char-rnn-pytorch", type=Path)
    options = parser.parse_args()
    record = records.begin("train_throughput")
    record.details = {"threads": options.threads}
    with tempfile.TemporaryDirectory() as folder:
        for shape in options.shapes.split(","):
            for precision in options.precisions.split(","):
                measure_shape(shape, precision, options, record, Path(folder))
    record.finish(options)


def measure_shape(shape: str, precision: str, options: Any, record: records.Record, folder: Path) -> None:
    """Measure all programs at one shape; print and add what was measured.

    Args:
        shape: layers × hidden size × batch, as ``2x256x16``.
        precision: ``fp32`` or ``bf16``.
        options: of the command line.
        record: the figures are added to it.
        folder: for runs.
    """
    num_layers, hidden_size, batch_size = map(int, shape.split("x"))
    embedding_size = options.embedding_size or hidden_size
    size = {"hidden_size": hidden_size, "num_layers": num_layers, "embedding_size": embedding_size}
    model = Architecture.from_settings({"vocab_size": VOCAB, **size})
    with_side_inputs = model.replace(**SIDE_INPUTS)
    start = partial(TimedProcess, options.threads)
    processes = {
        "matrix product": start(matrix_product, precision),
        "nn.LSTM": start(plain_training, model, batch_size, precision),
        "charlstm, SOAP": start(charlstm_training, model, batch_size, precision, "soap", folder),
        "charlstm, AdamW": start(charlstm_training, model, batch_size, precision, "adamw", folder),
        "charlstm, SOAP, side inputs": start(
            charlstm_training, with_side_inputs, batch_size, precision, "soap", folder
        ),
    }
    if options.char_rnn_pytorch and precision == "fp32":
        processes["char-rnn.pytorch"] = start(
            char_rnn_training, options.char_rnn_pytorch, num_layers, hidden_size, batch_size
        )
    seconds = measure(processes, options.rounds)
    row = f"{num_layers}×{hidden_size}, batch {batch_size}, embedding {embedding_size}, {precision}"
    peaks = [2 * 1024**3 / one for one in seconds.pop("matrix product")]
    record.add(row, "matrix product", "GFLOP/s", [peak / 1e9 for peak in peaks])
    peak = statistics.median(peaks)
    weights = parameter_count(model) - VOCAB * embedding_size
    print(f"{row}: matrix product {peak / 1e9:.0f} GFLOP/s")
    for name, several in seconds.items():
        speeds = [batch_size * SEQ_LEN / one for one in several]
        record.add(row, name, SPEED, speeds)
        speed = statistics.median(speeds)
        print(f"  {name:29}{speed:10,.0f} {SPEED}   {6 * weights * speed / peak:5.2f} of the peak")


if __name__ == "__main__":
    main()
