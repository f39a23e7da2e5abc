"""How fast does a large text become token ids, and in how much memory?

Run: ``python -m benchmarks.encode [--megabytes 1024] [--folder PATH] [--only ascii]``

Writes a file of each kind to the folder, encodes it into an empty cache (the system's own file cache is warm), and
removes it. MB/s are bytes of the file over the time of all of `encode`: both passes, hashing, and the flush to the
disk; on a busy machine MB per CPU second is the better figure. Memory is the peak of a new process above what the
interpreter has with NumPy and charlstm loaded. The last line is the record of the run as JSON.
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

from benchmarks import records
from charlstm.paths import corpora_folder

KINDS = ("ascii", "typographic", "chinese")


def write_text(path: Path, kind: str, size: int) -> None:
    """Write about ``size`` bytes: shuffled lines of the bundled corpus, with or without characters beyond ASCII.

    Args:
        path: the file to write.
        kind: one of `KINDS`.
        size: bytes, about.
    """
    rng = random.Random(1)
    texts = [file.read_text("utf-8") for file in sorted(corpora_folder().glob("*.txt"))]
    lines = ["".join(c for c in line if c.isascii()) for text in texts for line in text.splitlines(True)]
    if kind == "typographic":
        lines = [line.replace("'", "’").replace(" a ", " “à” ") for line in lines]
    if kind == "chinese":
        lines = ["".join(chr(0x4E00 + rng.randrange(3000)) for _ in line) + "\n" for line in lines]
    blocks = ["".join(rng.sample(lines, len(lines))).encode() for _ in range(16)]
    written = 0
    with path.open("wb") as file:
        while written < size:
            written += file.write(rng.choice(blocks))


def measure(path: Path, tokenizer: str) -> dict[str, tuple[str, float]]:
    """Encode in this process, which must be a new one: figure → unit and value.

    Args:
        path: the text; its folder also holds the cache.
        tokenizer: ``char`` or ``byte``.
    """
    from charlstm.config import DataConfig
    from charlstm.corpora.encode import encode
    from charlstm.corpora.sources import open_sources
    from charlstm.schemas import parse

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        cache = Path(folder)
        data = parse(DataConfig, {"sources": [str(path)], "tokenizer": tokenizer})
        corpus = open_sources(data.sources, cache=cache)
        seconds, busy = [time.perf_counter()], time.process_time()
        encode(corpus, data, cache)
        seconds.append(time.perf_counter())
        busy = time.process_time() - busy
        encode(corpus, data, cache)
        seconds.append(time.perf_counter())
        after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    megabytes = corpus.size / 1e6
    return {
        "encoding": ("MB/s", megabytes / (seconds[1] - seconds[0])),
        "per CPU": ("MB per CPU second", megabytes / busy),
        "from the cache": ("MB/s", megabytes / (seconds[2] - seconds[1])),
        "peak memory": ("MB above the start", (after - before) / 1024),
    }


def main() -> None:
    """Measure each kind of text, each in a process of its own; print, record."""
    parser = records.parser(__doc__)
    parser.add_argument("--megabytes", type=int, default=1024)
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()))
    parser.add_argument("--only", choices=KINDS)
    parser.add_argument("--measure", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        print(json.dumps(measure(Path(options.measure[0]), options.measure[1])))
        return
    record = records.begin("encode")
    for kind in [options.only] if options.only else KINDS:
        path = options.folder / f"charlstm-benchmark-{kind}.txt"
        try:
            write_text(path, kind, options.megabytes * 1_000_000)
            for tokenizer in ("char", "byte") if kind == "ascii" else ("char",):
                command = [sys.executable, "-m", "benchmarks.encode", "--measure", str(path), tokenizer]
                done = subprocess.run(command, check=True, capture_output=True, text=True)
                row = f"{options.megabytes:,} MB, {kind}, {tokenizer}"
                for name, (unit, value) in json.loads(done.stdout).items():
                    record.add(row, name, unit, value)
                    print(f"{row}: {name} {value:,.0f} {unit}")
        finally:
            path.unlink(missing_ok=True)
    record.finish(options)


if __name__ == "__main__":
    main()
