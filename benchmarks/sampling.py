"""How fast is text drawn on a CPU: the NumPy engine compared with stepping ``torch.nn.LSTM``, in one run?

Run: ``python -m benchmarks.sampling [--rounds 7] [--shapes 2x256,1x512,2x512] [--cell lstm] [--attention]
[--batches 8,64,256] [--char-rnn-pytorch PATH] [--nanogpt PATH]``

All networks have random weights, on which the speed of a step does not depend. One text at a time (batch 1):

- ``nn.LSTM``: as char-rnn programs do it: ``nn.Embedding``, ``nn.LSTM`` with all its layers, ``nn.Linear``, softmax
  and ``torch.multinomial``, one character at a time, under ``inference_mode``. Other cells use `nn.GRU` and `nn.RNN`;
  the peephole cell, which torch does not have, is compared with `nn.LSTM`; with ``--attention``, over 256 states, the
  same attention is stepped after it;
- ``charlstm``: what ``charlstm sample`` does: all filters, decoding and stopping rules, and its own number of threads;
- ``charlstm, side inputs``: the same with n-gram embedding and match memory, as the defaults have them;
- both with ``1 thread``, as with ``--threads 1``, and with ``int8``, as with ``--precision int8``, if it is installed;
- ``steps only, 1 thread``: the engine without the sampler;
- ``char-rnn.pytorch``: the network of that checkout's model.py, stepped and drawn from as its generate.py does;
- ``nanoGPT``: `generate` of that checkout's model.py, for its CPU recipe (4 layers, 128 wide, context 64).

The other programs are measured with 1 and with 2 threads; the better of the two counts.
Then ``batch N``: the characters of N texts drawn at once, as with ``charlstm sample -n N``, in a process of its own;
without side inputs and with them.
``reading the weights`` is how many times per second one core can read as many bytes as the weights have: the bound of
one thread.

One short block of each in turn. Last comes the time from starting ``charlstm sample`` to its first character. The last
line is the record of the run as JSON.
"""

from __future__ import annotations

import statistics
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

from benchmarks import records
from benchmarks.peers import char_rnn_sampling, nanogpt_sampling
from benchmarks.plain_lstm import ALPHABET, EMBEDDING_SIZE
from benchmarks.start_up import first_character
from benchmarks.timing import interleaved
from charlstm.checkpoint.format import Checkpoint, write
from charlstm.checkpoint.provenance import Provenance
from charlstm.config import RunConfig
from charlstm.engine.auto_threads import AutoThreadsEngine, blas_threads
from charlstm.engine.products import Precision, has_int8
from charlstm.nn.architecture import Architecture
from charlstm.nn.attention import Attention
from charlstm.nn.shapes import CELLS, tensor_shapes
from charlstm.sampling.config import SampleConfig
from charlstm.sampling.sampler import sample
from charlstm.tokenizers import CharTokenizer

CHARACTERS = 1500
"""In a block; slower programs draw a part of that."""
BATCH_CHARACTERS = 200
"""In a block of a batch, per text; fewer would mostly measure waking the process up."""
SPEED = "characters per second"
PEERS = ("nn.LSTM", "char-rnn.pytorch", "nanoGPT")
PEER_THREADS = (1, 2)
Block = Callable[[], float]
"""Draws some characters; returns characters per second."""


def random_checkpoint(
    num_layers: int, hidden_size: int, cell: str = "lstm", attention_window: int = 0, *, side_inputs: bool = False
) -> Checkpoint:
    """A network of random weights with the alphabet of tiny Shakespeare.

    Args:
        num_layers: recurrent layers.
        hidden_size: units per layer.
        cell: of every layer.
        attention_window: states that attention looks back on; 0 for none.
        side_inputs: whether it has n-gram embedding and match memory, as the defaults have them.
    """
    tokenizer = CharTokenizer(ALPHABET)
    random = np.random.default_rng(0)
    shape = Architecture.from_settings({
        "vocab_size": tokenizer.vocab_size, "embedding_size": EMBEDDING_SIZE, "hidden_size": hidden_size,
        "num_layers": num_layers, "cell": cell, "attention_window": attention_window,
        "ngram_order": 6 * side_inputs, "match_orders": [3, 6] * side_inputs,
    })  # fmt: skip
    tensors = {
        name: (random.uniform(-1, 1, size) / np.sqrt(hidden_size)).astype(np.float32)
        for name, size in tensor_shapes(shape)
    }
    run = RunConfig(name="benchmark", model=shape)
    return Checkpoint("model", tensors, run, tokenizer.to_state(), Provenance())


def torch_block(saved: Checkpoint, threads: int) -> Block:
    """Steps torch's module as char-rnn programs do.

    Args:
        saved: the network whose shape is stepped.
        threads: CPU threads.
    """
    shape = saved.architecture
    embedding = nn.Embedding(shape.vocab_size, EMBEDDING_SIZE)
    kind = {"gru": nn.GRU, "rnn": nn.RNN}.get(shape.cell, nn.LSTM)
    recurrent = kind(EMBEDDING_SIZE, shape.hidden_size, shape.num_layers)
    head = nn.Linear(shape.hidden_size, shape.vocab_size)
    window = shape.attention_window
    attention = Attention(shape.hidden_size, window) if window else None

    @torch.inference_mode()
    def block() -> float:
        torch.set_num_threads(threads)
        token, state, memory = torch.zeros(1, 1, dtype=torch.long), None, None
        text = []
        start = time.perf_counter()
        for _ in range(CHARACTERS):
            features, state = recurrent(embedding(token), state)
            if attention is not None:  # one row, one step: (1, 1, hidden) is batch first as well as time first
                features, memory = attention(features, memory or attention.empty_memory(1))
            token = torch.multinomial(torch.softmax(head(features[0]) / 0.8, 1), 1)
            text.append(ALPHABET[int(token)])
        return CHARACTERS / (time.perf_counter() - start)

    return block


def charlstm_block(saved: Checkpoint, threads: int | None = None, precision: Precision = "fp32") -> Block:
    """Draws text as ``charlstm sample`` does.

    Args:
        saved: the network.
        threads: CPU threads; None leaves it to the engine.
        precision: of its products.
    """
    engine = AutoThreadsEngine.from_checkpoint(saved, threads, precision=precision)

    def block() -> float:
        config = SampleConfig(length=CHARACTERS, temperature=0.8, seed=1)
        start = time.perf_counter()
        "".join(fragment.text for fragment in sample(engine, [0], config))
        return CHARACTERS / (time.perf_counter() - start)

    return block


def steps_block(saved: Checkpoint) -> Block:
    """Steps the engine with one thread and draws nothing."""
    engine = AutoThreadsEngine.from_checkpoint(saved, 1)

    def block() -> float:
        token, state = np.array([0]), None
        start = time.perf_counter()
        for _ in range(CHARACTERS):
            _, state = engine.step(token, state)
        return CHARACTERS / (time.perf_counter() - start)

    return block


def batch_block(saved: Checkpoint, rows: int, precision: Precision = "fp32") -> Block:
    """Draws several texts at once as ``charlstm sample -n`` does; counts the characters of all of them.

    Args:
        saved: the network.
        rows: texts drawn at once.
        precision: of its products.
    """
    worker = ProcessPoolExecutor(1, get_context("spawn"))
    return lambda: worker.submit(_draw_batch, saved, rows, precision).result()


def _draw_batch(saved: Checkpoint, rows: int, precision: Precision) -> float:
    engine = AutoThreadsEngine.from_checkpoint(saved, precision=precision)
    start = time.perf_counter()
    for _ in sample(engine, [0], SampleConfig(length=BATCH_CHARACTERS, temperature=0.8, seed=1), rows=rows):
        pass
    return rows * BATCH_CHARACTERS / (time.perf_counter() - start)


def reading_block(saved: Checkpoint) -> Block:
    """Reads as many bytes as a step has weights to read, again and again; reads per second."""
    shape = saved.architecture
    table = shape.vocab_size * shape.embedding_size  # folded into a table of which a step reads one row
    weights = np.ones(sum(tensor.size for tensor in saved.tensors.values()) - table, np.float32)

    def block() -> float:
        blas_threads().use(1)
        start = time.perf_counter()
        for _ in range(CHARACTERS):
            np.dot(weights, weights)
        return CHARACTERS / (time.perf_counter() - start)

    return block


def blocks_of(num_layers: int, hidden_size: int, options: Any) -> dict[str, Block]:
    """All programs to be measured at one shape.

    Args:
        num_layers: recurrent layers.
        hidden_size: units per layer.
        options: of the command line.
    """
    attention_window = 256 if options.attention else 0
    saved = random_checkpoint(num_layers, hidden_size, options.cell, attention_window)
    with_side_inputs = random_checkpoint(num_layers, hidden_size, options.cell, attention_window, side_inputs=True)
    blocks: dict[str, Block] = {
        "charlstm": charlstm_block(saved),
        "charlstm, 1 thread": charlstm_block(saved, 1),
        "charlstm, side inputs": charlstm_block(with_side_inputs),
        "charlstm, side inputs, 1 thread": charlstm_block(with_side_inputs, 1),
        "steps only, 1 thread": steps_block(saved),
        "reading the weights": reading_block(saved),
    }
    peers: dict[str, Callable[[int], Block]] = {PEERS[0]: partial(torch_block, saved)}
    if options.char_rnn_pytorch:
        peers[PEERS[1]] = lambda threads: char_rnn_sampling(
            options.char_rnn_pytorch, num_layers, hidden_size, options.cell, threads, CHARACTERS // 3
        )
    if options.nanogpt:
        peers[PEERS[2]] = lambda threads: nanogpt_sampling(options.nanogpt, threads, CHARACTERS // 10)
    for name, block_with in peers.items():
        blocks |= {f"{name}, {threads} threads": block_with(threads) for threads in PEER_THREADS}
    if has_int8():
        blocks["charlstm, int8"] = charlstm_block(saved, precision="int8")
        blocks["charlstm, side inputs, int8"] = charlstm_block(with_side_inputs, precision="int8")
    for rows in (int(rows) for rows in options.batches.split(",") if rows):
        blocks[f"batch {rows}"] = batch_block(saved, rows)
        blocks[f"batch {rows}, side inputs"] = batch_block(with_side_inputs, rows)
        if has_int8():
            blocks[f"batch {rows}, side inputs, int8"] = batch_block(with_side_inputs, rows, "int8")
    return blocks


def with_better_threads(speeds: dict[str, list[float]]) -> dict[str, list[float]]:
    """The speeds, those of each peer under its name alone with its better number of threads."""
    better = {name: values for name, values in speeds.items() if not name.startswith(PEERS)}
    for peer in PEERS:
        tried = [speeds[name] for threads in PEER_THREADS if (name := f"{peer}, {threads} threads") in speeds]
        if tried:
            better[peer] = max(tried, key=statistics.median)
    return better


def main() -> None:
    """Measure, print a table, record."""
    parser = records.parser(__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--shapes", default="2x256,1x512,2x512")
    parser.add_argument("--cell", choices=sorted(CELLS), default="lstm")
    parser.add_argument("--attention", action="store_true")
    parser.add_argument("--batches", default="")
    parser.add_argument("--char-rnn-pytorch", type=Path)
    parser.add_argument("--nanogpt", type=Path)
    options = parser.parse_args()
    record = records.begin("sampling")
    kind = ("" if options.cell == "lstm" else f", {options.cell}") + ", attention" * options.attention
    for shape in options.shapes.split(","):
        num_layers, hidden_size = map(int, shape.split("x"))
        row = f"{num_layers}×{hidden_size}{kind}"
        speeds = with_better_threads(interleaved(blocks_of(num_layers, hidden_size, options), options.rounds))
        charlstm = statistics.median(speeds["charlstm"])
        print(f"{row}: {SPEED}, and as a multiple of charlstm's at batch 1")
        for name, several in speeds.items():
            record.add(row, name, SPEED, several)
            print(f"  {name:33}{statistics.median(several):12,.0f}{statistics.median(several) / charlstm:9.2f}")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.safetensors"
        write(path, random_checkpoint(2, 256))
        waits = {"first character": lambda: first_character(str(path))}
        seconds = interleaved(waits, options.rounds, pause=0)["first character"]
    record.add("2×256", "first character after the command", "seconds", seconds)
    print(f"first character {statistics.median(seconds):.2f} s after the command (2×256)")
    record.finish(options)


if __name__ == "__main__":
    main()
