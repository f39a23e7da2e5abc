"""What ``charlstm train`` does once its options are read: prepare, train, show, leave with the right exit code."""

from __future__ import annotations

import contextlib
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from charlstm.cli.options import DEFAULT_ROOT
from charlstm.cli.render import say
from charlstm.errors import CharlstmError, DivergedError, StorageError, UsageError

if TYPE_CHECKING:
    from charlstm.checkpoint.format import Checkpoint
    from charlstm.cli.signals import StopRequest
    from charlstm.runs import Prepared
    from charlstm.training import Training


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


def begin(
    place: Place,
    flags: dict[str, dict[str, Any]],
    preset: str | None,
    config: Path | None,
    init_from: str | None,
    dry_run: bool,
) -> None:
    """Choose the settings and train a new run, or with ``dry_run`` only show them."""
    from charlstm.cli import plan as plan_view
    from charlstm.config import read_settings
    from charlstm.settings import presets

    layers = [presets.preset(preset) if preset else {}, read_settings(config) if config else {}, flags]
    init = _checkpoint(place, init_from) if init_from else None
    if place.name is not None and not dry_run and not place.force:
        place.store.check_free(place.name)  # now, and not after a gigabyte has been encoded
    prepared = _prepare(place, layers, init)
    if dry_run:
        plan_view.explain(prepared, place.store.root / (place.name or f"{prepared.encoded.name}-N"))
        return
    from charlstm import runs
    from charlstm.cli.signals import StopRequest

    # From here on Ctrl-C is a request: there is a folder now, and what it holds must be able to go on.
    with StopRequest() as request:
        folder = place.store.create(place.name, prepared.encoded.name, place.force)
        try:
            with place.store.lock(folder):
                training = runs.begin(prepared, folder, {"command": _command()})
                if not place.quiet and not place.json_lines:
                    plan_view.announce(prepared, folder)
                _run(place, training, request)
        except CharlstmError:
            _leave_nothing_useless(place, folder)
            raise


def _prepare(place: Place, layers: list[dict[str, dict[str, Any]]], init: Checkpoint | None) -> Prepared:
    from charlstm.cli.progress import bytes_bar
    from charlstm.cli.signals import load_torch

    load_torch()
    from charlstm import runs

    given = runs.merge(*layers)

    def probe() -> Any:
        from charlstm.settings.probe import probe as measure

        return measure(given["train"].get("device"), given["train"].get("precision"))

    with bytes_bar("encoding", quiet=place.quiet or place.json_lines) as progress:
        return runs.prepare(given, probe, place.cache, stdin=sys.stdin.buffer, init=init, progress=progress)


def resume(place: Place, reference: str, flags: dict[str, dict[str, Any]], clash: object) -> None:
    """Go on with a run; of its settings only the budget can change."""
    train = flags["train"]
    budget: dict[str, Any] = {k: train.pop(k) for k in ("max_time", "max_steps", "epochs") if k in train}
    folder = place.store.resumable(reference)
    fixed = _changed(folder, flags)
    if clash or fixed:
        what = f"--{fixed[0].replace('_', '-')}" if fixed else "that option"
        if "sources" in fixed:
            what = "the text"
        raise UsageError(
            f"{what} cannot be changed in a run that goes on",
            hint="Only --max-time, --max-steps and --epochs can; or start another run with --init-from.",
        )
    from charlstm.cli.signals import StopRequest, load_torch

    load_torch()
    from charlstm import runs

    with StopRequest() as request, place.store.lock(folder):
        _run(place, runs.resume(folder, place.cache, budget, stdin=sys.stdin.buffer), request)


def _changed(folder: Path, flags: dict[str, dict[str, Any]]) -> list[str]:
    """The settings given that are not those the run has had all along."""
    from charlstm.checkpoint.format import read_header
    from charlstm.checkpoint.store import RESUME

    had = read_header(folder / RESUME).config
    values = ((section, name, value) for section, values in flags.items() for name, value in values.items())
    return [name for section, name, value in values if _plain(value) != had.get(section, {}).get(name)]


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


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
    from charlstm.cli.progress import view
    from charlstm.events import Stopped

    name = _reference(training.folder)
    stopped: Stopped | None = None
    try:
        with view(training, quiet=place.quiet, json_lines=place.json_lines) as show:
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
        say(f"saved. Go on with: charlstm train --resume {name}")
        raise typer.Exit(request.exit_code)
    if not place.json_lines:
        next_step = f"Write with: charlstm sample {name}"
        if training.run.model.bidirectional:
            next_step = f'Fill blanks with: charlstm fill {name} "The s__ was rising."'
        say(f"done: {training.folder}. {next_step}")


def _reference(folder: Path) -> str:
    """What to type to name this run again."""
    usual = folder.parent.resolve() == DEFAULT_ROOT.resolve()
    return shlex.quote(folder.name if usual else str(folder))


def _command() -> str:
    return shlex.join(["charlstm", *sys.argv[1:]])
