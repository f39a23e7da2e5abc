"""How low is the validation loss after ``charlstm train FILE --max-time T`` with default settings?

Run: ``python -m benchmarks.val_loss FILE [--max-time 70s] [--init-from starter] [-- OPTIONS OF TRAIN]``

The command is started with nothing but the budget and what it begins from: random weights, unless ``--init-from``
names the starter, which has read English books. Then the checkpoint it wrote scores
every character of the validation text: the last tenth, or less of a text of more than two million characters (give
``-- --val-fraction 0.1`` there to compare budgets):

- ``stateful``: one pass in order, the state carried from the first character to the last;
- ``windows of 256``: nanoGPT's protocol, each window from a zero state, all positions averaged;
- ``reported``: the loss in the checkpoint's own provenance.

The last line is the record of the run as JSON.
"""

from __future__ import annotations

import math
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks import records
from benchmarks.runs import CHARLSTM, validation_loss
from charlstm.config import SECTIONS


def main() -> None:
    """Train, score, print, record."""
    parser = records.parser(__doc__)
    parser.add_argument("file", type=Path)
    parser.add_argument("--max-time", default="70s")
    parser.add_argument("--init-from", default="none", help="none, or starter")
    own, train_options = records.split_train_options(sys.argv[1:])
    options = parser.parse_args(own)
    record = records.begin("val_loss")
    text = options.file.read_text("utf-8")
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder) / "run"
        begin = ["--init-from", options.init_from]
        command = [*CHARLSTM, "train", str(options.file), "--max-time", options.max_time, *begin, *train_options]
        began = time.monotonic()
        subprocess.run([*command, "--out", str(run)], check=True)
        seconds = time.monotonic() - began
        trained, loss = validation_loss(run, text)
    provenance = trained.provenance
    start = [] if options.init_from == "none" else [f"from {options.init_from}"]
    row = " ".join([options.file.name, options.max_time, *start, *train_options])
    nats = "nats per character" if trained.config.data.tokenizer == "char" else "nats per token"
    record.add(row, "stateful", nats, loss.stateful)
    record.add(row, "windows of 256", nats, loss.windows)
    record.add(row, "reported", nats, provenance.val_loss or math.nan)
    record.add(row, "whole command", "seconds", seconds)
    record.add(row, "step of the weights", "steps", provenance.step or 0)
    record.seeds = (trained.config.train.seed,)
    record.details = {section: trained.config.to_plain()[section] for section in SECTIONS}
    record.details["data"] = {**record.details["data"], "sources": [options.file.name]}
    print(trained.generate(length=400, seed=1), end="\n\n")
    for figure in record.figures:
        print(f"{figure.name:<22}{figure.values[0]:>12,.6g} {figure.unit}")
    record.finish(options)


if __name__ == "__main__":
    main()
