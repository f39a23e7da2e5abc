"""How many characters a second do one and two processes train on, and how many bytes does a step move?

Run: ``python -m benchmarks.scaling FILE [--ranks 1 2] [--max-steps 200] [-- OPTIONS OF TRAIN]``

Each number of ranks is started as a person would, ``charlstm train FILE --nproc N``, with the same global batch, one
thread a process. Characters a second (letters are its tokens) are taken from the events between a tenth of the steps
and the end, so that starting up does not count. On a machine with as many free cores (or GPUs) as ranks the rest of
the way to N times the speed is what the exchange costs; the bytes a rank sends and receives in a step, 2 (N - 1) / N
of the gradient, say what it would cost elsewhere.

The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.machine import machine
from charlstm.checkpoint.format import read
from charlstm.nn.shapes import parameter_count


def measured(file: Path, ranks: int, steps: int, further: list[str]) -> dict[str, Any]:
    """Train once, in ``ranks`` processes."""
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder) / "run"
        command = ["charlstm", "train", str(file), "--max-steps", str(steps), "--threads", "1", *further]
        command += ["--eval-every", str(steps + 1), "--preview", "0", "--nproc", str(ranks), "--out", str(run)]
        done = subprocess.run(
            [sys.executable, "-m", *command, "--json"],
            check=True, stdout=subprocess.PIPE, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"},
        )  # fmt: skip
        events = [json.loads(line) for line in done.stdout.splitlines()]
        took = [event for event in events if event["event"] == "StepDone"]
        model = read(run / "model.safetensors").config["model"]
    first, last = took[len(took) // 10], took[-1]
    gradient = 4 * parameter_count(model)
    return {
        "ranks": ranks,
        "characters_per_second": round((last["tokens"] - first["tokens"]) / (last["seconds"] - first["seconds"])),
        "gradient_bytes": gradient,
        "bytes_a_step": round(2 * gradient * (ranks - 1) / ranks),
        "loss": last["loss"],
        "command": command,
    }


def main() -> None:
    """Measure each number of ranks, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file", type=Path)
    parser.add_argument("--ranks", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--max-steps", type=int, default=200)
    own, further = sys.argv[1:], []
    if "--" in own:
        own, further = own[: own.index("--")], own[own.index("--") + 1 :]
    arguments = parser.parse_args(own)
    rows = [measured(arguments.file, ranks, arguments.max_steps, further) for ranks in arguments.ranks]
    print(f"{'ranks':>5}  {'chars/s':>10}  {'times one':>9}  {'bytes a step':>12}")
    for row in rows:
        times = row["characters_per_second"] / rows[0]["characters_per_second"]
        print(f"{row['ranks']:>5}  {row['characters_per_second']:>10,}  {times:>9.2f}  {row['bytes_a_step']:>12,}")
    print(json.dumps({"benchmark": "scaling", "rows": rows, **machine()}))


if __name__ == "__main__":
    main()
