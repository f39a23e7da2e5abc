"""What ``charlstm train`` does once its options are read: prepare, train, show, end with the right exit code."""

from __future__ import annotations

import contextlib
import shlex
import sys
import time
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import typer

from charlstm.checkpoint.names import NOTHING, clean_name
from charlstm.cli import launch
from charlstm.cli.spelling import as_option
from charlstm.cli.views.terminal import say
from charlstm.cli.workspace import RunOptions, Workspace, reference_to
from charlstm.errors import CharlstmError, DivergedError, StorageError, UsageError

if TYPE_CHECKING:
    from charlstm.checkpoint.format import Checkpoint
    from charlstm.cli.interrupts import StopRequest
    from charlstm.events import Stopped
    from charlstm.training.beginning import Session
    from charlstm.training.distributed import Ranks
    from charlstm.training.loop import Training
    from charlstm.training.prepare import Prepared

_BEGUN = time.monotonic()
"""When the command began: a time budget is that of the whole command."""


def start(workspace: Workspace, options: RunOptions, dry_run: bool) -> None:
    """Train a new run.

    Args:
        workspace: where its files go.
        options: where its settings come from.
        dry_run: only show the settings and the cost.

    Raises:
        CharlstmError, typer.Exit: it could not be trained to its end.
    """
    if launch.torchrun_ranks() is None:
        # Before torch is loaded, so that a mistake is reported at once.
        prepared = _prepare(workspace, options, name_may_exist=dry_run or workspace.force)
        if dry_run:
            folder = workspace.store.root / (workspace.name or f"{clean_name(prepared.encoded.name)}-N")
            _explain(prepared, folder)
            return
        with launch.joined() as ranks:
            _start(workspace, prepared, ranks)
        return
    if dry_run:
        raise UsageError("--dry-run needs a single process", hint="Run it without torchrun.")
    with launch.joined() as ranks:
        from charlstm.training.prepare import shared

        prepared = shared(ranks, lambda: _prepare(workspace, options, name_may_exist=workspace.force), workspace.cache)
        _start(workspace, prepared, ranks)


def _explain(prepared: Prepared, folder: Path) -> None:
    """Show what would be trained, and what that would cost."""
    from charlstm.cli.views.opening import waiting
    from charlstm.cli.views.plan import explain
    from charlstm.training.distributed import SINGLE_PROCESS
    from charlstm.training.memory import keep_freed_memory
    from charlstm.training.rehearsal import measure

    keep_freed_memory()  # as when it is trained

    def measured() -> int | None:
        with waiting("measuring the memory"):
            return measure(prepared, _session(SINGLE_PROCESS))

    explain(prepared, folder, measured)


def resume_or_start(workspace: Workspace, options: RunOptions, dry_run: bool) -> None:
    """Resume the named run, or start it (``--resume auto``); the same command can be given at any time.

    Args:
        workspace: where its files are, or go.
        options: where its settings come from; those of an existing run must be the same.
        dry_run: whether ``--dry-run`` was given, which is refused.

    Raises:
        UsageError: the run has no name, or an option contradicts ``--resume auto``.
        CharlstmError, typer.Exit: it could not be trained to its end.
    """
    if workspace.name is None:
        raise UsageError("--resume auto needs the run's name", hint="Give it with --name or --out.")
    if workspace.force or dry_run:
        what = "--force" if workspace.force else "--dry-run"
        raise UsageError(f"--resume auto and {what} exclude each other", hint="Leave one of them out.")
    if launch.torchrun_ranks() is None:
        _load_torch(workspace, _sources(options.layers()))
    with launch.joined() as ranks:
        from charlstm.config import MAY_CHANGE
        from charlstm.training.plan.merge import merge
        from charlstm.training.prepare import shared

        name = workspace.name
        layers = ranks.on_rank_zero(options.layers)
        if ranks.on_rank_zero(lambda: workspace.store.can_resume(name)):
            given = merge(*layers)
            changes = {key: given["train"].pop(key) for key in MAY_CHANGE if key in given["train"]}
            _resume(workspace, workspace.store.folder(name), changes, ranks, given=given)
            return
        prepared = shared(ranks, lambda: _prepare(workspace, options, name_may_exist=True), workspace.cache)
        ranks.on_rank_zero(lambda: workspace.store.restart(name))
        _start(workspace, prepared, ranks, workspace.store.folder(name))


def resume(workspace: Workspace, reference: str, flags: dict[str, dict[str, Any]], only_for_new_runs: bool) -> None:
    """Resume a run with another budget or on another device; its other settings cannot change.

    Args:
        workspace: where its files are.
        reference: the run, as `find_resumable` takes it.
        flags: settings given as options, by section.
        only_for_new_runs: whether an option was given that makes sense for new runs only.

    Raises:
        CharlstmError, typer.Exit: it cannot be resumed, or could not be trained to its end.
    """
    from charlstm.checkpoint.format import read_header
    from charlstm.checkpoint.references import find_resumable, hint_at_model
    from charlstm.checkpoint.run import RESUME
    from charlstm.config import MAY_CHANGE

    changes = {name: flags["train"].pop(name) for name in MAY_CHANGE if name in flags["train"]}

    def find() -> Path:
        folder = find_resumable(workspace.store, reference)
        _check_unchanged(folder, flags, only_for_new_runs)
        return folder

    single, folder = launch.torchrun_ranks() is None, Path()
    if single:
        found = find_resumable(workspace.store, reference)
        with hint_at_model(found):
            sources = read_header(found / RESUME).run.data.sources
        _load_torch(workspace, sources)
        folder = find()
    with launch.joined() as ranks:
        _resume(workspace, folder if single else ranks.on_rank_zero(find), changes, ranks)


def _start(workspace: Workspace, prepared: Prepared, ranks: Ranks, into: Path | None = None) -> None:
    """Train a prepared run, in a new folder or in the one given."""
    from charlstm.checkpoint.provenance import Provenance
    from charlstm.cli.interrupts import StopRequest
    from charlstm.cli.views import plan as plan_view
    from charlstm.training import prepare

    # From here on a signal is a request: the run has a folder now, and must leave in it what a resume needs.
    with StopRequest(quiet=not ranks.is_rank_zero) as request:
        name, force = workspace.name, workspace.force
        folder = into or ranks.on_rank_zero(lambda: workspace.store.create(name, prepared.encoded.name, force))
        try:
            with _locked(workspace, folder, ranks):
                session = _session(ranks)
                origin = Provenance(command=_command())
                training = prepare.begin(prepared, folder, provenance=origin, session=session)
                if ranks.is_rank_zero and not workspace.quiet and not workspace.json_lines:
                    plan_view.announce(prepared, folder)
                _run(workspace, training, request)
        except CharlstmError:
            if ranks.is_rank_zero:
                workspace.store.remove_if_unsaved(folder)
            raise


def _resume(workspace: Workspace, folder: Path, changes: dict[str, Any], ranks: Ranks, given: Any = None) -> None:
    from charlstm.cli.interrupts import StopRequest
    from charlstm.training.resume import resume as continue_run

    with StopRequest(quiet=not ranks.is_rank_zero) as request, _locked(workspace, folder, ranks):
        session = _session(ranks)
        training = continue_run(folder, workspace.cache, changes, given=given, stdin=_stdin(), session=session)
        _run(workspace, training, request)


def _session(ranks: Ranks) -> Session:
    from charlstm.engine.auto_threads import blas_threads
    from charlstm.engine.load import load_engine_with_threads
    from charlstm.filling.preview import write_preview
    from charlstm.training.beginning import Session

    blas_threads().use(1)  # previews are short, and beside other programs two threads take many times as long
    return Session(ranks, write_preview, _BEGUN, _command(), load_engine_with_threads)


def _locked(workspace: Workspace, folder: Path, ranks: Ranks) -> AbstractContextManager[None]:
    """The run's lock, which rank 0 holds for all."""
    return workspace.store.lock(folder) if ranks.is_rank_zero else contextlib.nullcontext()


def _stdin() -> BinaryIO:
    return sys.stdin.buffer


def _prepare(workspace: Workspace, options: RunOptions, *, name_may_exist: bool) -> Prepared:
    """Read and encode the text and complete the settings."""
    layers = options.layers()
    init = _checkpoint(workspace, options.init_from) if options.init_from not in (None, NOTHING) else None
    if workspace.name is not None and not name_may_exist:
        workspace.store.check_free(workspace.name)  # now, and not after a gigabyte has been encoded
    from charlstm.cli.interrupts import load_torch
    from charlstm.cli.views.opening import opening
    from charlstm.training.plan.merge import merge

    with opening(_sources(layers), quiet=workspace.quiet or workspace.json_lines) as shown:
        load_torch()
        from charlstm.checkpoint.references import read_starter
        from charlstm.training.prepare import prepare

        return prepare(
            merge(*layers),
            workspace.cache,
            stdin=_stdin(),
            init=init,
            starter=read_starter if options.init_from is None else lambda: None,
            progress=shown.reading,
            before_measuring=shown.measuring,
        )


def _sources(layers: list[dict[str, dict[str, Any]]]) -> tuple[str, ...]:
    """The texts that the settings name."""
    from charlstm.config import DataConfig
    from charlstm.schemas import parse
    from charlstm.training.plan.merge import merge

    return parse(DataConfig, merge(*layers)["data"]).sources


def _load_torch(workspace: Workspace, sources: tuple[str, ...]) -> None:
    """Load torch, and show meanwhile which text it is for."""
    from charlstm.cli.interrupts import load_torch
    from charlstm.cli.views.opening import opening

    with opening(sources, quiet=workspace.quiet or workspace.json_lines):
        load_torch()


def _check_unchanged(folder: Path, flags: dict[str, dict[str, Any]], only_for_new_runs: bool) -> None:
    """Refuse settings that differ from those the run was started with.

    Raises:
        UsageError: one does, or an option is for new runs only.
    """
    from charlstm.checkpoint.format import read_header
    from charlstm.checkpoint.run import RESUME
    from charlstm.training.resume import differing

    path = folder / RESUME
    fixed = [name for _, name in differing(read_header(path).run, flags)]
    if only_for_new_runs or fixed:
        what = as_option(fixed[0]) if fixed else "that option"
        if "sources" in fixed:
            what = "the text"
        raise UsageError(
            f"{what} cannot be changed when a run is resumed",
            hint="Only its budget and --device, --precision, --threads can; or start another run with --init-from.",
        )


def _checkpoint(workspace: Workspace, reference: str | None) -> Checkpoint:
    from charlstm.checkpoint import format as checkpoint_format
    from charlstm.checkpoint.references import find_model

    path = find_model(workspace.store, reference)
    return checkpoint_format.read_model(path)


def _after_divergence(training: Training, name: str) -> str:
    """What to do when a training has diverged."""
    again = "tart again with a lower --lr or a lower --grad-clip."
    if training.run.train.on_divergence == "rollback" or not (training.folder / "resume.safetensors").exists():
        return f"S{again}"
    resume = f"charlstm train --resume {name} --on-divergence rollback"
    return f"Go on from the last save with half the learning rate: {resume}; or s{again}"


def _run(workspace: Workspace, training: Training, request: StopRequest) -> None:
    """Train, show the events, and raise what the exit code is to tell."""
    name, prints = reference_to(training.folder), training.ranks.is_rank_zero
    first_step = training.cursor.step
    try:
        stopped = _show_events(workspace, training, request)
    except StorageError as fault:
        if (training.folder / "resume.safetensors").exists():
            fault.hint = f"Once that is solved, continue with: charlstm train --resume {name}"
        raise
    page = _leave_report(workspace, training, first_step) if prints else None
    if stopped.reason == "diverged":
        _say_page(workspace, page)
        raise DivergedError(stopped.message, hint=_after_divergence(training, name))
    if stopped.reason == "interrupted":
        if prints:
            say(f"saved. Continue with: charlstm train --resume {name}")
            _say_page(workspace, page)
        raise typer.Exit(request.exit_code)
    if not prints or workspace.json_lines:
        return
    next_step = f"Write with: charlstm sample {name}"
    if training.run.model.bidirectional:
        next_step = f"Fill blanks with: charlstm fill {name} {with_blank(training.passage(200))}"
    say(f"done: {training.folder}. {next_step}")
    _say_page(workspace, page)
    if training.cursor.step > first_step and not workspace.quiet:
        from charlstm.cli.views.closing import close

        close(training, request)


def _leave_report(workspace: Workspace, training: Training, first_step: int) -> Path | None:
    """Write the page about the run, unless it is not wanted or nothing is new."""
    if not workspace.report or training.cursor.step == first_step:
        return None
    from charlstm.cli.reporting import leave_report

    return leave_report(training)


def _say_page(workspace: Workspace, page: Path | None) -> None:
    if page is not None and not workspace.quiet and not workspace.json_lines:
        say(f"How it went: {page}")


def _show_events(workspace: Workspace, training: Training, request: StopRequest) -> Stopped:
    """Train to the end or to a signal; the last event."""
    from charlstm.cli.views.progress import view
    from charlstm.events import Stopped
    from charlstm.training.memory import keep_freed_memory

    keep_freed_memory()  # here and not in the library: it lasts as long as the process, which is ours
    prints = training.ranks.is_rank_zero
    last: Stopped | None = None
    with view(training, quiet=workspace.quiet or not prints, json_lines=workspace.json_lines and prints) as shown:
        with request.saying(shown.say):
            for event in training.events(request):
                shown.show(event)
                if isinstance(event, Stopped):
                    last = event
    assert last is not None
    return last


def with_blank(passage: str) -> str:
    """A line to fill in: part of the longest one that can be typed in a shell, with one character left out."""
    plain = [line for line in passage.splitlines() if line.isprintable() and not set("_{}\ufffd") & set(line)]
    line = max(plain, key=len, default="")[:24]
    middle = len(line) // 2
    return shlex.quote(f"{line[:middle]}_{line[middle + 1 :]}")


def _command() -> str:
    return shlex.join(["charlstm", *sys.argv[1:]])
