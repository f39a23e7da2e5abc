"""``charlstm checkpoints``: list, show, verify, compare, copy, remove and prune trained models."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from charlstm.cli.lazy_group import LINES
from charlstm.cli.options import DEFAULT_ROOT, Root
from charlstm.cli.spelling import error_line
from charlstm.cli.views.terminal import is_terminal, say, size, stdout_console, visible
from charlstm.errors import CharlstmError, UsageError

if TYPE_CHECKING:
    from charlstm.checkpoint.store import Store
    from charlstm.checkpoint.summary import Summary

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    help=LINES["checkpoints"],
)

_REFERENCE = "A run's name, a folder, a file, 'latest' or 'starter'."
Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]


def _examples(*lines: str) -> str:
    return "\b\nExamples:\n" + "\n".join(f"  charlstm checkpoints {line}" for line in lines)


@app.command("list", epilog=_examples("list", "list --json", "list --root /media/usb/runs"))
def list_runs(root: Root = DEFAULT_ROOT, as_json: Json = False) -> None:
    """List the runs, the newest first."""
    from charlstm.checkpoint.store import Store
    from charlstm.checkpoint.summary import summarise

    summaries = [summarise(entry) for entry in Store(root).runs()]
    if as_json:
        _print_json([_summary_json(summary) for summary in summaries])
    elif not summaries:
        _say_empty(root)
    else:
        from charlstm.cli.views.checkpoints import draw_list

        draw_list(stdout_console(), summaries)


@app.command(epilog=_examples("show", "show english-1", "show latest --json", "show copy.safetensors"))
def show(
    reference: Annotated[str | None, typer.Argument(metavar="REF", help=f"{_REFERENCE} Default: the newest.")] = None,
    root: Root = DEFAULT_ROOT,
    as_json: Json = False,
) -> None:
    """Show everything a checkpoint contains except the weights."""
    from charlstm.checkpoint.format import read_model_header
    from charlstm.checkpoint.references import find_model
    from charlstm.checkpoint.store import Store

    path = find_model(Store(root), reference)
    header = read_model_header(path)
    if as_json:
        _print_json({"path": str(path), "parameters": header.parameters, **header.to_plain()})
    else:
        from charlstm.cli.views.checkpoints import draw_show, show_rows

        draw_show(stdout_console(), show_rows(header, str(path)))


@app.command(epilog=_examples("verify", "verify english-1 starter", "verify /media/usb/model.safetensors --json"))
def verify(
    references: Annotated[
        list[str] | None, typer.Argument(metavar="REF", help=f"{_REFERENCE} Default: all runs.")
    ] = None,
    root: Root = DEFAULT_ROOT,
    as_json: Json = False,
) -> None:
    """Check every bit and every tensor. The exit code is 3 if a file is bad."""
    from charlstm.checkpoint.store import Store

    verdicts = [(str(path), _fault(path)) for path in _files(Store(root), references or [])]
    bad = [path for path, fault in verdicts if fault]
    if as_json:
        _print_json([{"path": path, "ok": not fault, "fault": fault} for path, fault in verdicts])
    elif not verdicts:
        _say_empty(root)
    else:
        from charlstm.cli.views.checkpoints import draw_verdicts

        draw_verdicts(stdout_console(), verdicts)
    if bad:
        say(f"{len(bad)} of {len(verdicts)} files cannot be used: {', '.join(bad)}")
        raise typer.Exit(3)


@app.command(epilog=_examples("compare english-1 english-2", "compare latest starter --json"))
def compare(
    first: Annotated[str, typer.Argument(metavar="A", help=_REFERENCE)],
    second: Annotated[str, typer.Argument(metavar="B", help="Another.")],
    root: Root = DEFAULT_ROOT,
    as_json: Json = False,
) -> None:
    """Show how two checkpoints differ.

    Compared are settings, validation loss, size and alphabet, but not weights.
    """
    from charlstm.checkpoint.format import read_model_header
    from charlstm.checkpoint.references import find_model
    from charlstm.checkpoint.store import Store
    from charlstm.checkpoint.summary import compare as compare_headers

    store = Store(root)
    comparison = compare_headers(*(read_model_header(find_model(store, reference)) for reference in (first, second)))
    if as_json:
        _print_json({"a": first, "b": second, **asdict(comparison)})
    else:
        from charlstm.cli.views.checkpoints import draw_comparison

        draw_comparison(stdout_console(), comparison, first, second)


@app.command(
    epilog=_examples(
        "copy english-1 keep",
        "copy latest to-share.safetensors --dtype int8",
        'copy english-1 /media/usb/english/ --note "before the new corpus"',
    )
)
def copy(
    source: Annotated[str, typer.Argument(metavar="SRC", help=_REFERENCE)],
    destination: Annotated[
        str, typer.Argument(metavar="DEST", help="A new run's name, a .safetensors file, or a folder/.")
    ],
    root: Root = DEFAULT_ROOT,
    dtype: Annotated[
        Literal["float32", "float16", "int8"] | None,
        typer.Option(help="Store the weights as this type: float16 halves the file, int8 quarters it."),
    ] = None,
    note: Annotated[str | None, typer.Option(help="A line to store in the copy.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace what is there.")] = False,
) -> None:
    """Copy a model, to keep or to share. Files that only a resume needs are not copied."""
    from charlstm.checkpoint.copying import copy as copy_model
    from charlstm.checkpoint.store import Store

    target = copy_model(Store(root), source, destination, dtype=dtype, note=note, force=force)
    say(f"wrote {target} ({size(target.stat().st_size)})")


@app.command(epilog=_examples("rm english-1", "rm english-1 english-2 --yes"))
def rm(
    names: Annotated[list[str], typer.Argument(metavar="NAME", help="Runs to remove, by name.")],
    root: Root = DEFAULT_ROOT,
    yes: Yes = False,
) -> None:
    """Remove runs permanently."""
    from charlstm.checkpoint.store import Store

    store = Store(root)
    names = list(dict.fromkeys(names))
    for name in names:  # all or none, as far as can be checked
        store.check_removable(name)
    if _agreed(f"Remove {', '.join(names)} from {root} permanently?", yes):
        for name in names:
            _remove(store, name)


@app.command(epilog=_examples("prune --keep 3 --dry-run", "prune --keep 1 --by val-loss --yes"))
def prune(
    keep: Annotated[int, typer.Option(min=1, metavar="N", help="How many runs to keep.")],
    by: Annotated[
        Literal["newest", "val-loss"],
        typer.Option(help="Keep the newest, or the best (in bits per character) of each text and kind of model."),
    ] = "newest",
    root: Root = DEFAULT_ROOT,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only print which runs would be removed.")] = False,
    yes: Yes = False,
) -> None:
    """Keep the newest or best runs, remove the rest.

    Runs in training and broken ones stay; with val-loss also runs without a score. One model that can write always
    stays.
    """
    from charlstm.checkpoint.prune import surplus
    from charlstm.checkpoint.store import Store
    from charlstm.checkpoint.summary import summarise

    store = Store(root)
    runs = [summarise(entry) for entry in store.runs()]
    names = list(_removable(store, [run.name for run in surplus(runs, keep, by)]))
    if not names:
        say(f"nothing to remove from {root}")
    elif dry_run:
        for name in names:
            print(visible(name))
    elif _agreed(f"Remove {', '.join(names)} from {root} permanently?", yes):
        for name in names:
            try:
                _remove(store, name)
            except UsageError as fault:  # its training has begun since it was listed
                say(f"stays: {error_line(fault)}")


def _removable(store: Store, names: Iterable[str]) -> Iterator[str]:
    for name in names:
        try:
            store.check_removable(name)
        except UsageError as fault:
            say(f"stays: {error_line(fault)}")
        else:
            yield name


def _remove(store: Store, name: str) -> None:
    store.remove(name)
    say(f"removed {name}")


def _agreed(question: str, yes: bool) -> bool:
    """Whether ``--yes`` was given, or a person agrees."""
    if yes:
        return True
    if not is_terminal(sys.stdin):
        raise UsageError("standard input is not a terminal to ask on", hint="Add --yes to remove without asking.")
    if typer.confirm(visible(question), err=True):
        return True
    say("nothing removed")
    return False


def _files(store: Store, references: list[str]) -> list[Path]:
    """The files to check: of each run the model and, if it exists, the resume file."""
    from charlstm.checkpoint.references import find_model
    from charlstm.checkpoint.run import RESUME

    if references:
        models = [find_model(store, reference) for reference in references]
    else:
        models = [entry.model for entry in store.runs()]
    paths = []
    for model in models:
        files = dict.fromkeys((model, model.with_name(RESUME)))
        paths += [path for path in files if path.exists()]
    return paths


def _fault(path: Path) -> str | None:
    from charlstm.checkpoint.format import verify as verify_file

    try:
        checkpoint = verify_file(path)
        if checkpoint.kind == "resume":
            from charlstm.cli.interrupts import load_torch

            load_torch()
            from charlstm.training.snapshot import verify as verify_resume_file

            verify_resume_file(checkpoint)
    except CharlstmError as fault:
        fault.where = ""  # the path is printed beside it
        return error_line(fault)
    return None


def _say_empty(root: Path) -> None:
    say(
        f"no runs in {root} yet. `charlstm train` makes one; `charlstm sample starter` uses the model that is included."
    )


def _summary_json(summary: Summary) -> dict[str, Any]:
    modified = datetime.fromtimestamp(summary.modified, UTC).isoformat(timespec="seconds")
    return {**asdict(summary), "modified": modified}


def _print_json(value: Any) -> None:
    print(json.dumps(value, indent=2, default=str))
