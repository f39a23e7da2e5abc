"""How long does a window take to train on, cell by cell, against torch's own modules, in one run?

Run: ``python -m benchmarks.cells [--rounds 9] [--shapes 1x512x16,1x512x64,2x256x16,1x128x16,1x1024x16]
[--threads 2] [--precisions fp32]``

A shape is layers × hidden size × batch; windows are 64 long, inputs 64 wide and learn too, as an embedding does.
Forward and backward of each in turn, medians. torch's module for the cell is the measure: `nn.RNN`, `nn.LSTM`,
`nn.GRU`, and for the peephole, which torch does not have, `nn.LSTM`. ``lstm by hand`` is `nn.unrolled.lstm`, which
training uses for large layers in half precision. The attention (over 256 states) and the bidirectional network are
whole networks with embedding, softmax over 65 characters and loss; their measure is the same network with one
`nn.LSTM`.
``--precisions fp32,bf16`` measures under bf16 autocast too: only where the processor has bf16, else it takes minutes.
The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from contextlib import nullcontext

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from benchmarks.machine import machine
from charlstm.config import ModelConfig
from charlstm.nn import fused as unrolled
from charlstm.nn.model import CharLM
from charlstm.nn.recurrence import RecurrentLayer, WholeWindow
from charlstm.nn.shapes import CELLS
from charlstm.training.memory import keep_freed_memory

TIME, FEATURES = 64, 64
VOCAB = 65
MEASURE = {
    "rnn": "nn.RNN",
    "lstm": "nn.LSTM",
    "gru": "nn.GRU",
    "peephole": "nn.LSTM",
    "lstm by hand": "nn.LSTM",
    "attention": "network",
    "bidirectional": "network",
}


class Network(nn.Module):
    """The plain network: embedding, `nn.LSTM`, softmax."""

    def __init__(self, layers: int, hidden: int, features: int = FEATURES) -> None:
        super().__init__()
        self.embedding = nn.Embedding(VOCAB, features)
        self.lstm = nn.LSTM(features, hidden, layers)
        self.head = nn.Linear(hidden, VOCAB)

    def forward(self, inputs: Tensor) -> tuple[Tensor, object]:
        """Ids (B, T) → logits (B, T, V)."""
        outputs, state = self.lstm(self.embedding(inputs.t()))
        return self.head(outputs).transpose(0, 1), state


def candidates(layers: int, hidden: int, batch: int) -> dict[str, Callable[[], None]]:
    """Forward and backward of one window, for each name."""
    inputs = torch.randn(TIME, batch, FEATURES, requires_grad=True)
    weigh = torch.randn(TIME, batch, hidden)

    def backward(outputs: torch.Tensor) -> None:
        torch.autograd.backward(outputs, weigh.to(outputs.dtype))

    def window(module: nn.Module) -> Callable[[], None]:
        return lambda: backward(module(inputs)[0])

    def own(cell: str, whole_window: WholeWindow | None = None) -> Callable[[], None]:
        stack = [RecurrentLayer(cell, hidden if k else FEATURES, hidden) for k in range(layers)]
        zeros = (torch.zeros(batch, hidden),) * len(CELLS[cell].states)

        def run() -> None:
            outputs = inputs
            for layer in stack:
                outputs, _ = whole_window(outputs, zeros, layer.weights) if whole_window else layer(outputs, None)
            backward(outputs)

        return run

    found = {f"nn.{kind.__name__}": window(kind(FEATURES, hidden, layers)) for kind in (nn.RNN, nn.LSTM, nn.GRU)}
    found |= {cell: own(cell) for cell in CELLS}
    found["lstm by hand"] = own("lstm", unrolled.lstm)
    ids = torch.randint(VOCAB, (batch, TIME))
    shape = {"vocab_size": VOCAB, "embedding_size": FEATURES, "hidden_size": hidden, "num_layers": layers}

    def whole(network: nn.Module) -> Callable[[], None]:
        return lambda: torch.autograd.backward(cross_entropy(network(ids)[0].flatten(0, 1), ids.flatten()))

    found["network"] = whole(Network(layers, hidden))
    found["attention"] = whole(CharLM(ModelConfig(**shape, attention_window=256)))
    found["bidirectional"] = whole(CharLM(ModelConfig(**shape, bidirectional=True)))
    return found


def milliseconds(runs: dict[str, Callable[[], None]], rounds: int, precision: str) -> dict[str, float]:
    """Median milliseconds of each, one after the other in every round; the first round only warms up."""
    seen: dict[str, list[float]] = {}
    for number in range(rounds + 1):
        for name, run in runs.items():
            autocast = torch.autocast("cpu", torch.bfloat16) if precision == "bf16" else nullcontext()
            began = time.perf_counter()
            try:
                with autocast:
                    run()
            except RuntimeError:  # oneDNN has no bf16 for this processor
                continue
            if number:
                seen.setdefault(name, []).append(1e3 * (time.perf_counter() - began))
    return {name: statistics.median(times) for name, times in seen.items()}


def main() -> None:
    """Measure, print a table, and one JSON line last."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--shapes", default="1x512x16,1x512x64,2x256x16,1x128x16,1x1024x16")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--precisions", default="fp32")
    options = parser.parse_args()
    keep_freed_memory()  # as training does
    torch.set_num_threads(options.threads)
    results: dict[str, dict[str, dict[str, float]]] = {}
    for shape in options.shapes.split(","):
        layers, hidden, batch = map(int, shape.split("x"))
        runs = candidates(layers, hidden, batch)
        results[shape] = {
            precision: milliseconds(runs, options.rounds, precision) for precision in options.precisions.split(",")
        }
        for precision, times in results[shape].items():
            print(f"{layers}×{hidden}, batch {batch}, window {TIME}, {precision}: milliseconds a window")
            for name, measure in MEASURE.items():
                if name in times and measure in times:
                    ratio = times[name] / times[measure]
                    print(f"  {name:13}{times[name]:9.1f}   {measure:8}{times[measure]:9.1f}   {ratio:5.2f} times")
    print(json.dumps({"benchmark": "cells", "milliseconds": results, "threads": options.threads, **machine()}))


if __name__ == "__main__":
    main()
