"""An experiment on the command line: its progress while it runs, then its table, its findings and its files."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from charlstm.cli.views.terminal import fold, is_terminal, say, stdout_console, terminal_width, visible

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from charlstm.lab.progress import Experiment, Progress
    from charlstm.report.data import Report

_LINE_EVERY = 5.0
"""Seconds between progress lines where there is no terminal."""


def present(experiment: Experiment, out: Path, *, json_out: bool) -> None:
    """Run an experiment, show its progress and its report, and write its files.

    Args:
        experiment: the experiment; it has not started yet.
        out: the folder for the files; it is made before the work, so that a wrong one costs no time.
        json_out: whether to print JSON instead of the table.

    Raises:
        StorageError: the folder or a file cannot be written.
    """
    from charlstm.files import storage_error

    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise storage_error(out, error, "cannot be made") from error
    with_picture = _can_draw()
    report = _run(experiment)
    if json_out:
        print(json.dumps(report.to_json()))  # in ASCII: a terminal obeys some characters beyond it
    else:
        _print_report(report)
    files = _write(report, out, with_picture)
    if report.partial:
        say("stopped early: these are partial results, of the training done until then")
    say(f"written: {files}")


def _can_draw() -> bool:
    """Whether a picture can be drawn; if not, say so before the work starts."""
    from charlstm.errors import UsageError
    from charlstm.report.plots import check

    try:
        check()
    except UsageError as error:
        say(f"{error}. Everything else works without it")
        return False
    return True


def _run(experiment: Experiment) -> Report:
    from charlstm.lab.progress import Progress

    with _progress_display() as show:
        for event in experiment:
            if not isinstance(event, Progress):
                return event
            show(event)
    raise AssertionError("an experiment ends with its report")


@contextmanager
def _progress_display() -> Iterator[Callable[[Progress], None]]:
    """A bar on a terminal, a line every few seconds elsewhere; both on stderr."""
    from tqdm import tqdm

    if is_terminal(sys.stderr):
        with tqdm(
            total=1.0, file=sys.stderr, dynamic_ncols=True, leave=False,
            bar_format="{percentage:3.0f}% |{bar:10}| {elapsed} {desc}",
        ) as bar:  # fmt: skip

            def update_bar(event: Progress) -> None:
                bar.n = event.share
                bar.set_description_str(visible(event.text))

            yield update_bar
        return
    last = time.monotonic()

    def print_line(event: Progress) -> None:
        nonlocal last
        if time.monotonic() - last >= _LINE_EVERY:
            last = time.monotonic()
            say(f"{event.share:4.0%} {event.text}")

    yield print_line


def _print_report(report: Report) -> None:
    from rich.text import Text

    console = stdout_console()
    console.print(Text(visible(report.title), style="bold"))
    _print_table(console, report)
    print()
    for sentence in map(visible, report.findings):
        print("\n".join(fold(sentence, terminal_width(), "  ")) if is_terminal(sys.stdout) else sentence)


def _print_table(console: Console, report: Report) -> None:
    """Print the table as wide as the terminal allows: one row for each network, one column for each, or one block."""
    from rich.text import Text

    rows, is_text = [report.columns, *report.rows], report.text_columns
    table = _table(rows, is_text)
    width = _natural_width(console, table)
    if not is_terminal(sys.stdout):
        console.width = max(console.width, width)  # a file or pipe has no edge
    if width > console.width:
        table = _table(list(zip(*rows, strict=True)))
    if _natural_width(console, table) <= console.width:
        console.print(table)
        return
    for number, row in enumerate(report.rows):
        if number:
            console.print()
        console.print(Text(visible(row[0]), style="bold"))
        console.print(_block(report.columns[1:], row[1:], left=any(is_text[1:])))


def _natural_width(console: Console, table: Table) -> int:
    return console.measure(table, options=console.options.update(max_width=10_000)).maximum


def _table(rows: list[tuple[str, ...]], is_text: tuple[bool, ...] = ()) -> Table:
    """A table whose first row and first column are headings; columns of figures are set flush right."""
    from rich.table import Table
    from rich.text import Text

    heading, *body = ([Text(visible(value)) for value in row] for row in rows)
    table = Table(box=None, pad_edge=False)
    for number, value in enumerate(heading):
        left = not number or (number < len(is_text) and is_text[number])
        table.add_column(value, justify="left" if left else "right", style="" if number else "bold")
    for row in body:
        table.add_row(*row)
    return table


def _block(names: Sequence[str], values: Sequence[str], *, left: bool) -> Table:
    """One row of a table as a table of two columns; ``left`` sets its values flush left."""
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(style="bold")
    table.add_column(justify="left" if left else "right")
    for name, value in zip(names, values, strict=True):
        table.add_row(Text(visible(name)), Text(visible(value)))
    return table


def _write(report: Report, out: Path, with_picture: bool) -> str:
    """Write the report's files and return their names."""
    from charlstm.files import write_atomically
    from charlstm.report.page import page
    from charlstm.report.plots import png

    picture = png(report) if with_picture and report.charts else None
    files = {
        "csv": report.to_csv().encode(),
        "json": json.dumps(report.to_json(), ensure_ascii=False, indent=1).encode(),
        "html": page(report, picture).encode(),
    }
    if picture is not None:
        files["png"] = picture
    for ending, data in files.items():
        write_atomically(out / f"{report.name}.{ending}", data)
    return f"{out / report.name}.{{{','.join(files)}}}"
