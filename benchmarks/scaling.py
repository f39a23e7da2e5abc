"""How many characters per second do one and two processes train on, and how many bytes does a step exchange?

Run: ``python -m benchmarks.scaling FILE [--ranks 1 2] [--max-steps 200] [-- OPTIONS OF TRAIN]``

Each number of processes is started as a person would start it, ``charlstm train FILE --nproc N``, with the same global
batch and one thread per process. Characters per second (letters are the tokens) are taken from the events between a
tenth of the steps and the end, so that starting up does not count. On a machine with as many free cores (or GPUs) as
processes, what is missing to N times the speed is the cost of the exchange; the bytes that a process sends and receives
per step, 2 (N - 1) / N times the gradient, allow it to be computed for other machines.

The last line is the record of the run as JSON.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks import records
from benchmarks.runs import TRAIN
from charlstm.checkpoint.format import read
from charlstm.nn.shapes import parameter_count


def measure(file: Path, ranks: int, steps: int, train_options: list[str]) -> tuple[float, int, int]:
    """Train once.

    Args:
        file: the text.
        ranks: processes.
        steps: of the optimizer.
        train_options: further options of ``charlstm train``.

    Returns:
        Characters per second; bytes a process exchanges per step; the seed.
    """
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder) / "run"
        command = [*TRAIN, str(file), "--max-steps", str(steps), "--threads", "1", *train_options]
        command += ["--eval-every", str(steps + 1), "--preview", "0", "--nproc", str(ranks), "--out", str(run)]
        done = subprocess.run(
            [*command, "--json"], check=True, stdout=subprocess.PIPE, text=True, env=records.threads_environment(1)
        )
        events = [json.loads(line) for line in done.stdout.splitlines()]
        config = read(run / "model.safetensors").run
    done_steps = [event for event in events if event["event"] == "StepDone"]
    first, last = done_steps[len(done_steps) // 10], done_steps[-1]
    speed = (last["tokens"] - first["tokens"]) / (last["seconds"] - first["seconds"])
    gradient_bytes = 4 * parameter_count(config.model)
    return speed, round(2 * gradient_bytes * (ranks - 1) / ranks), config.train.seed


def main() -> None:
    """Measure each number of processes, print, record."""
    parser = records.parser(__doc__)
    parser.add_argument("file", type=Path)
    parser.add_argument("--ranks", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--max-steps", type=int, default=200)
    own, train_options = records.split_train_options(sys.argv[1:])
    options = parser.parse_args(own)
    record = records.begin("scaling")
    speeds: list[float] = []
    print(f"{'processes':>9}  {'chars/s':>10}  {'times the first':>15}  {'bytes per step':>14}")
    for ranks in options.ranks:
        speed, exchanged, seed = measure(options.file, ranks, options.max_steps, train_options)
        speeds.append(speed)
        print(f"{ranks:>9}  {speed:>10,.0f}  {speed / speeds[0]:>15.2f}  {exchanged:>14,}", flush=True)
        row = f"{options.file.name}, {ranks} process{'es' * (ranks > 1)}"
        record.add(row, "training", "characters per second", speed)
        record.add(row, "exchanged", "bytes per step", exchanged)
        record.seeds = (seed,)
    record.finish(options)


if __name__ == "__main__":
    main()
