"""Measured figures, kept in ``benchmarks/results/NAME.jsonl``: one record per line, appended, never edited.

A record has the date (UTC), the commit (followed by ``+`` if what was measured differs from it), the machine, the
command as typed (files without their folders), the seeds, and the figures. Names of hosts and paths are not recorded.
A figure has the row and the column (``name``) of its table, a unit, and every measured value: medians are computed when
the results are rendered (`benchmarks.render`). ``details`` holds whatever else explains the figures.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shlex
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path, PurePath
from typing import Any

RESULTS = Path(__file__).resolve().parent / "results"
ROOT = RESULTS.parents[1]
"""The folder of the repository."""
NOT_MEASURED = (":(exclude)benchmarks/results", ":(exclude)docs", ":(exclude)*.md")
"""Changes to these files cannot change a figure."""


@dataclass(frozen=True)
class Figure:
    """The values measured for one cell of a table."""

    row: str
    name: str
    unit: str
    values: tuple[float, ...]


@dataclass
class Record:
    """One run of one benchmark."""

    benchmark: str
    date: str | None
    commit: str | None
    machine: dict[str, Any]
    command: str
    seeds: tuple[int, ...] = ()
    figures: list[Figure] = field(default_factory=list)
    details: dict[str, Any] = field(default_factory=dict)
    origin: str = ""
    """Empty, or the document the figures were copied from."""

    def add(self, row: str, name: str, unit: str, values: float | Sequence[float]) -> None:
        """Add one cell.

        Args:
            row: what was measured, such as ``2×256, batch 16``.
            name: who or which quantity, the column of the table.
            unit: in words, such as ``characters per second``.
            values: one, or one per round or seed.
        """
        several = [values] if isinstance(values, int | float) else values
        self.figures.append(Figure(row, name, unit, tuple(float(f"{value:.6g}") for value in several)))

    def show(self) -> None:
        """Print the means as a table."""
        names = list(dict.fromkeys(figure.name for figure in self.figures))
        rows = list(dict.fromkeys(figure.row for figure in self.figures))
        means = {(figure.row, figure.name): sum(figure.values) / len(figure.values) for figure in self.figures}
        first = max(map(len, rows), default=0)
        print(" " * first + "".join(f"{name:>19}" for name in names))
        for row in rows:
            cells = (means.get((row, name)) for name in names)
            print(f"{row:<{first}}" + "".join(f"{'':>19}" if cell is None else f"{cell:>19.3f}" for cell in cells))

    def to_json(self) -> str:
        """The record as one line; empty details and origin are left out."""
        fields = {key: value for key, value in asdict(self).items() if key not in ("details", "origin") or value}
        return json.dumps(fields, ensure_ascii=False, allow_nan=False)

    def finish(self, options: argparse.Namespace, folder: Path = RESULTS) -> None:
        """Print the record as the last line, and append it to its file unless the options say otherwise.

        Args:
            options: of a `parser`.
            folder: of the records.
        """
        line = self.to_json()
        print(line)
        if options.record:
            folder.mkdir(exist_ok=True)
            with (folder / f"{self.benchmark}.jsonl").open("a", encoding="utf-8") as file:
                file.write(line + "\n")


def load(benchmark: str, folder: Path = RESULTS) -> list[Record]:
    """The records of a benchmark, oldest first.

    Args:
        benchmark: its name.
        folder: of the records.
    """
    lines = (folder / f"{benchmark}.jsonl").read_text("utf-8").splitlines()
    records = []
    for line in lines:
        fields = json.loads(line)
        figures = [Figure(**{**figure, "values": tuple(figure["values"])}) for figure in fields.pop("figures")]
        records.append(Record(**{**fields, "seeds": tuple(fields["seeds"])}, figures=figures))
    return sorted(records, key=lambda record: record.date or "")


def parser(documentation: str | None) -> argparse.ArgumentParser:
    """A parser that shows the program's docstring as help and has the options all programs share."""
    made = argparse.ArgumentParser(description=documentation, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--no-record", dest="record", action="store_false", help="do not append to benchmarks/results")
    return made


def split_train_options(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """The program's own arguments, and those after ``--``, which are passed to ``charlstm train``."""
    own, separator, further = list(arguments), "--", []
    if separator in own:
        place = own.index(separator)
        own, further = own[:place], own[place + 1 :]
    return own, further


def begin(benchmark: str, seeds: Sequence[int] = ()) -> Record:
    """A record without figures, made when a benchmark starts: the commit is that of the code about to be measured.

    Args:
        benchmark: its name.
        seeds: of the run, where they are known already.
    """
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return Record(benchmark, now, commit(), machine(), command_line(benchmark, sys.argv[1:]), tuple(seeds))


def command_line(benchmark: str, arguments: Sequence[str]) -> str:
    """The command as typed, with files named without their folders.

    Args:
        benchmark: its name.
        arguments: as typed.
    """
    return shlex.join(["python", "-m", f"benchmarks.{benchmark}", *map(_without_folders, arguments)])


def _without_folders(argument: str) -> str:
    option, equals, value = argument.partition("=") if argument.startswith("--") else ("", "", argument)
    return option + equals + (PurePath(value).name or value)


def commit(folder: Path = ROOT) -> str | None:
    """The short hash of the commit checked out, with ``+`` if the code differs from it; None without git."""
    try:
        head = _git(folder, "rev-parse", "--short=7", "HEAD")
        changed = _git(folder, "status", "--porcelain", "--", ".", *NOT_MEASURED)
    except (OSError, subprocess.CalledProcessError):
        return None
    return head + "+" * bool(changed)


def _git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=folder, check=True, capture_output=True, text=True)
    return done.stdout.strip()


def machine() -> dict[str, Any]:
    """The processor, its usable cores, whether it computes in bf16, the GPU, and the versions that matter."""
    import torch

    from charlstm.cpu import cores

    processor, bf16 = _processor()
    return {
        "processor": processor,
        "cores": cores(),
        "bf16": bf16,
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "python": platform.python_version(),
        **{package: version(package) for package in ("torch", "numpy")},
    }


def _processor() -> tuple[str, bool]:
    """The model of the processor, with the numbers that tell generations apart, and whether it has bf16."""
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine(), False
    fields = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
    generation = f" (family {fields['cpu family']}, model {fields['model']})" if "cpu family" in fields else ""
    flags = (fields.get("flags") or fields.get("Features", "")).split()
    name = fields.get("model name", platform.machine()) + generation
    return name, any(flag.endswith("bf16") for flag in flags)


def threads_environment(threads: int) -> dict[str, str]:
    """The environment of a command whose products have this many threads."""
    return {**os.environ, "OMP_NUM_THREADS": str(threads)}
