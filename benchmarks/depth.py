"""Is a second or a third layer worth its time?

Run: ``python -m benchmarks.depth SOURCE [--max-time 30m] [--shapes 1x512 2x288 3x224] [--seeds 1]``

SOURCE is one that ``charlstm train`` reads. For each shape, layers × hidden size, one network is trained from random
weights for the same time, all else as ``train`` chooses it; with more than one layer it has skip connections. The
figures are nats per token of the validation text, and the step of the saved weights. The shapes by default have about
as many recurrent weights each. Each seed begins with another shape. Two runs of one network may differ by 0.01.
"""

from __future__ import annotations

import argparse
import subprocess
import tempfile
from pathlib import Path

from benchmarks import records
from benchmarks.runs import TRAIN
from charlstm.checkpoint.format import read

SHAPES = ["1x512", "2x288", "3x224"]


def main() -> None:
    """Train each, print a table, record."""
    parser = records.parser(__doc__)
    parser.add_argument("source")
    parser.add_argument("--max-time", default="30m")
    parser.add_argument("--shapes", nargs="+", default=SHAPES)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1])
    parser.add_argument("--val-fraction", default="0.02")
    options = parser.parse_args()
    record = records.begin("depth", options.seeds)
    found: dict[str, list[tuple[float, int]]] = {shape: [] for shape in options.shapes}
    for number, seed in enumerate(options.seeds):
        first = number % len(options.shapes)
        for shape in options.shapes[first:] + options.shapes[:first]:
            found[shape].append(train_once(options, shape, seed))
            print(f"{shape}, seed {seed}: {found[shape][-1]}", flush=True)
    for shape, runs in found.items():
        row = f"{Path(options.source).name}, {options.max_time}: {shape.replace('x', '×')}"
        record.add(row, "loss", "nats per token", [loss for loss, _ in runs])
        record.add(row, "step", "thousands", [steps / 1000 for _, steps in runs])
    record.show()
    record.finish(options)


def train_once(options: argparse.Namespace, shape: str, seed: int) -> tuple[float, int]:
    """Train one network.

    Args:
        options: the program's.
        shape: layers and hidden size.
        seed: of the run.

    Returns:
        Its validation loss in nats per token, and the step of the saved weights.
    """
    layers, hidden = shape.split("x")
    with tempfile.TemporaryDirectory() as folder:
        command = [*TRAIN, options.source, "--max-time", options.max_time, "--out", f"{folder}/run"]
        command += ["--num-layers", layers, "--hidden-size", hidden, "--ensemble", "1", "--seed", str(seed)]
        command += ["--val-fraction", options.val_fraction, "--records", "none", "--preview", "0", "-q"]
        subprocess.run(command, check=True)
        about = read(Path(folder) / "run" / "model.safetensors", kind="model").provenance
    assert about.val_loss is not None
    assert about.step is not None
    return about.val_loss, about.step


if __name__ == "__main__":
    main()
