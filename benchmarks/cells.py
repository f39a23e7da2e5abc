"""How long does training take per window, cell by cell, compared with torch's own modules?

Run: ``python -m benchmarks.cells [--rounds 9] [--shapes 1x512x16,1x512x64,2x256x16,1x128x16,1x1024x16]
[--threads 2] [--precisions fp32]``

A shape is layers × hidden size × batch; windows are 64 long, inputs have 64 features and a gradient, as an embedding
has. Forward and backward of each in turn. Each cell is compared with torch's module for it: `nn.RNN`, `nn.LSTM`,
`nn.GRU`, and for the peephole cell, which torch does not have, `nn.LSTM`. ``fused lstm`` is `nn.fused.lstm`, which
training uses for wide layers in half precision. Attention (over 256 states) and the bidirectional network are measured
as whole networks with embedding, softmax over 65 characters and loss, and compared with the same network around one
`nn.LSTM`. ``--precisions fp32,bf16`` also measures under bf16 autocast: only where the processor has bf16, or it takes
minutes. The last line is the record of the run as JSON.
"""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from benchmarks import records
from benchmarks.plain_lstm import ALPHABET, EMBEDDING_SIZE, SEQ_LEN, PlainLSTM
from benchmarks.timing import autocast, interleaved
from charlstm.nn import fused
from charlstm.nn.architecture import Architecture
from charlstm.nn.fused import WindowFunction
from charlstm.nn.model import CharLM
from charlstm.nn.recurrence import RecurrentLayer
from charlstm.nn.shapes import CELLS
from charlstm.training.memory import keep_freed_memory

COMPARED_WITH = {
    "rnn": "nn.RNN",
    "lstm": "nn.LSTM",
    "gru": "nn.GRU",
    "peephole": "nn.LSTM",
    "fused lstm": "nn.LSTM",
    "attention": "network of nn.LSTM",
    "bidirectional": "network of nn.LSTM",
}


def windows(num_layers: int, hidden_size: int, batch_size: int) -> dict[str, Callable[[], None]]:
    """Name → forward and backward of one window.

    Args:
        num_layers: recurrent layers.
        hidden_size: units per layer.
        batch_size: windows at once.
    """
    inputs = torch.randn(SEQ_LEN, batch_size, EMBEDDING_SIZE, requires_grad=True)
    gradient = torch.randn(SEQ_LEN, batch_size, hidden_size)

    def backward(outputs: Tensor) -> None:
        torch.autograd.backward(outputs, gradient.to(outputs.dtype))

    def of_module(module: nn.Module) -> Callable[[], None]:
        return lambda: backward(module(inputs)[0])

    def of_cell(cell: str, window_function: WindowFunction | None = None) -> Callable[[], None]:
        sizes = [EMBEDDING_SIZE] + [hidden_size] * (num_layers - 1)
        stack = [RecurrentLayer(cell, size, hidden_size) for size in sizes]
        zeros = (torch.zeros(batch_size, hidden_size),) * len(CELLS[cell].states)

        def run() -> None:
            outputs = inputs
            for layer in stack:
                outputs, _ = window_function(outputs, zeros, layer.weights) if window_function else layer(outputs, None)
            backward(outputs)

        return run

    ids = torch.randint(len(ALPHABET), (batch_size, SEQ_LEN))

    def of_network(network: nn.Module) -> Callable[[], None]:
        return lambda: torch.autograd.backward(cross_entropy(network(ids)[0].flatten(0, 1), ids.flatten()))

    shape = {"vocab_size": len(ALPHABET), "embedding_size": EMBEDDING_SIZE}
    shape |= {"hidden_size": hidden_size, "num_layers": num_layers}
    modules = (nn.RNN, nn.LSTM, nn.GRU)
    return {
        **{f"nn.{kind.__name__}": of_module(kind(EMBEDDING_SIZE, hidden_size, num_layers)) for kind in modules},
        **{cell: of_cell(cell) for cell in CELLS},
        "fused lstm": of_cell("lstm", fused.lstm),
        "network of nn.LSTM": of_network(PlainLSTM(num_layers, hidden_size)),
        "attention": of_network(CharLM(Architecture.from_settings({**shape, "attention_window": 256}))),
        "bidirectional": of_network(CharLM(Architecture.from_settings({**shape, "bidirectional": True}))),
    }


def milliseconds(run: Callable[[], None], precision: str) -> float:
    """What one call takes; NaN where the processor has no such precision.

    Args:
        run: forward and backward of one window.
        precision: ``fp32`` or ``bf16``.
    """
    began = time.perf_counter()
    try:
        with autocast(precision):
            run()
    except RuntimeError:  # oneDNN has no bf16 for this processor
        return math.nan
    return 1e3 * (time.perf_counter() - began)


def main() -> None:
    """Measure, print a table, record."""
    parser = records.parser(__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--shapes", default="1x512x16,1x512x64,2x256x16,1x128x16,1x1024x16")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--precisions", default="fp32")
    options = parser.parse_args()
    record = records.begin("cells")
    record.details = {"threads": options.threads}
    keep_freed_memory()  # as training does
    torch.set_num_threads(options.threads)
    for shape in options.shapes.split(","):
        num_layers, hidden_size, batch_size = map(int, shape.split("x"))
        runs = windows(num_layers, hidden_size, batch_size)
        for precision in options.precisions.split(","):
            row = f"{num_layers}×{hidden_size}, batch {batch_size}, {precision}"
            timed = {name: partial(milliseconds, run, precision) for name, run in runs.items()}
            values = interleaved(timed, options.rounds, pause=0)
            medians = {name: statistics.median(several) for name, several in values.items()}
            print(f"{row}: milliseconds per window of {SEQ_LEN}")
            for name, several in values.items():
                record.add(row, name, "milliseconds per window", several)
                if name in COMPARED_WITH:
                    other = COMPARED_WITH[name]
                    ratio = medians[name] / medians[other]
                    print(f"  {name:15}{medians[name]:9.1f}   {other:20}{medians[other]:9.1f}   ratio {ratio:5.2f}")
    record.finish(options)


if __name__ == "__main__":
    main()
