"""Do the automatic settings learn more in the same time than every preset?

Run: ``python -m benchmarks.presets SOURCE [SOURCE …] [--budgets 30s,2m] [--presets tiny,small,medium] [--rounds 3]``

Each SOURCE is one that ``charlstm train`` reads: a file, or a name such as ``python:docs``. The command is started as a
person would start it, with nothing but the budget, then with the budget and each preset. All keep the last tenth of
the text for validation (``--val-fraction``; less is better for a large text). The figures are nats per token of all of
it, with the saved weights. A preset whose step is too slow for a first evaluation is still scored at its end. Each
round has a seed of its own; within a round all take turns, and each round begins with another. Two runs of one network
may differ by 0.01. The last line is the record of the run as JSON, with the network and step of each run.
"""

from __future__ import annotations

import statistics
import subprocess
import tempfile
from pathlib import Path

from benchmarks import records
from benchmarks.runs import TRAIN
from charlstm.checkpoint.format import read

AUTOMATIC = "automatic"


def train_once(source: str, budget: str, preset: str, seed: int, val_fraction: str, folder: Path) -> tuple[float, str]:
    """Train one network.

    Args:
        source: as ``charlstm train`` reads it.
        budget: as ``--max-time`` reads it.
        preset: its name, or `AUTOMATIC`.
        seed: of the run.
        val_fraction: share of the text kept for validation.
        folder: for the run.

    Returns:
        Its validation loss in nats per token; its network, and the step its weights are of.
    """
    run = folder / f"{preset}-{budget}"
    command = [*TRAIN, source, "--max-time", budget, "--out", str(run), "--force", "--seed", str(seed)]
    command += ["--val-fraction", val_fraction, "--preview", "0", "-q"]
    command += [] if preset == AUTOMATIC else ["--preset", preset]
    subprocess.run(command, check=True, stderr=subprocess.DEVNULL)
    checkpoint = read(run / "model.safetensors", kind="model")
    shape, about = checkpoint.architecture, checkpoint.provenance
    members = f"{shape.ensemble} of " if shape.ensemble > 1 else ""
    assert about.val_loss is not None
    return about.val_loss, f"{members}{shape.num_layers}×{shape.hidden_size} at step {about.step:,}"


def train_all(
    source: str, budget: str, kinds: list[str], rounds: int, val_fraction: str, folder: Path
) -> dict[str, list[tuple[float, str]]]:
    """Kind → loss and network of each round.

    Args:
        source: as ``charlstm train`` reads it.
        budget: as ``--max-time`` reads it.
        kinds: presets, and `AUTOMATIC`.
        rounds: runs of each kind; the seeds are 1, 2, ….
        val_fraction: share of the text kept for validation.
        folder: for the runs.
    """
    runs: dict[str, list[tuple[float, str]]] = {kind: [] for kind in kinds}
    for number in range(rounds):
        first = number % len(kinds)
        for kind in kinds[first:] + kinds[:first]:
            runs[kind].append(train_once(source, budget, kind, number + 1, val_fraction, folder))
    return runs


def main() -> None:
    """Train each, print a table, record."""
    parser = records.parser(__doc__)
    parser.add_argument("sources", nargs="+")
    parser.add_argument("--budgets", default="30s,2m")
    parser.add_argument("--presets", default="tiny,small,medium,large,char-rnn")
    parser.add_argument("--val-fraction", default="0.1")
    parser.add_argument("--rounds", type=int, default=1)
    options = parser.parse_args()
    record = records.begin("presets", seeds=range(1, options.rounds + 1))
    kinds = [AUTOMATIC, *options.presets.split(",")]
    print(f"{'source':24}{'budget':>8}  " + "".join(f"{kind:>10}" for kind in kinds) + "   chosen")
    with tempfile.TemporaryDirectory() as folder:
        for source in options.sources:
            for budget in options.budgets.split(","):
                runs = train_all(source, budget, kinds, options.rounds, options.val_fraction, Path(folder))
                row = f"{Path(source).name}, {budget}"
                for kind in kinds:
                    record.add(row, kind, "nats per token", [loss for loss, _ in runs[kind]])
                networks = {kind: [network for _, network in runs[kind]] for kind in kinds}
                record.details[row] = networks
                medians = "".join(f"{statistics.median(loss for loss, _ in runs[kind]):10.4f}" for kind in kinds)
                print(f"{source[-24:]:24}{budget:>8}  {medians}   {'; '.join(networks[AUTOMATIC])}", flush=True)
    record.finish(options)


if __name__ == "__main__":
    main()
