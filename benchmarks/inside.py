"""How long does each view of a network take, and how much memory?

Run: ``python -m benchmarks.inside [--hidden-size 512] [--num-layers 1] [--rounds 5] [--megabytes 100]``

The network has random weights of the given shape and the bundled text's alphabet: what a view costs does not depend on
what was learned. Each command is a process of its own, JSON to nowhere: its seconds and its largest resident memory are
those of a person's command, with the start of Python and torch, which the row "nothing but the start" has alone. The
first row is the data behind the views: a trace of 200 characters, in this process, in milliseconds.

``originality`` compares 2,000 characters with a text of so many megabytes: the bundled one's words in a random order.
``report`` is of a run of 200 steps on the bundled text.
"""

from __future__ import annotations

import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from numpy.typing import NDArray

from benchmarks import records
from charlstm.checkpoint.format import Checkpoint, write
from charlstm.checkpoint.provenance import Provenance
from charlstm.config import RunConfig
from charlstm.corpora.catalogue import bundled
from charlstm.inspect.trace import trace
from charlstm.nn.architecture import Architecture
from charlstm.nn.model import CharLM
from charlstm.tokenizers import CharTokenizer

VIEWS = ("step", "gates", "surprise", "embeddings", "units", "memory", "attention", "votes")
_TRACED, _WRITTEN = 200, 2000
"""Characters that are traced, and that are compared with a large text."""
_MIB = 1 << 20
_RSS_UNIT = 1 if sys.platform == "darwin" else 1024
"""Bytes of the unit of ``ru_maxrss``."""
_WATCH = """
import os, subprocess, sys, time
start = time.perf_counter()
process = subprocess.Popen(sys.argv[1:], stdout=subprocess.DEVNULL)
_, status, usage = os.wait4(process.pid, 0)
print(time.perf_counter() - start, usage.ru_maxrss)
sys.exit(os.waitstatus_to_exitcode(status))
"""
"""Runs a command and prints its seconds and memory. A process counts the memory of the one that started it, up to its
own start, as its own: so it is started by this small one."""


def main() -> None:
    """Measure, print, record."""
    parser = records.parser(__doc__)
    parser.add_argument("--hidden-size", type=int, default=512)
    parser.add_argument("--num-layers", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--megabytes", type=int, default=100)
    options = parser.parse_args()
    record = records.begin("inside")
    text = "".join(path.read_text("utf-8") for path in bundled().values())
    tokenizer = CharTokenizer("".join(sorted(set(text))))
    shape = f"{options.num_layers}×{options.hidden_size}"
    settings = {"vocab_size": tokenizer.vocab_size, "num_layers": options.num_layers,
                "hidden_size": options.hidden_size, "ngram_order": 6, "ngram_buckets": 1 << 16}  # fmt: skip
    model = CharLM(Architecture.from_settings(settings)).eval()
    ids = tokenizer.encode(text[:_TRACED])
    record.add(f"trace of {_TRACED} characters, {shape}", "milliseconds", "milliseconds", [
        _milliseconds(model, ids) for _ in range(options.rounds)
    ])  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        (place / "text.txt").write_text(text, "utf-8")
        commands = {"nothing but the start": ["-c", "import torch"]}
        large = f"{_WRITTEN:,} characters beside {options.megabytes} MB"
        commands[f"originality, {large}"] = _originality(place, text, options.megabytes)
        commands["report"] = _report(place)
        for view in VIEWS:
            extra = {"attention": {"attention_window": 64}, "votes": {"ensemble": 4}}.get(view, {})
            _write(place / f"{view}.safetensors", settings | extra, tokenizer)
            commands[view] = ["-m", "charlstm", "inspect", view, f"{view}.safetensors", "--file", "text.txt", "--json"]
        measured: dict[str, list[tuple[float, float]]] = {name: [] for name in commands}
        for _ in range(options.rounds):
            for name, command in commands.items():
                measured[name].append(_run(command, place))
    for name, values in measured.items():
        row = f"{name}, {shape}" if name in VIEWS else name
        record.add(row, "whole command", "seconds", [seconds for seconds, _ in values])
        record.add(row, "memory", "MiB", [memory for _, memory in values])
    record.show()
    record.finish(options)


def _originality(folder: Path, text: str, megabytes: int) -> list[str]:
    """The command that compares the beginning of a text with a large one, which is written here."""
    words, rng = text.split(" "), random.Random(1)
    (folder / "written.txt").write_text(text[:_WRITTEN], "utf-8")
    with (folder / "large.txt").open("w", encoding="utf-8") as large:
        while large.tell() < megabytes * 1_000_000:
            large.write(" ".join(rng.choices(words, k=100_000)) + "\n")
    return ["-m", "charlstm", "originality", "written.txt", "--source", "large.txt", "--json"]


def _report(folder: Path) -> list[str]:
    """The command that reports on a run, which is trained here."""
    settings = [
        "--max-steps",
        "200",
        "--hidden-size",
        "64",
        "--init-from",
        "none",
        "--no-report",
        "-q",
        "--name",
        "run",
    ]
    _run(["-m", "charlstm", "train", "text.txt", *settings], folder)
    return ["-m", "charlstm", "report", "run", "--json"]


def _milliseconds(model: CharLM, ids: NDArray[Any]) -> float:
    start = time.perf_counter()
    trace(model, ids)
    return 1000 * (time.perf_counter() - start)


def _write(path: Path, settings: dict[str, object], tokenizer: CharTokenizer) -> None:
    torch.manual_seed(1)
    model = CharLM(Architecture.from_settings(settings))
    run = RunConfig(name=path.stem, model=model.architecture)
    write(path, Checkpoint("model", model.to_tensors(), run, tokenizer.to_state(), Provenance()))


def _run(arguments: list[str], folder: Path) -> tuple[float, float]:
    """The seconds of a command, and its largest resident memory in MiB."""
    done = subprocess.run(
        [sys.executable, "-c", _WATCH, sys.executable, *arguments], cwd=folder, capture_output=True, text=True
    )
    if done.returncode:
        raise SystemExit(f"{' '.join(arguments)} ended with {done.returncode}: {done.stderr}")
    seconds, memory = done.stdout.split()
    return float(seconds), int(memory) * _RSS_UNIT / _MIB


if __name__ == "__main__":
    main()
