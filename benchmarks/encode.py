"""How fast a large text becomes ids, and in how much memory.

Run: ``python -m benchmarks.encode [--megabytes 1024] [--folder /tmp]``

Makes a file of each kind in the folder, encodes it from a cold cache of ours (the system's own file cache is warm), and
removes it. MB/s are bytes of the file over the whole of `encode`: both passes, hashing, and the flush to the disk. On a
busy machine the CPU seconds tell more.
Memory is the peak of a fresh process over what the interpreter has with NumPy and charlstm loaded. The last line is one
JSON object.
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.machine import machine

KINDS = ("ascii", "typographic", "chinese")
CORPUS = Path(__file__).parents[1] / "corpora"


def make(path: Path, kind: str, size: int) -> None:
    """Write about ``size`` bytes: shuffled lines of the bundled corpus, with or without signs beyond ASCII."""
    rng = random.Random(1)
    lines = [line for file in sorted(CORPUS.glob("*.txt")) for line in file.read_text("utf-8").splitlines(True)]
    lines = ["".join(c for c in line if c.isascii()) for line in lines]
    if kind == "typographic":
        lines = [line.replace("'", "’").replace(" a ", " “à” ") for line in lines]
    if kind == "chinese":
        lines = ["".join(chr(0x4E00 + rng.randrange(3000)) for _ in line) + "\n" for line in lines]
    blocks = ["".join(rng.sample(lines, len(lines))).encode() for _ in range(16)]
    written = 0
    with path.open("wb") as file:
        while written < size:
            written += file.write(rng.choice(blocks))


def measure(path: Path, tokenizer: str) -> dict[str, float]:
    """Encode in this process; called in a fresh one."""
    from charlstm.config import DataConfig
    from charlstm.corpora.encode import encode
    from charlstm.corpora.sources import open_sources

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        cache = Path(folder)
        data = DataConfig(sources=(str(path),), tokenizer=tokenizer)  # type: ignore[arg-type]
        corpus = open_sources(data.sources, cache=cache)
        seconds, busy = [time.perf_counter()], time.process_time()
        encoded = encode(corpus, data, cache)
        seconds.append(time.perf_counter())
        busy = time.process_time() - busy
        encode(corpus, data, cache)
        seconds.append(time.perf_counter())
        after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {
        "megabytes": corpus.size / 1e6,
        "mb_per_s": corpus.size / 1e6 / (seconds[1] - seconds[0]),
        "mb_per_cpu_s": corpus.size / 1e6 / busy,
        "cached_mb_per_s": corpus.size / 1e6 / (seconds[2] - seconds[1]),
        "peak_mb": (after - before) / 1024,
        "tokens": len(encoded.ids),
    }


def main() -> None:
    """Measure each kind of text, each in its own process."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megabytes", type=int, default=1024)
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()))
    parser.add_argument("--only", choices=KINDS)
    parser.add_argument("--measure", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        print(json.dumps(measure(Path(options.measure[0]), options.measure[1])))
        return
    results: dict[str, dict[str, float]] = {}
    for kind in [options.only] if options.only else KINDS:
        path = options.folder / f"charlstm-benchmark-{kind}.txt"
        try:
            make(path, kind, options.megabytes * 1_000_000)
            for tokenizer in ("char", "byte") if kind == "ascii" else ("char",):
                command = [sys.executable, "-m", "benchmarks.encode", "--measure", str(path), tokenizer]
                done = subprocess.run(command, check=True, capture_output=True, text=True)
                figures = results[f"{kind}, {tokenizer}"] = json.loads(done.stdout)
                print(
                    f"{kind:12s} {tokenizer:5s} {figures['megabytes']:6.0f} MB: {figures['mb_per_s']:5.0f} MB/s "
                    f"({figures['mb_per_cpu_s']:4.0f} MB a CPU second), "
                    f"cached {figures['cached_mb_per_s']:5.0f} MB/s, peak {figures['peak_mb']:5.1f} MB over the start"
                )
        finally:
            path.unlink(missing_ok=True)
    print(json.dumps({"benchmark": "encode", "results": results, **machine()}))


if __name__ == "__main__":
    main()
