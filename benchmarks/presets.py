"""Do the settings that choose themselves learn more in the same time than every preset?

Run: ``python -m benchmarks.presets SOURCE [SOURCE ...] [--budgets 30s,2m] [--presets tiny,small,medium] [--rounds 3]``

Each SOURCE is what ``charlstm train`` reads: a file, or a name such as ``python:docs``. The command is started as a
person would, with nothing but the budget, then with each preset and the budget; all keep the last tenth of the text
for validation, of a large text better less (``--val-fraction``). The figures are nats per token of all of that, by the
weights that were saved; `auto` names the network that was chosen. A preset whose step is too slow for a first
evaluation is still scored at its end. With several rounds each has a seed of its own, all take turns, and the figures
are medians: in one round the same network may differ by 0.01, by its seed and the machine's pace. The last line is one
JSON object, with the figures of every round.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.machine import machine
from charlstm.checkpoint.format import read

AUTO = "auto"


def trained(source: str, budget: str, preset: str, seed: int, val: str, folder: Path) -> tuple[float, str]:
    """The validation loss of a run, and the shape of its network."""
    run = folder / f"{preset}-{budget}"
    command = [sys.executable, "-m", "charlstm", "train", source, "--max-time", budget, "--out", str(run), "--force"]
    command += ["--seed", str(seed), "--val-fraction", val, "--preview", "0", "-q"]
    command += [] if preset == AUTO else ["--preset", preset]
    subprocess.run(command, check=True, stderr=subprocess.DEVNULL)
    checkpoint = read(run / "model.safetensors", kind="model")
    model = checkpoint.config["model"]
    networks = f"{model['ensemble']}×" if model["ensemble"] > 1 else ""
    return float(checkpoint.provenance["val_loss"]), f"{networks}({model['num_layers']}×{model['hidden_size']})"


def main() -> None:
    """Train each, print a table, and one JSON line last."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("sources", nargs="+")
    parser.add_argument("--budgets", default="30s,2m")
    parser.add_argument("--presets", default="tiny,small,medium,large,char-rnn")
    parser.add_argument("--val-fraction", default="0.1")
    parser.add_argument("--rounds", type=int, default=1)
    options = parser.parse_args()
    kinds = [AUTO, *options.presets.split(",")]
    results: dict[str, dict[str, dict[str, list[float]]]] = {}
    print(f"{'source':24}{'budget':>8}  " + "".join(f"{kind:>10}" for kind in kinds) + "   chosen")
    with tempfile.TemporaryDirectory() as name:
        for source in options.sources:
            for budget in options.budgets.split(","):
                losses: dict[str, list[float]] = {kind: [] for kind in kinds}
                chosen: set[str] = set()
                for seed in range(1, options.rounds + 1):
                    for kind in kinds:
                        loss, shape = trained(source, budget, kind, seed, options.val_fraction, Path(name))
                        losses[kind].append(loss)
                        if kind == AUTO:
                            chosen.add(shape)
                figures = "".join(f"{statistics.median(found):10.4f}" for found in losses.values())
                print(f"{source[-24:]:24}{budget:>8}  {figures}   {', '.join(sorted(chosen))}", flush=True)
                results.setdefault(source, {})[budget] = losses
    print(json.dumps({"benchmark": "presets", "results": results, **machine()}))


if __name__ == "__main__":
    main()
