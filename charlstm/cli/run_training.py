"""What ``charlstm train`` does once its options are read: prepare, train, show, leave with the right exit code."""

from __future__ import annotations

import contextlib
import shlex
import sys
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import typer

from charlstm.cli import launch as several
from charlstm.cli.options import DEFAULT_ROOT
from charlstm.cli.views.terminal import say
from charlstm.errors import CharlstmError, DivergedError, StorageError, UsageError

if TYPE_CHECKING:
    from charlstm.checkpoint.format import Checkpoint
    from charlstm.cli.interrupts import StopRequest
    from charlstm.training.distributed import Ranks
    from charlstm.training.loop import Training
    from charlstm.training.prepare import Prepared


class Place:
    """Where files go and how much is said."""

    def __init__(
        self, root: Path, cache: Path, name: str | None, out: Path | None, force: bool, quiet: bool, json_lines: bool
    ) -> None:
        from charlstm.checkpoint.store import Store

        if out is not None:
            if name is not None:
                raise UsageError("--name and --out both say where the run is kept", hint="Give one of them.")
            root, name = out.absolute().parent, out.name
        self.store = Store(root)
        self.cache, self.name, self.force, self.quiet, self.json_lines = cache, name, force, quiet, json_lines


@dataclass(frozen=True)
class Start:
    """Where a new run's settings come from, in rising order, and its weights."""

    flags: dict[str, dict[str, Any]]
    preset: str | None
    config: Path | None
    init_from: str | None

    def layers(self) -> list[dict[str, dict[str, Any]]]:
        """The settings made by hand."""
        from charlstm.settings_file import read_settings
        from charlstm.training.plan import presets

        of_file = read_settings(self.config) if self.config else {}
        return [presets.preset(self.preset) if self.preset else {}, of_file, self.flags]


def begin(place: Place, start: Start, dry_run: bool) -> None:
    """Choose the settings and train a new run, or with ``dry_run`` only show them."""
    if several.place() is None:
        prepared = _prepare(place, start, taken=dry_run or place.force)  # a mistake is told before torch is loaded
        if dry_run:
            from charlstm.cli.views import plan as plan_view

            plan_view.explain(prepared, place.store.root / (place.name or f"{prepared.encoded.name}-N"))
            return
        with several.joined() as ranks:
            _begin(place, prepared, ranks)
        return
    if dry_run:
        raise UsageError("--dry-run needs one process only", hint="Type it without torchrun.")
    with several.joined() as ranks:
        from charlstm.training.prepare import shared

        _begin(place, shared(ranks, lambda: _prepare(place, start, taken=place.force), place.cache), ranks)


def _begin(place: Place, prepared: Prepared, ranks: Ranks, into: Path | None = None) -> None:
    """Train a prepared run, in a folder of its own or ``into`` one."""
    from charlstm.cli.interrupts import StopRequest
    from charlstm.cli.views import plan as plan_view
    from charlstm.training import prepare

    # From here on Ctrl-C is a request: there is a folder now, and what it holds must be able to go on.
    with StopRequest(quiet=not ranks.is_rank_zero) as request:
        name, force = place.name, place.force
        folder = into or ranks.on_rank_zero(lambda: place.store.create(name, prepared.encoded.name, force))
        try:
            with _kept(place, folder, ranks):
                training = prepare.begin(prepared, folder, {"command": _command()}, ranks)
                if ranks.is_rank_zero and not place.quiet and not place.json_lines:
                    plan_view.announce(prepared, folder)
                _run(place, training, request)
        except CharlstmError:
            if ranks.is_rank_zero:
                _leave_nothing_useless(place, folder)
            raise


def begin_or_go_on(place: Place, start: Start, dry_run: bool) -> None:
    """``--resume auto``: go on with the run that is named, or begin it; the same command can be typed at any time."""
    if place.name is None:
        raise UsageError("--resume auto needs the run's name", hint="Give it with --name or --out.")
    if place.force or dry_run:
        what = "--force" if place.force else "--dry-run"
        raise UsageError(f"--resume auto and {what} do not go together", hint="Leave one of them out.")
    with several.joined() as ranks:
        from charlstm.cli.interrupts import StopRequest
        from charlstm.config import MAY_CHANGE
        from charlstm.training.plan.merge import merge
        from charlstm.training.prepare import shared
        from charlstm.training.resume import resume

        folder = place.store.folder(place.name)
        name = place.name
        layers = ranks.on_rank_zero(start.layers)
        if ranks.on_rank_zero(lambda: place.store.goes_on(name)):
            given = merge(*layers)
            changes = {name: given["train"].pop(name) for name in MAY_CHANGE if name in given["train"]}
            with StopRequest(quiet=not ranks.is_rank_zero) as request, _kept(place, folder, ranks):
                training = resume(folder, place.cache, changes, given=given, stdin=_stdin(), ranks=ranks)
                _run(place, training, request)
            return
        prepared = shared(ranks, lambda: _prepare(place, start, taken=True), place.cache)
        ranks.on_rank_zero(lambda: place.store.begin_anew(name))
        _begin(place, prepared, ranks, folder)


def _kept(place: Place, folder: Path, ranks: Ranks) -> AbstractContextManager[None]:
    """The run's lock, of which rank 0 is the keeper."""
    return place.store.lock(folder) if ranks.is_rank_zero else contextlib.nullcontext()


def _stdin() -> BinaryIO:
    return sys.stdin.buffer


def _prepare(place: Place, start: Start, *, taken: bool) -> Prepared:
    """Read and encode the text and complete the settings; unless it may be ``taken``, the run's name must be free."""
    layers = start.layers()
    init = _checkpoint(place, start.init_from) if start.init_from else None
    if place.name is not None and not taken:
        place.store.check_free(place.name)  # now, and not after a gigabyte has been encoded
    from charlstm.cli.interrupts import load_torch
    from charlstm.cli.views.progress import bytes_bar

    load_torch()
    from charlstm.training.plan.merge import merge
    from charlstm.training.prepare import prepare

    with bytes_bar("encoding", quiet=place.quiet or place.json_lines) as progress:
        return prepare(merge(*layers), place.cache, stdin=_stdin(), init=init, progress=progress)


def resume(place: Place, reference: str, flags: dict[str, dict[str, Any]], clash: object) -> None:
    """Go on with a run, for as long and on what is asked for; its other settings cannot change."""
    from charlstm.config import MAY_CHANGE

    changes = {name: flags["train"].pop(name) for name in MAY_CHANGE if name in flags["train"]}

    def looked_at() -> Path:
        folder = place.store.resumable(reference)
        _check_unchanged(folder, flags, clash)
        return folder

    from charlstm.cli.interrupts import StopRequest

    alone = several.place() is None
    folder = looked_at() if alone else Path()  # a mistake is told before torch is loaded
    with several.joined() as ranks:
        from charlstm.training import resume as resuming

        if not alone:
            folder = ranks.on_rank_zero(looked_at)
        with StopRequest(quiet=not ranks.is_rank_zero) as request, _kept(place, folder, ranks):
            _run(place, resuming.resume(folder, place.cache, changes, stdin=_stdin(), ranks=ranks), request)


def _check_unchanged(folder: Path, flags: dict[str, dict[str, Any]], clash: object) -> None:
    """Refuse settings that are not those the run has had all along.

    Raises:
        UsageError: one that is not, or an option that is only for new runs.
    """
    from charlstm.checkpoint.format import read_header
    from charlstm.checkpoint.store import RESUME
    from charlstm.config import RunConfig
    from charlstm.settings_file import kept
    from charlstm.training.resume import differing

    path = folder / RESUME
    fixed = [name for _, name in differing(kept(RunConfig, read_header(path).config, path), flags)]
    if clash or fixed:
        what = f"--{fixed[0].replace('_', '-')}" if fixed else "that option"
        if "sources" in fixed:
            what = "the text"
        raise UsageError(
            f"{what} cannot be changed in a run that goes on",
            hint="Only its end and --device, --precision, --threads can; or start another run with --init-from.",
        )


def _checkpoint(place: Place, reference: str) -> Checkpoint:
    from charlstm.checkpoint import format as checkpoint_format

    path = place.store.find(reference)
    checkpoint = checkpoint_format.read(path, kind="model")
    checkpoint_format.check_model(checkpoint, path)
    return checkpoint


def _leave_nothing_useless(place: Place, folder: Path) -> None:
    """Remove the folder of a run that failed before it saved anything, so that the same command can be typed again."""
    if not any((folder / name).exists() for name in ("model.safetensors", "resume.safetensors")):
        with contextlib.suppress(CharlstmError):
            place.store.remove(folder.name)


def _run(place: Place, training: Training, request: StopRequest) -> None:
    """Let it train, show what happens, and leave with the right exit code."""
    from charlstm.cli.views.progress import view
    from charlstm.events import Stopped

    name, tells = _reference(training.folder), training.ranks.is_rank_zero
    stopped: Stopped | None = None
    try:
        with view(training, quiet=place.quiet or not tells, json_lines=place.json_lines and tells) as show:
            for event in training.events(request):
                show(event)
                if isinstance(event, Stopped):
                    stopped = event
    except StorageError as fault:
        if (training.folder / "resume.safetensors").exists():
            fault.hint = f"Once that is mended, go on with: charlstm train --resume {name}"
        raise
    assert stopped is not None
    if stopped.reason == "diverged":
        raise DivergedError(stopped.message, hint="Start again with a lower --lr or a lower --grad-clip.")
    if stopped.reason == "interrupted":
        if tells:
            say(f"saved. Go on with: charlstm train --resume {name}")
        raise typer.Exit(request.exit_code)
    if tells and not place.json_lines:
        next_step = f"Write with: charlstm sample {name}"
        if training.run.model.bidirectional:
            next_step = f"Fill blanks with: charlstm fill {name} {_gapped(training.passage(200))}"
        say(f"done: {training.folder}. {next_step}")


def _gapped(passage: str) -> str:
    """What to type to see a blank filled: part of the longest line that can be typed, one character left out."""
    plain = [line for line in passage.splitlines() if line.isprintable() and not set("_{}\ufffd") & set(line)]
    line = max(plain, key=len, default="")[:24]
    gap = len(line) // 2
    return shlex.quote(f"{line[:gap]}_{line[gap + 1 :]}")


def _reference(folder: Path) -> str:
    """What to type to name this run again."""
    usual = folder.parent.resolve() == DEFAULT_ROOT.resolve()
    return shlex.quote(folder.name if usual else str(folder))


def _command() -> str:
    return shlex.join(["charlstm", *sys.argv[1:]])
