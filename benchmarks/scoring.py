"""How fast is a text scored, and how much does the loss differ from that of reading it step by step?

Run: ``python -m benchmarks.scoring FILE [MODEL] [--characters 131072] [--rounds 5]``

MODEL is ``starter`` unless another causal one is named; of FILE the beginning is scored, in what the network knows of
it. The rows, measured in turn, a part of the text each but the loss of all of it:

- ``stepping``: the engine that writes, one token after the other;
- ``in order``: torch, windows of one stream, as ``charlstm eval --exact`` reads;
- ``eval``: as ``charlstm eval`` reads a text of this length on this machine.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import records
from benchmarks.timing import interleaved
from charlstm.api.load import load
from charlstm.engine.load import load_engine_with_threads, torch_model
from charlstm.evaluation.method import choose_method, text_losses
from charlstm.evaluation.objective import objective_of
from charlstm.evaluation.score import Losses, Method
from charlstm.evaluation.stepping import stepped_losses
from charlstm.sampling.prompts import bos_ids, fit_prompt

_STEPPED, _IN_ORDER = 2_000, 16_384
"""Tokens of a measurement where all would take too long."""


def main() -> None:
    """Measure, print, record."""
    parser = records.parser(__doc__)
    parser.add_argument("file", type=Path)
    parser.add_argument("model", nargs="?", default="starter")
    parser.add_argument("--characters", type=int, default=1 << 17)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    record = records.begin("scoring")
    saved = load(options.model).checkpoint
    tokenizer, model = saved.load_tokenizer(), torch_model(saved)
    engine: Any = load_engine_with_threads(saved)
    text, _ = fit_prompt(tokenizer, options.file.read_text("utf-8")[: options.characters], "skip")
    ids, context = tokenizer.encode(text), np.array(bos_ids(tokenizer))
    objective = objective_of(saved.run, tokenizer)
    chosen = choose_method(objective, model, ids, context)
    ways: dict[str, tuple[Callable[..., Losses], int]] = {
        "stepping": (lambda part: stepped_losses(engine, part, context), _STEPPED),
        "in order": (lambda part: text_losses(objective, model, part, context, Method()), _IN_ORDER),
        "eval": (lambda part: text_losses(objective, model, part, context, chosen), len(ids)),
    }
    for name, (losses, _) in ways.items():
        record.add(name, "loss", "nats per token", _sum(losses(ids)) / len(ids))
    runs = {name: partial(_speed, losses, ids[:size]) for name, (losses, size) in ways.items()}
    for name, values in interleaved(runs, options.rounds).items():
        record.add(name, "speed", "tokens per second", values)
    print(f"eval: {chosen.streams} streams, {chosen.precision}")
    record.show()
    record.finish(options)


def _sum(losses: Losses) -> float:
    return sum(float(nats.sum(dtype=np.float64)) for _, nats in losses)


def _speed(losses: Callable[..., Losses], ids: Any) -> float:
    begun = time.perf_counter()
    _sum(losses(ids))
    return len(ids) / (time.perf_counter() - begun)


if __name__ == "__main__":
    main()
