"""``charlstm doctor``: what a bug report needs, and whether everything works here."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from charlstm.cli import options
from charlstm.cli.options import DEFAULT_ROOT, Cache, Root
from charlstm.cli.views.terminal import stdout_console, visible
from charlstm.errors import CharlstmError

EPILOG = """Examples:

\b
  charlstm doctor            does it work here? ready to paste into a bug report
  charlstm doctor --json     the same for a program
"""

app = options.one_command()


@app.command(epilog=EPILOG)
def doctor(
    root: Root = DEFAULT_ROOT,
    cache: Cache = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")] = False,
) -> None:
    """Show versions, devices and folders, and try everything once.

    The self-test trains a tiny network in a temporary folder, saves, loads and uses it, and compares what NumPy and
    torch compute; no file of yours is touched. Your home folder is shown as ~, so that all of it can be pasted into a
    bug report. If the test fails, the exit code is that of the error.
    """
    from charlstm.cli.doctor import facts, self_test

    known = dict(facts(root, cache))
    if not as_json:
        _show(known)
    fault: CharlstmError | None = None
    try:
        known["self-test"] = f"passed in {self_test():.1f} s"
    except CharlstmError as error:
        fault, known["self-test"] = error, f"failed: {error}"
    if as_json:
        print(json.dumps(known, indent=2))
    else:
        _show({"self-test": known["self-test"]})
    if fault:
        raise typer.Exit(fault.exit_code)


def _show(known: dict[str, str]) -> None:
    from rich.table import Table
    from rich.text import Text

    table = Table.grid(padding=(0, 2))
    table.add_column(width=11, style="bold")
    table.add_column(overflow="fold")
    for name, value in known.items():
        table.add_row(name, Text(visible(value)))
    stdout_console().print(table)
