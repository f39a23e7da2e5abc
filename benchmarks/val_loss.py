"""How low does ``charlstm train FILE --max-time T`` come, with default settings?

Run: ``python -m benchmarks.val_loss FILE [--max-time 70s] [-- OPTIONS OF TRAIN]``

The command is started as a person would, with nothing but the budget. Then every character of what it has kept for
validation, the last tenth (of more than two million characters less, so give ``-- --val-fraction 0.1`` to compare
budgets there), is scored by the checkpoint it wrote, in nats per character:

- ``stateful``: read once in order, the state carried from its first character to its last;
- ``W256``: nanoGPT's protocol, windows of 256 from a zero state, all positions averaged.

The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional

import charlstm
from benchmarks.machine import machine
from charlstm.checkpoint.format import read
from charlstm.corpora.encode import split
from charlstm.engine.load import torch_model
from charlstm.evaluation.loss import evaluate


def windowed(model: torch.nn.Module, ids: np.ndarray, window: int = 256) -> float:
    """Nats per token over windows that begin from a zero state; the last, shorter one counts too."""
    total = 0.0
    with torch.inference_mode():
        for begin in range(0, len(ids) - 1, window * 64):
            part = torch.from_numpy(ids[begin : begin + window * 64 + 1].astype(np.int64))
            whole = (len(part) - 1) // window * window
            for inputs, targets in (
                (part[:whole].view(-1, window), part[1 : whole + 1].view(-1, window)),
                (part[whole:-1][None], part[whole + 1 :][None]),
            ):
                if inputs.numel():
                    logits = model(inputs)[0]
                    total += functional.cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction="sum").item()
    return total / (len(ids) - 1)


def main() -> None:
    """Train, score, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file", type=Path)
    parser.add_argument("--max-time", default="70s")
    own, further = sys.argv[1:], []
    if "--" in own:
        own, further = own[: own.index("--")], own[own.index("--") + 1 :]
    arguments = parser.parse_args(own)
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder) / "run"
        command = ["charlstm", "train", str(arguments.file), "--max-time", arguments.max_time, *further]
        began = time.monotonic()
        subprocess.run([sys.executable, "-m", *command, "--out", str(run)], check=True)
        seconds = time.monotonic() - began
        saved = read(run / "model.safetensors", kind="model")
        trained = charlstm.load(run)
        ids = trained.tokenizer.encode(arguments.file.read_text("utf-8"))
        _, val = split(ids, saved.config["data"]["val_fraction"])
        model = torch_model(saved)
        sample = trained.generate(length=400, seed=1)
    figures = {
        "val_tokens": len(val),
        "stateful": round(evaluate(model, val[1:], val[:1]), 4),
        "W256": round(windowed(model, val), 4),
        "told": saved.provenance["val_loss"],
        "steps": saved.provenance["step"],
        "tokens": saved.provenance["tokens"],
        "command_seconds": round(seconds, 1),
    }
    print(sample)
    print()
    for name, value in figures.items():
        print(f"{name:<16}{value}")
    shape = {section: saved.config[section] for section in ("model", "data", "train")}
    print(json.dumps({"benchmark": "val_loss", **figures, "command": command, **shape, **machine()}))


if __name__ == "__main__":
    main()
