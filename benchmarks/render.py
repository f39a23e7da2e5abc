"""Render the records of all benchmarks: ``docs/RESULTS.md``, and the figures in README.md.

Run: ``python -m benchmarks.render``

A cell is the median of all values measured at one commit on one machine; a row shows its newest commit only, so that
all figures of a row can be compared. Pages that have the two markers get the short table of `README_ROWS` between them.
"""

from __future__ import annotations

import argparse
import ast
import math
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks import records
from benchmarks.records import ROOT, Record

BEGIN, END = "<!-- results -->", "<!-- /results -->"
BEFORE_RECORDS = "before records"

ORDER = (
    "time_to_loss", "val_loss", "presets", "depth", "held_out", "starts", "writing", "kinds", "cloze",
    "train_throughput", "cells", "sampling", "scoring", "filters", "fan", "start_up", "inside", "exports", "page",
    "frames", "serve", "big_text", "encode", "memory", "scaling", "torture",
)  # fmt: skip

HEAD = f"""# Results

Rendered from `benchmarks/results/*.jsonl` by `python -m benchmarks.render`; do not edit. A figure is the median of all
values measured at one commit on one machine (the column "values" has their number); a row shows its newest commit only.
The records keep every value, and the older rows. `+` after a commit: the code differed from that commit.

† copied from the [log](decisions/archive.md) and the notes that were kept before there were records (a value there may
be a median of several rounds); the commit is the last that changed the package before the figure was logged. Where that
cannot be told, the row says "{BEFORE_RECORDS}".
**Stateful** is one pass with the state carried over the whole text; **windows of 256** start from a zero state.
"""


@dataclass
class Measured:
    """All that was measured at one commit on one machine: (row, name) → values, and where they come from."""

    machine: dict[str, Any]
    commit: str
    date: str = ""
    values: dict[tuple[str, str], list[float]] = field(default_factory=dict)
    units: dict[str, str] = field(default_factory=dict)
    commands: dict[str, str] = field(default_factory=dict)

    def add(self, record: Record) -> None:
        """Add a record of the same commit and machine."""
        self.date = max(self.date, record.date or "")
        for figure in record.figures:
            self.values.setdefault((figure.row, figure.name), []).extend(figure.values)
            self.units[figure.name] = figure.unit
            self.commands[figure.row] = record.command

    @property
    def rows(self) -> list[str]:
        """The rows, in the order they were measured."""
        return list(dict.fromkeys(row for row, _ in self.values))

    def median(self, row: str, name: str) -> float | None:
        """The median of a cell; None if it was not measured.

        Args:
            row: of the table.
            name: of the column.
        """
        values = self.values.get((row, name))
        return statistics.median(values) if values else None

    def count(self, row: str) -> str:
        """How many values the cells of a row have, as ``3`` or ``1–3``."""
        counts = [len(values) for (at, _), values in self.values.items() if at == row]
        return str(counts[0]) if min(counts) == max(counts) else f"{min(counts)}–{max(counts)}"


def describe(machine: dict[str, Any]) -> str:
    """A machine in words; different versions of torch are one machine."""
    gpu = f", {machine['gpu']}" if machine.get("gpu") else ""
    return f"{machine['processor']}, {machine['cores']} cores, {'bf16' if machine['bf16'] else 'no bf16'}{gpu}"


def group(history: Sequence[Record]) -> list[Measured]:
    """The records of a benchmark by commit and machine, newest first.

    Args:
        history: oldest first.
    """
    groups: dict[tuple[str, str], Measured] = {}
    for record in history:
        name = f"{record.commit}{'†' if record.origin else ''}" if record.commit else BEFORE_RECORDS
        key = describe(record.machine), record.commit or f"{BEFORE_RECORDS} {record.date}"
        groups.setdefault(key, Measured(record.machine, name)).add(record)
    newest_first = [*groups.values()][::-1]  # of one date, the one recorded last
    newest_first.sort(key=lambda measured: measured.date, reverse=True)
    return newest_first


def number(value: float) -> str:
    """A figure with five digits, or as a whole number from 1,000 on."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.5g}"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table.

    Args:
        head: the names of the columns.
        rows: their cells.
    """
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def machine_tables(groups: Sequence[Measured]) -> Iterator[str]:
    """For each machine: its name, the table of its newest figures, and the commands.

    Args:
        groups: of one benchmark, newest first.
    """
    for machine in dict.fromkeys(describe(measured.machine) for measured in groups):
        newest = {  # later entries replace earlier ones, and keep their place
            row: measured
            for measured in reversed(groups)
            if describe(measured.machine) == machine
            for row in measured.rows
        }
        names = list(dict.fromkeys(name for row, at in newest.items() for r, name in at.values if r == row))
        units = {name: next(at.units[name] for at in newest.values() if name in at.units) for name in names}
        shared = set(units.values()) if len(set(units.values())) == 1 else set()
        yield f"### {machine}\n"
        yield from (f"In {unit}.\n" for unit in shared)
        told = (name if shared or name == units[name] else f"{name} ({units[name]})" for name in names)
        head = ["", *told, "values", "commit", "date"]
        yield table(head, [_cells(row, at, names) for row, at in newest.items()]) + "\n"
        yield "```console"
        yield from dict.fromkeys(f"$ {at.commands[row]}" for row, at in newest.items())
        yield "```\n"


def samples(history: Sequence[Record]) -> Iterator[str]:
    """What the networks of a benchmark wrote, where its records keep that: the newest of each row.

    Args:
        history: oldest first.
    """
    newest: dict[str, str] = {}
    for record in history:
        newest |= record.details.get("samples", {})
    for row, text in newest.items():
        yield f"**{row}**\n"
        yield "~~~text"
        yield text.rstrip("\n").replace("~~~", "~ ~ ~")
        yield "~~~\n"


def _cells(row: str, measured: Measured, names: Sequence[str]) -> list[str]:
    medians = [measured.median(row, name) for name in names]
    cells = ["–" if median is None else number(median) for median in medians]
    return [row, *cells, measured.count(row), measured.commit, measured.date[:10]]


def question(benchmark: str) -> str:
    """The first line of the program's docstring, read without importing it."""
    source = (ROOT / "benchmarks" / f"{benchmark}.py").read_text("utf-8")
    return (ast.get_docstring(ast.parse(source)) or benchmark).partition("\n")[0].replace("``", "`")


def notes(benchmark: str) -> list[str]:
    """What a reader of its tables has to know: the paragraphs of the program's docstring that begin with "Note:"."""
    source = (ROOT / "benchmarks" / f"{benchmark}.py").read_text("utf-8")
    paragraphs = (ast.get_docstring(ast.parse(source)) or "").split("\n\n")
    return [each.replace("``", "`") + "\n" for each in paragraphs if each.startswith("Note: ")]


def results_page(folder: Path = records.RESULTS) -> str:
    """The whole of ``docs/RESULTS.md``."""
    parts = [HEAD]
    for benchmark in (name for name in ORDER if (folder / f"{name}.jsonl").exists()):
        history = records.load(benchmark, folder)
        parts += [f"## {question(benchmark)}\n", *notes(benchmark), *machine_tables(group(history)), *samples(history)]
    return "\n".join(parts).rstrip("\n") + "\n"


@dataclass(frozen=True)
class ReadmeRow:
    """One line of the README's table: a cell of ours beside one of another program, measured in one run."""

    question: str
    benchmark: str
    row: str
    ours: str
    theirs: str
    their_name: str
    unit: str
    scale: float = 1.0
    their_row: str = ""
    """The row of the other program, where it is not the same."""


SHAKESPEARE = "tinyshakespeare.txt, the time nanoGPT takes"
TRAINING = "2×256, batch 16, embedding 64"
README_ROWS = (
    ReadmeRow("bits per character after 2 minutes of Shakespeare (lower is better)",
              "time_to_loss", SHAKESPEARE, "charlstm, windows of 256", "nanoGPT, windows of 64", "nanoGPT", "",
              scale=1 / math.log(2)),
    ReadmeRow("learning, 2 layers of 256", "train_throughput", f"{TRAINING}, bf16", "charlstm, SOAP",
              "char-rnn.pytorch", "char-rnn.pytorch", "characters/s", their_row=f"{TRAINING}, fp32"),
    ReadmeRow("writing, 2 layers of 256", "sampling", "2×256", "charlstm", "char-rnn.pytorch",
              "char-rnn.pytorch", "characters/s"),
    ReadmeRow("memory to learn from 1 GB of text", "big_text", "1,000 MB of text", "charlstm train", "import torch",
              "PyTorch alone", "MB"),
)  # fmt: skip


def readme_block(folder: Path = records.RESULTS, rows: Sequence[ReadmeRow] = README_ROWS) -> str:
    """The table between the markers, without them.

    Args:
        folder: of the records.
        rows: the comparisons to show.
    """
    lines = []
    for row in rows:
        ours, theirs, measured = _newest_with_both(row, group(records.load(row.benchmark, folder)))
        other = f"{_short(theirs * row.scale, row.unit)} ({row.their_name})"
        lines.append([row.question, _short(ours * row.scale, row.unit), other, measured.commit.rstrip("†")])
    return table(["", "charlstm", "compared with", "commit"], lines)


def _newest_with_both(row: ReadmeRow, groups: Sequence[Measured]) -> tuple[float, float, Measured]:
    for measured in groups:
        ours = measured.median(row.row, row.ours)
        theirs = measured.median(row.their_row or row.row, row.theirs)
        if ours is not None and theirs is not None:
            return ours, theirs, measured
    raise SystemExit(f"{row.benchmark}: no record has both {row.ours!r} and {row.theirs!r}")


def _short(value: float, unit: str) -> str:
    digits = f"{value:,.0f}" if value >= 100 else f"{value:.2f}"
    return f"{digits} {unit}".strip()


def pages(root: Path = ROOT) -> list[Path]:
    """The pages that have the markers."""
    return [page for page in sorted([*root.glob("*.md"), *root.glob("docs/*.md")]) if BEGIN in page.read_text("utf-8")]


def with_block(page: str, block: str) -> str:
    """A page with the block between its markers.

    Args:
        page: its text.
        block: what goes between the markers.
    """
    before, _, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not end:
        raise SystemExit(f"{BEGIN} without {END}")
    return f"{before}{BEGIN}\n{block}\n{END}{after}"


def main() -> None:
    """Write ``docs/RESULTS.md`` and the block of each page with markers."""
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    (ROOT / "docs" / "RESULTS.md").write_text(results_page(), "utf-8")
    for page in pages():
        page.write_text(with_block(page.read_text("utf-8"), readme_block()), "utf-8")


if __name__ == "__main__":
    main()
