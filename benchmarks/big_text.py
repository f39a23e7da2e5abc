"""Does a gigabyte of text train in constant memory?

Run: ``python -m benchmarks.big_text [--megabytes 1000] [--max-time 20s] [--folder PATH]``

Writes a text of that size to the folder (numbered lines of the bundled corpus in random order), trains on it with
``charlstm train`` from an empty cache, and compares the largest resident memory of the process with that of a process
that only imports torch. Memory-mapped pages count. The last line is the record of the run as JSON.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks import records
from benchmarks.runs import TRAIN
from charlstm.paths import corpora_folder


def write_text(path: Path, size: int) -> None:
    """Write a text of about ``size`` bytes in which no long passage occurs twice.

    Args:
        path: the file to write.
        size: bytes, about.
    """
    lines = [line for file in sorted(corpora_folder().glob("*.txt")) for line in file.read_text("ascii").splitlines()]
    shuffled, number = random.Random(1), 0
    with path.open("w") as out:
        while out.tell() < size:
            block = []
            for line in shuffled.choices(lines, k=10_000):
                number += 1
                block.append(f"{number} {line}\n")
            out.write("".join(block))


def peak_memory(command: list[str], **environment: str) -> tuple[float, float]:
    """The largest resident set of a command, in megabytes, and its seconds; further arguments are environment."""
    began = time.monotonic()
    process = subprocess.Popen(command, env={**os.environ, **environment}, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"charlstm ended with exit code {process.returncode}")
    return usage.ru_maxrss * 1024 / 1e6, time.monotonic() - began


def main() -> None:
    """Write, train, print, record."""
    parser = records.parser(__doc__)
    parser.add_argument("--megabytes", type=int, default=1000)
    parser.add_argument("--max-time", default="20s")
    parser.add_argument("--folder", default=None)
    options = parser.parse_args()
    record = records.begin("big_text")
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        text = Path(folder) / "big.txt"
        write_text(text, options.megabytes * 1_000_000)
        torch_alone, _ = peak_memory([sys.executable, "-c", "import torch"])
        train = [*TRAIN, str(text), "--max-time", options.max_time, "--out", str(Path(folder) / "run")]
        peak, seconds = peak_memory([*train, "--json"], CHARLSTM_CACHE=str(Path(folder) / "cache"))
    row = f"{options.megabytes:,} MB of text"
    record.add(row, "charlstm train", "MB", peak)
    record.add(row, "import torch", "MB", torch_alone)
    record.add(row, "difference", "MB", peak - torch_alone)
    record.add(row, "whole command", "seconds", seconds)
    for figure in record.figures:
        print(f"{figure.name:<18}{figure.values[0]:>8,.0f} {figure.unit}")
    record.finish(options)


if __name__ == "__main__":
    main()
