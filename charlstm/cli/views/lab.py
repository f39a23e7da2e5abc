"""An experiment on the command line: how far it is while it runs, its table and sentences at its end, and its files."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from charlstm.cli.interrupts import StopRequest
from charlstm.cli.views.terminal import fold, is_terminal, say, stdout_console, terminal_width, visible

if TYPE_CHECKING:
    from charlstm.lab.side_by_side import Stop
    from charlstm.report.data import Event, Progress, Report

_LINE_EVERY = 5.0
"""Seconds between plain lines."""


def perform(experiment: Callable[[Stop], Iterator[Event]], out: Path, *, json_out: bool) -> None:
    """Run an experiment, show it, write its files, and leave with the right exit code.

    Args:
        experiment: takes what is asked whether to stop, yields its events.
        out: the folder its files go to; it is made now, not after minutes of work.
        json_out: print JSON instead of the table.

    Raises:
        StorageError: the folder or a file cannot be written.
    """
    from charlstm.files import storage_error
    from charlstm.report.data import Progress

    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as fault:
        raise storage_error(out, fault, "cannot be made") from fault
    drawable = _can_draw()
    with StopRequest() as request, _telling() as tell:
        for event in experiment(request):
            if isinstance(event, Progress):
                tell(event)
            else:
                report = event
    if json_out:
        print(json.dumps(report.to_json(), ensure_ascii=False))
    else:
        _show(report)
    written = _write(report, out, drawable)
    if report.partial:
        say("stopped early: the figures above are partial, those of the training done by then")
    say(f"written: {written}")
    if request():
        raise typer.Exit(request.exit_code)


def _can_draw() -> bool:
    """Whether there will be a picture; if not, it says so before the work and not after it."""
    from charlstm.errors import UsageError
    from charlstm.report.plots import check

    try:
        check()
    except UsageError as fault:
        say(f"{fault}. All else is done without it")
        return False
    return True


@contextmanager
def _telling() -> Iterator[Callable[[Progress], None]]:
    """A bar on a terminal, elsewhere a line now and then; both on stderr."""
    from tqdm import tqdm

    if is_terminal(sys.stderr):
        with tqdm(
            total=1.0, file=sys.stderr, dynamic_ncols=True, mininterval=0.2, leave=False,
            bar_format="{percentage:3.0f}% |{bar:10}| {elapsed} {desc}",
        ) as bar:  # fmt: skip

            def move(event: Progress) -> None:
                bar.n = event.share
                bar.set_description_str(event.text, refresh=False)
                bar.update(0)

            yield move
        return
    last = time.monotonic()

    def line(event: Progress) -> None:
        nonlocal last
        if time.monotonic() - last >= _LINE_EVERY:
            last = time.monotonic()
            say(f"{event.share:4.0%} {event.text}")

    yield line


def _show(report: Report) -> None:
    from rich.table import Table
    from rich.text import Text

    console = stdout_console()
    table = Table(box=None, pad_edge=False, title=report.title, title_justify="left", title_style="bold")
    for number, column in enumerate(report.columns):
        table.add_column(column, justify="right" if number else "left", style="" if number else "bold")
    for row in report.rows:
        table.add_row(*(Text(visible(value)) for value in row))
    console.print(table)
    print()
    for sentence in map(visible, report.findings):
        print("\n".join(fold(sentence, terminal_width(), "  ")) if is_terminal(sys.stdout) else sentence)


def _write(report: Report, out: Path, drawable: bool) -> str:
    """Write a report's files, and tell their names."""
    from charlstm.files import write_atomically
    from charlstm.report.page import page
    from charlstm.report.plots import png

    picture = png(report) if drawable else None
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
