"""A process that changes files where a change leads to code that no file before it has reached.

``python -m tests.torture.guided KIND FOLDER COUNT [SEED]`` reads COUNT files. The changes are those of
`tests.torture.mutations`; Atheris, a fuzzer that watches which lines of charlstm run, keeps each file that reaches new
ones and changes it further. What is wrong with a file is printed as a line of JSON that holds the file; the last line
says how many ended in which way, and how many files reached something new.
"""

from __future__ import annotations

import atexit
import base64
import random
import sys
import tempfile
from collections import Counter
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["charlstm"]):
    from tests.torture import mutations
    from tests.torture.hostile_child import Reader, report

LONGEST = 1 << 22
"""Bytes of a file, at most."""


def main(name: str, folder: Path, count: int, seed: int = 1) -> None:
    """Read files of a kind until they are as many as asked for; never returns."""
    with atheris.instrument_imports(include=["charlstm"]):  # what is imported only where it is used
        reader = Reader(name, folder)
    ended = Counter[str]()
    seeds = Path(tempfile.mkdtemp(dir=folder))
    for number, (_, data) in enumerate(reader.whole):
        (seeds / str(number)).write_bytes(_numbered(number, data))

    def read(numbered: bytes) -> None:
        number, data = _taken_apart(numbered, len(reader.whole))
        place = reader.whole[number][0]
        how, wrong = reader.read(place, data)
        ended[how.partition(":")[0]] += 1
        if wrong:
            report(file=place, wrong=wrong, data=base64.b64encode(data).decode())

    def change(numbered: bytes, longest: int, chosen: int) -> bytes:
        number, data = _taken_apart(numbered, len(reader.whole))
        chance = random.Random(chosen)
        try:
            changed = reader.kind.change(chance, data)
        except Exception:  # what earlier changes left can only be changed as bytes
            changed = mutations.bytes_changed(chance, data)
        return _numbered(number, changed)[:longest]

    def tell() -> None:
        reader.put_back()
        report(ended=ended, reached=len(list(seeds.iterdir())) - len(reader.whole))

    atexit.register(tell)
    limits = [f"-atheris_runs={count}", f"-seed={seed}", f"-max_len={LONGEST}", "-rss_limit_mb=0", "-timeout=60"]
    atheris.Setup([sys.argv[0], *limits, str(seeds)], read, custom_mutator=change)
    atheris.Fuzz()


def _numbered(number: int, data: bytes) -> bytes:
    """A file, and before it which of the whole ones it is in the place of."""
    return bytes([number]) + data


def _taken_apart(numbered: bytes, count: int) -> tuple[int, bytes]:
    return (numbered[0] % count if numbered else 0), numbered[1:]


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), *map(int, sys.argv[3:]))
