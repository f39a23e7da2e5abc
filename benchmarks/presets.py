"""Do the settings that choose themselves learn more in the same time than every preset?

Run: ``python -m benchmarks.presets SOURCE [SOURCE ...] [--budgets 30s,2m] [--presets tiny,small,medium]``

Each SOURCE is what ``charlstm train`` reads: a file, or a name such as ``python:docs``. The command is started as a
person would, with nothing but the budget, then with each preset and the budget; all keep the last tenth of the text
for validation, of a large text better less (``--val-fraction``). The figures are nats per token of all of that, by the
weights that were saved; `auto` names the network that was chosen. A preset whose step is too slow for a first
evaluation is still scored at its end. The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.machine import machine
from charlstm.checkpoint.format import read

AUTO = "auto"


def trained(source: str, budget: str, preset: str, val: str, folder: Path) -> tuple[float, str]:
    """The validation loss of a run, and the shape of its network."""
    run = folder / f"{preset}-{budget}"
    command = [sys.executable, "-m", "charlstm", "train", source, "--max-time", budget, "--out", str(run), "--force"]
    command += ["--val-fraction", val, "--preview", "0", "-q"]
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
    options = parser.parse_args()
    kinds = [AUTO, *options.presets.split(",")]
    results: dict[str, dict[str, dict[str, float]]] = {}
    print(f"{'source':24}{'budget':>8}  " + "".join(f"{kind:>10}" for kind in kinds) + "   chosen")
    with tempfile.TemporaryDirectory() as name:
        for source in options.sources:
            for budget in options.budgets.split(","):
                found = {kind: trained(source, budget, kind, options.val_fraction, Path(name)) for kind in kinds}
                figures = "".join(f"{loss:10.4f}" for loss, _ in found.values())
                print(f"{source[-24:]:24}{budget:>8}  {figures}   {found[AUTO][1]}", flush=True)
                results.setdefault(source, {})[budget] = {kind: loss for kind, (loss, _) in found.items()}
    print(json.dumps({"benchmark": "presets", "results": results, **machine()}))


if __name__ == "__main__":
    main()
