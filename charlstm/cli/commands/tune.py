"""``charlstm tune``: which settings learn a text best."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from charlstm.cli import options
from charlstm.cli.options import Cache

if TYPE_CHECKING:
    from charlstm.training.prepare import Prepared

EPILOG = """Examples:

\b
  charlstm tune my.txt --budget 1h                     thirty trials of two minutes
  charlstm tune my.txt --budget 3h                     the same search, two hours more
  charlstm tune my.txt --budget 20m --trial-time 30s   more trials, each shorter
  charlstm tune my.txt --config mine.toml              what that file sets stays as it is
  charlstm tune my.txt --out here --json               for a program
  charlstm train my.txt --config tuning/my/best.toml --max-time 1h   train with what was found
"""

app = options.one_command()

ROOT = Path("tuning")


@app.command(epilog=EPILOG)
def tune(
    sources: Annotated[list[str], typer.Argument(metavar="TEXT", help="Files, folders, globs or names.")],
    budget: Annotated[
        str, typer.Option("--budget", metavar="TIME", help="How long in all, over every start: 20m, 1h, 8h.")
    ] = "1h",
    trial_time: Annotated[
        str | None,
        typer.Option(
            "--trial-time",
            metavar="TIME",
            help="Training of each trial. [default: a thirtieth of the budget, at least 20s]",
        ),
    ] = None,
    name: Annotated[
        str | None, typer.Option("--name", "-n", metavar="NAME", help="The search's. [default: the text's]")
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FOLDER", help="Keep it in this folder. [default: tuning/NAME]")
    ] = None,
    config: Annotated[
        Path | None, typer.Option("--config", metavar="FILE", help="Settings (TOML) that stay as they are.")
    ] = None,
    seed: Annotated[int, typer.Option("--seed", min=0, help="The same seed proposes the same first trials.")] = 1,
    jobs: Annotated[
        int, typer.Option("--jobs", min=1, help="Trials at once: more share the machine, and each learns less.")
    ] = 1,
    json_lines: Annotated[
        bool, typer.Option("--json", help="For a program: one event a line of JSON, on stdout.")
    ] = False,
    cache: Cache = None,
) -> None:
    """Search for the settings that learn a text best.

    Trial 0 is what charlstm train would choose; the others change its width, layers, rate, dropout and cuts, and those
    that do worse than most are stopped half-way. Each trial is a process of its own and may fail. Typed again after
    Ctrl-C or a kill, the same command goes on with the rest of the budget. Needs optuna: pip install optuna.
    """
    from charlstm.cli.views import tune as tune_show
    from charlstm.errors import UsageError
    from charlstm.tuning.study import check_installed

    check_installed()
    if name is not None and out is not None:
        raise UsageError("--name and --out both say where the search is kept", hint="Give one of them.")
    if "-" in sources:
        raise UsageError("every trial reads the text anew, standard input can be read once", hint="Give a file.")
    from charlstm.tuning.budget import trial_seconds, trial_threads

    seconds = options.seconds(budget)
    asked = None if trial_time is None else options.seconds(trial_time)
    given = _given(sources, config)
    a_trials = {"max_time": trial_seconds(seconds, asked), "threads": trial_threads(jobs)}
    prepared = _prepare(given, a_trials, options.cache_or_default(cache), quiet=json_lines)
    from charlstm.tuning.search import Plan

    folder = out if out is not None else ROOT / _folder_name(name, prepared.encoded.name)
    plan = Plan(prepared, given, folder, options.cache_or_default(cache), seconds, asked, seed, jobs)
    tune_show.perform(plan, sources, json_lines=json_lines)


def _given(sources: list[str], config: Path | None) -> dict[str, dict[str, Any]]:
    """What is not to be varied; a settings file's own budget gives way to the trials'."""
    from charlstm.settings_file import read_settings

    given = read_settings(config) if config else {}
    train = {k: v for k, v in given.get("train", {}).items() if k not in {"max_time", "max_steps", "epochs"}}
    return {**given, "train": train, "data": {**given.get("data", {}), "sources": tuple(sources)}}


def _prepare(given: dict[str, dict[str, Any]], a_trials: dict[str, Any], cache: Path, *, quiet: bool) -> Prepared:
    """The default choice for what a trial has."""
    from charlstm.cli.interrupts import load_torch
    from charlstm.cli.views.progress import bytes_bar

    load_torch()
    from charlstm.training.plan.merge import merge
    from charlstm.training.prepare import prepare

    with bytes_bar("encoding", quiet=quiet) as progress:
        return prepare(merge(given, {"train": a_trials}), cache, progress=progress)


def _folder_name(name: str | None, default: str) -> str:
    from charlstm.checkpoint.names import clean_name, name_fault
    from charlstm.errors import UsageError

    if name is None:
        return clean_name(default)
    fault = name_fault(name)
    if fault:
        raise UsageError(f"{name!r} cannot be a search's name: {fault}")
    return name
