"""An experiment on the command line: its progress while it runs, then its table, its findings and its files."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from charlstm.cli.views.terminal import can_redraw, fold, is_terminal, say, stdout_console, terminal_width, visible

if TYPE_CHECKING:
    from charlstm.lab.progress import Experiment, Progress
    from charlstm.report.experiment import Result

_LINE_EVERY = 5.0
"""Seconds between progress lines where there is no terminal."""


def present(experiment: Experiment, out: Path, *, json_out: bool) -> None:
    """Run an experiment, show its progress and its result, and write its files.

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
    result = _run(experiment)
    if json_out:
        print(json.dumps(result.to_json()))  # in ASCII: a terminal obeys some characters beyond it
    else:
        _print_result(result)
    files = _write(result, out, with_picture)
    if result.partial:
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


def _run(experiment: Experiment) -> Result:
    from charlstm.lab.progress import Progress

    with _progress_display() as show:
        for event in experiment:
            if not isinstance(event, Progress):
                return event
            show(event)
    raise AssertionError("an experiment ends with its result")


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


def _print_result(result: Result) -> None:
    from rich.text import Text

    from charlstm.cli.views.blocks import print_table, show_block
    from charlstm.report.blocks import Table

    console = stdout_console()
    console.print(Text(visible(result.title), style="bold"))
    print("\n".join(_folded(result.question)) + "\n")
    print_table(console, Table(result.columns, result.rows))
    for chart in result.charts if can_redraw(sys.stdout) else ():
        show_block(console, chart)
    print()
    for sentence in result.findings:
        print("\n".join(_folded(sentence, "  ")))


def _folded(sentence: str, indent: str = "") -> list[str]:
    """The lines of a sentence: as wide as a terminal, one in a pipe."""
    shown = visible(sentence)
    return list(fold(shown, terminal_width(), indent)) if is_terminal(sys.stdout) else [shown]


def _write(result: Result, out: Path, with_picture: bool) -> str:
    """Write the result's files and return their names."""
    from charlstm.files import write_atomically
    from charlstm.report.experiment import experiment_page
    from charlstm.report.page import html_page
    from charlstm.report.picture import png

    page = experiment_page(result)
    picture = png(page) if with_picture else None
    files = {
        "csv": result.to_csv().encode(),
        "json": json.dumps(result.to_json(), ensure_ascii=False, indent=1).encode(),
        "html": html_page(page).encode(),
    }
    if picture is not None:
        files["png"] = picture
    for ending, data in files.items():
        write_atomically(out / f"{result.name}.{ending}", data)
    return f"{out / result.name}.{{{','.join(files)}}}"
