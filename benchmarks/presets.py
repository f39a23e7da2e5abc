"""Do the settings that choose themselves learn more in the same time than every preset?

Run: ``python -m benchmarks.presets SOURCE [SOURCE ...] [--budgets 30s,2m] [--presets tiny,small,medium] [--rounds 3]``

Each SOURCE is what ``charlstm train`` reads: a file, or a name such as ``python:docs``. The command is started as a
person would, with nothing but the budget, then with each preset and the budget; all keep the last tenth of the text
for validation, of a large text better less (``--val-fraction``). The figures are nats per token of all of that, by the
weights that were saved; the end of a row has the networks of `auto`. A preset whose step is too slow for a first
evaluation is still scored at its end. With several rounds each has a seed of its own, all take turns, each
round begun by another, and the figures are medians: from run to run the same network may differ by 0.01. The last line
is one JSON object, with every figure, network and step.
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
    """The validation loss of a run; the shape of its network, and the step its weights are of."""
    run = folder / f"{preset}-{budget}"
    command = [sys.executable, "-m", "charlstm", "train", source, "--max-time", budget, "--out", str(run), "--force"]
    command += ["--seed", str(seed), "--val-fraction", val, "--preview", "0", "-q"]
    command += [] if preset == AUTO else ["--preset", preset]
    subprocess.run(command, check=True, stderr=subprocess.DEVNULL)
    checkpoint = read(run / "model.safetensors", kind="model")
    model = checkpoint.config["model"]
    networks = f"{model['ensemble']}×" if model["ensemble"] > 1 else ""
    shape = f"{networks}({model['num_layers']}×{model['hidden_size']})"
    return float(checkpoint.provenance["val_loss"]), f"{shape} at step {checkpoint.provenance['step']:,}"


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
    results: dict[str, dict[str, dict[str, list[tuple[float, str]]]]] = {}
    print(f"{'source':24}{'budget':>8}  " + "".join(f"{kind:>10}" for kind in kinds) + "   chosen")
    with tempfile.TemporaryDirectory() as name:
        for source in options.sources:
            for budget in options.budgets.split(","):
                runs: dict[str, list[tuple[float, str]]] = {kind: [] for kind in kinds}
                for number in range(options.rounds):
                    first = number % len(kinds)
                    for kind in kinds[first:] + kinds[:first]:
                        runs[kind].append(trained(source, budget, kind, number + 1, options.val_fraction, Path(name)))
                figures = "".join(f"{statistics.median(loss for loss, _ in found):10.4f}" for found in runs.values())
                chosen = "; ".join(shape for _, shape in runs[AUTO])
                print(f"{source[-24:]:24}{budget:>8}  {figures}   {chosen}", flush=True)
                results.setdefault(source, {})[budget] = runs
    print(json.dumps({"benchmark": "presets", "results": results, **machine()}))


if __name__ == "__main__":
    main()
