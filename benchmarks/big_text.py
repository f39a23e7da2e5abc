"""Does a gigabyte of text train in the memory of a kilobyte?

Run: ``python -m benchmarks.big_text [--megabytes 1000] [--max-time 20s] [--folder /tmp]``

Writes a text of that size (lines of the bundled corpus in random order, numbered), trains on it with ``charlstm train``
from an empty cache, and reports the process's largest resident memory beside that of a process that only imports
torch. Memory-mapped pages count. The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.machine import machine
from charlstm.paths import corpora_folder


def write_text(path: Path, size: int) -> None:
    """A text of about ``size`` bytes in which no long passage stands twice."""
    lines = [line for file in sorted(corpora_folder().glob("*.txt")) for line in file.read_text("ascii").splitlines()]
    shuffled, number = random.Random(1), 0
    with path.open("w") as out:
        while out.tell() < size:
            block = []
            for line in shuffled.choices(lines, k=10_000):
                number += 1
                block.append(f"{number} {line}\n")
            out.write("".join(block))


def peak_memory(command: list[str], **environment: str) -> tuple[int, float]:
    """Bytes of the largest resident set of a command, and its seconds."""
    began = time.monotonic()
    process = subprocess.Popen(command, env={**os.environ, **environment}, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} ended with {process.returncode}")
    return usage.ru_maxrss * 1024, time.monotonic() - began


def main() -> None:
    """Write, train, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--megabytes", type=int, default=1000)
    parser.add_argument("--max-time", default="20s")
    parser.add_argument("--folder", default=None)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        text = Path(folder) / "big.txt"
        write_text(text, arguments.megabytes * 1_000_000)
        size = text.stat().st_size
        bare, _ = peak_memory([sys.executable, "-c", "import torch"])
        train = [sys.executable, "-m", "charlstm", "train", str(text), "--max-time", arguments.max_time]
        run = ["--out", str(Path(folder) / "run"), "--json"]
        peak, seconds = peak_memory([*train, *run], CHARLSTM_CACHE=str(Path(folder) / "cache"))
    figures = {
        "text_mb": round(size / 1e6),
        "torch_alone_mb": round(bare / 1e6),
        "training_mb": round(peak / 1e6),
        "above_mb": round((peak - bare) / 1e6),
        "command_seconds": round(seconds, 1),
    }
    for name, value in figures.items():
        print(f"{name:<18}{value}")
    print(json.dumps({"benchmark": "big_text", **figures, "max_time": arguments.max_time, **machine()}))


if __name__ == "__main__":
    main()
