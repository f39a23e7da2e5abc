"""How fast does training learn, compared with nanoGPT's recipe for a CPU, on the same text with the same threads?

Run: ``python -m benchmarks.time_to_loss FILE --nanogpt PATH [--threads 2]``

PATH is a checkout of nanoGPT; a copy of it runs the command its README gives for a computer without a GPU (4 layers,
128 wide, context 64, batch 12, 2,000 iterations). The last tenth of the text is the validation text of both programs.
Then ``charlstm train FILE`` runs with nothing but a budget, once as long as nanoGPT took and once a tenth of that.
Seconds are those of the whole command, from its start to its end. Losses are in nats per character of the validation
text:

- ``windows``: every character, in windows from a zero state: of 64 for nanoGPT, its context, and of 256 here;
- ``stateful``: one pass in order with the state carried; nanoGPT has no state.

What both programs report while they run is printed as a curve and kept in the record's details (nanoGPT: an estimate
from 20 random batches). The last line is the record of the run as JSON.
"""

from __future__ import annotations

import json
import subprocess
import tempfile
import time
from pathlib import Path

from benchmarks import records
from benchmarks.peers import Curve, train_nanogpt
from benchmarks.runs import TRAIN, ValidationLoss, validation_loss

NATS = "nats per character"
SHORTEST_BUDGET = 2.0
"""Seconds."""


def train_for(
    file: Path, text: str, seconds: float, threads: int, folder: Path
) -> tuple[Curve, float, ValidationLoss, int]:
    """Train once, so that the whole command takes about as long as asked.

    Args:
        file: the text.
        text: its content.
        seconds: of the whole command.
        threads: CPU threads.
        folder: for the runs.

    Returns:
        The losses it reported; the seconds of the whole command; its exact losses; the seed.
    """
    run = folder / f"run-{seconds:.0f}"
    budget = max(SHORTEST_BUDGET, seconds - _start_up_seconds(file, threads, folder))
    command = [*TRAIN, str(file), "--max-time", f"{budget:.1f}s", "--json", "--val-fraction", "0.1"]
    began, curve = time.monotonic(), []
    with subprocess.Popen(
        [*command, "--out", str(run)],
        env=records.threads_environment(threads), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        for line in process.stdout:
            event = json.loads(line)
            if event["event"] == "EvalDone":
                curve.append((time.monotonic() - began, event["val_loss"]))
    took = time.monotonic() - began
    trained, loss = validation_loss(run, text)
    return curve, took, loss, trained.config.train.seed


def _start_up_seconds(file: Path, threads: int, folder: Path) -> float:
    """Seconds of a command that trains one step, with the text already in the cache."""
    command = [*TRAIN, str(file), "--max-steps", "1", "--preview", "0", "-q", "--force"]
    began = time.monotonic()
    subprocess.run(
        [*command, "--out", str(folder / "start")],
        env=records.threads_environment(threads), check=True, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    return time.monotonic() - began


def main() -> None:
    """Train both, print curves and a table, record."""
    parser = records.parser(__doc__)
    parser.add_argument("file", type=Path)
    parser.add_argument("--nanogpt", type=Path, required=True)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    record = records.begin("time_to_loss")
    text = options.file.read_text("utf-8")
    curves: dict[str, Curve] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        curves["nanoGPT"], nanogpt_seconds, nanogpt_loss = train_nanogpt(options.nanogpt, text, options.threads, folder)
        row = f"{options.file.name}, the time nanoGPT takes"
        record.add(row, "nanoGPT, windows of 64", NATS, nanogpt_loss)
        record.add(row, "nanoGPT, whole command", "seconds", nanogpt_seconds)
        for what, seconds in (("the time", nanogpt_seconds), ("a tenth of the time", nanogpt_seconds / 10)):
            row = f"{options.file.name}, {what} nanoGPT takes"
            curves[what], took, loss, seed = train_for(options.file, text, seconds, options.threads, folder)
            record.add(row, "charlstm, windows of 256", NATS, loss.windows)
            record.add(row, "charlstm, stateful", NATS, loss.stateful)
            record.add(row, "charlstm, whole command", "seconds", took)
            record.seeds = (seed,)
    record.details = {"threads": options.threads, "curves": curves}
    for who, curve in curves.items():
        print(f"{who}: " + ", ".join(f"{loss:.3f} at {at:.0f} s" for at, loss in curve))
    for figure in record.figures:
        print(f"{figure.row}: {figure.name} {figure.values[0]:.4f} {figure.unit}")
    record.finish(options)


if __name__ == "__main__":
    main()
