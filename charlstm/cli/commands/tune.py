"""``charlstm tune``: search for the settings with which a text is learned best."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from charlstm.cli import options
from charlstm.cli.options import Cache, ShortName

if TYPE_CHECKING:
    from charlstm.training.prepare import Prepared

EPILOG = """Examples:

\b
  charlstm tune my.txt --budget 1h                     thirty trials of two minutes
  charlstm tune my.txt --budget 3h                     continue it for two more hours
  charlstm tune my.txt --budget 20m --trial-time 30s   more trials, each shorter
  charlstm tune my.txt --config mine.toml              keep the settings of that file
  charlstm tune my.txt --out here --json               for a program
  charlstm train my.txt --config tuning/my/best.toml --max-time 1h   train with the best settings
"""

app = options.one_command()

ROOT = Path("tuning")


@app.command(epilog=EPILOG)
def tune(
    sources: Annotated[list[str], typer.Argument(metavar="TEXT", help="Files, folders, globs or names.")],
    budget: Annotated[
        str,
        typer.Option("--budget", metavar="TIME", help="Total time of all sessions: 20m, 1h, 8h; at least two trials."),
    ] = "1h",
    trial_time: Annotated[
        str | None,
        typer.Option(
            "--trial-time",
            metavar="TIME",
            help="Training time of each trial. [default: a thirtieth of the budget, at least 20s]",
        ),
    ] = None,
    name: Annotated[
        str | None, typer.Option("--name", metavar="NAME", help="Name of the search. [default: the text's]")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", metavar="FOLDER", help="Folder of the search. [default: tuning/NAME]", callback=options.expanded
        ),
    ] = None,
    config: Annotated[
        Path | None, typer.Option("--config", metavar="FILE", help="Settings (TOML) to keep fixed.")
    ] = None,
    seed: Annotated[int, typer.Option("--seed", min=0, help="The same seed proposes the same first trials.")] = 1,
    jobs: Annotated[
        int, typer.Option("--jobs", min=1, help="Trials to run in parallel; they share the CPU cores.")
    ] = 1,
    json_lines: Annotated[bool, typer.Option("--json", help="Print events as JSON lines, for a program.")] = False,
    cache: Cache = None,
    short_name: ShortName = None,
) -> None:
    """Search for the settings that learn a text best.

    Trial 0 uses the settings that charlstm train --init-from none would choose. The others vary width, layers, learning
    rate, dropout, batch size and sequence length; those that do worse than most are stopped early. All begin from
    nothing: of English text charlstm train alone, which begins from the starter, usually learns more. After Ctrl-C or a
    kill, the same command continues with the rest of the budget. Needs optuna: pip install optuna.
    """
    from charlstm.cli.views import tune as tune_view
    from charlstm.errors import UsageError
    from charlstm.tuning.study_file import check_installed

    check_installed()
    name = name if name is not None else short_name
    if name is not None and out is not None:
        raise UsageError("--name and --out both set the folder of the search", hint="Give one of them.")
    if "-" in sources:
        raise UsageError("every trial reads the text again, but standard input can be read once", hint="Give a file.")
    from charlstm.tuning.budget import trial_seconds, trial_threads

    budget_seconds = options.seconds(budget)
    requested = None if trial_time is None else options.seconds(trial_time)
    fixed = _fixed_settings(sources, config)
    of_trial = {"max_time": trial_seconds(budget_seconds, requested), "threads": trial_threads(jobs)}
    prepared = _prepare(fixed, of_trial, options.cache_or_default(cache), quiet=json_lines)
    from charlstm.tuning.search import SearchSpec

    spec = SearchSpec(
        prepared,
        fixed,
        folder=out if out is not None else ROOT / _folder_name(name, prepared.encoded.name),
        cache=options.cache_or_default(cache),
        budget=budget_seconds,
        trial_time=requested,
        seed=seed,
        jobs=jobs,
        provenance={"command": shlex.join(["charlstm", *sys.argv[1:]])},
    )
    tune_view.run(spec, sources, json_lines=json_lines)


def _fixed_settings(sources: list[str], config: Path | None) -> dict[str, dict[str, Any]]:
    """The settings that are not varied; the trials' time replaces a budget in the settings file."""
    from charlstm.settings_file import read_settings

    fixed = read_settings(config) if config else {}
    train = {k: v for k, v in fixed.get("train", {}).items() if k not in {"max_time", "max_steps", "epochs"}}
    return {**fixed, "train": train, "data": {**fixed.get("data", {}), "sources": tuple(sources)}}


def _prepare(fixed: dict[str, dict[str, Any]], of_trial: dict[str, Any], cache: Path, *, quiet: bool) -> Prepared:
    """Encode the text, and choose the default settings for a trial."""
    from charlstm.cli.interrupts import load_torch
    from charlstm.cli.views.progress import progress_bar

    load_torch()
    from charlstm.training.plan.merge import merge
    from charlstm.training.prepare import prepare

    with progress_bar("encoding", quiet=quiet) as progress:
        return prepare(merge(fixed, {"train": of_trial}), cache, progress=progress)


def _folder_name(name: str | None, default: str) -> str:
    from charlstm.checkpoint.names import clean_name, name_fault
    from charlstm.errors import UsageError

    if name is None:
        return clean_name(default)
    fault = name_fault(name)
    if fault:
        raise UsageError(f"{name!r} cannot be the name of a search: {fault}")
    return name
