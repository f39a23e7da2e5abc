"""``charlstm doctor``: what a bug report needs, and whether everything works here."""

from __future__ import annotations

import json
import sys
from typing import Annotated

import typer

from charlstm.cli import options
from charlstm.cli.options import DEFAULT_ROOT, Cache, Root
from charlstm.cli.views.terminal import fold, is_terminal, terminal_width, visible
from charlstm.errors import CharlstmError

EPILOG = """Examples:

\b
  charlstm doctor                     does it work here? ready to paste into a bug report
  charlstm doctor > report.txt        the same into a file
  charlstm doctor --root /data/runs   with the runs of another folder
  charlstm doctor --json              for a program
"""

app = options.one_command()

_INDENT = 13


@app.command(epilog=EPILOG)
def doctor(
    root: Root = DEFAULT_ROOT,
    cache: Cache = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")] = False,
) -> None:
    """Show versions and devices, and whether everything works here.

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
    """Print a line for each fact; a terminal folds it."""
    for name, value in known.items():
        line = f"{name:<{_INDENT}}{visible(value)}"
        lines = fold(line, terminal_width(), " " * _INDENT) if is_terminal(sys.stdout) else [line]
        print("\n".join(lines), flush=True)
