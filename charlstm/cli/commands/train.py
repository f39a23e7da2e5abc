"""``charlstm train``: from a text to a network that writes like it."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from charlstm.checkpoint.names import AUTO
from charlstm.cli import launch, options, run_training
from charlstm.cli.options import DEFAULT_ROOT, Cache, Root, ShortName
from charlstm.cli.setting_options import GOAL, OUTPUT, Settings, with_settings
from charlstm.cli.workspace import RunOptions, Workspace
from charlstm.errors import UsageError

EPILOG = """Examples:

\b
  charlstm train                                the bundled corpus, 5 minutes
  charlstm train my.txt --max-time 5m           one file
  charlstm train a/ 'b/*.md' --name mix         folders and globs, in order
  cat log | charlstm train - --tokenizer byte   any bytes, from a pipe
  charlstm train my.txt --dry-run               only show settings and cost
  charlstm train --resume my-1                  continue where it stopped
  charlstm train new.txt --init-from my-1       begin with what it has learnt
  charlstm train my.txt --init-from none        begin with random weights
  charlstm train my.txt --nproc 4               four processes, a GPU each
  charlstm train my.txt --name a --resume auto  start a, or continue it
"""

app = options.one_command()

_goal = partial(typer.Option, rich_help_panel=GOAL)
_output = partial(typer.Option, rich_help_panel=OUTPUT)


@app.command(cls=options.Sections, epilog=EPILOG)
@with_settings
def train(
    settings: Settings,
    dry_run: Annotated[
        bool, _goal("--dry-run", help="Show every setting, its reason and the cost; train nothing.")
    ] = False,
    resume: Annotated[
        str | None,
        _goal(
            "--resume", metavar="RUN", help="Continue a run exactly; auto: continue or start that of --name or --out."
        ),
    ] = None,
    init_from: Annotated[
        str | None,
        _goal(
            "--init-from",
            metavar="RUN",
            help="Begin with the weights of another run; none: with random ones. "
            "[default: the starter's, for a short text in a language it knows]",
        ),
    ] = None,
    name: Annotated[
        str | None, _goal("--name", metavar="NAME", help="Name of the run. [default: the text's and a number]")
    ] = None,
    out: Annotated[
        Path | None,
        _goal("--out", metavar="FOLDER", help="Folder of the run, instead of a name.", callback=options.expanded),
    ] = None,
    force: Annotated[bool, _goal("--force", help="Replace a run of that name.")] = False,
    preset: Annotated[
        str | None,
        _goal("--preset", metavar="NAME", help="Fixed settings: tiny, small, medium, large, starter, char-rnn."),
    ] = None,
    config: Annotated[Path | None, _goal("--config", metavar="FILE", help="Settings from a TOML file.")] = None,
    quiet: Annotated[bool, _output("--quiet", "-q", help="Print only how to use the run.")] = False,
    json_lines: Annotated[bool, _output("--json", help="Print events as JSON lines, for a program.")] = False,
    report: Annotated[
        bool, _output("--report/--no-report", help="Leave a page about the run, report.html, beside its checkpoint.")
    ] = True,
    nproc: Annotated[
        int | None,
        typer.Option(
            "--nproc",
            metavar="N",
            help="Processes that share each batch, one per GPU; or use torchrun.",
            rich_help_panel=options.PLACES,
        ),
    ] = None,
    root: Root = DEFAULT_ROOT,
    cache: Cache = None,
    short_name: ShortName = None,
) -> None:
    """Train a network on a text; it writes like it afterwards.

    A text and a time are enough: five minutes if no budget is given. Settings without a default are chosen
    automatically, for the text, the time and this machine (--dry-run shows each with its reason). Options override
    --config, which overrides --preset. Ctrl-C saves and stops.
    """
    if launch.must_start_processes(nproc) and not dry_run:
        launch.run_processes(nproc or 1)
        return
    name = name if name is not None else short_name
    workspace = Workspace.of_options(
        root,
        options.cache_or_default(cache),
        name,
        out,
        force=force,
        quiet=quiet,
        json_lines=json_lines,
        report=report,
    )
    run_options = RunOptions(settings, preset, config, init_from)
    if resume is not None and resume.startswith("-"):
        hint = "`charlstm checkpoints list` shows all runs."
        raise UsageError(f"--resume needs a run's name before {resume}", hint=hint)
    if resume == AUTO:
        run_training.resume_or_start(workspace, run_options, dry_run)
    elif resume is not None:
        only_for_new_runs = bool(dry_run or preset or config or init_from or name or out or force)
        run_training.resume(workspace, resume, settings, only_for_new_runs)
    else:
        run_training.start(workspace, run_options, dry_run)
