"""Copy a model, to keep or to share: without what only a resume needs, and smaller on request."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from charlstm.checkpoint.format import Checkpoint, StoredAs, convert, read_model, write
from charlstm.checkpoint.names import STARTER
from charlstm.checkpoint.references import find_model
from charlstm.checkpoint.run import FILES, MODEL
from charlstm.checkpoint.store import Store
from charlstm.errors import UsageError
from charlstm.files import storage_error
from charlstm.paths import starter_folder


def copy(
    store: Store,
    source: str,
    destination: str,
    *,
    dtype: StoredAs | None = None,
    note: str | None = None,
    force: bool = False,
) -> Path:
    """Copy a model; the copy is written completely or not at all.

    Args:
        store: the folder of runs, for the names in ``source`` and ``destination``.
        source: as `find_model` takes it.
        destination: a new run's name, a ``….safetensors`` file, or a folder (anything with a ``/``) that gets a
            ``model.safetensors``. A copy that becomes a run has its new name in its settings.
        dtype: how the weights are stored; None keeps their type. ``"float16"`` halves the file, ``"int8"`` quarters it.
        note: a line for the copy's provenance; None keeps the source's.
        force: replace an existing file or run, its resume file and metrics too.

    Returns:
        The path of the file written.

    Raises:
        NotFoundError, CheckpointError: the source cannot be used.
        UsageError: the destination exists, or is the source; or weights are too large for ``dtype``.
        StorageError: the file cannot be written.
    """
    origin = find_model(store, source)
    target, name = _target(store, destination)
    checkpoint = read_model(origin)
    if os.path.exists(target) and os.path.samefile(origin, target):
        raise UsageError("cannot be copied onto itself", where=target)
    if dtype:
        checkpoint = convert(checkpoint, dtype)
    if note is not None:
        checkpoint = replace(checkpoint, provenance=checkpoint.provenance.replace(note=note))
    if name is not None:
        checkpoint = replace(checkpoint, run=checkpoint.run.replace(name=name))
    write_new(target, checkpoint, force=force)
    return target


def write_new(target: Path, checkpoint: Checkpoint, *, force: bool = False) -> None:
    """Write a model to a place where there is none; it is written completely or not at all.

    Args:
        target: the file; its folder is created if need be.
        checkpoint: the model.
        force: replace an existing file. A resume file and metrics of another run beside it go too.

    Raises:
        UsageError: the file exists, or its folder holds another run.
        StorageError: the file cannot be written.
    """
    made = _make_folder(target.parent)
    try:
        _clear(target, force)
        write(target, checkpoint)
    except BaseException:
        if made:
            with suppress(OSError):  # not empty: another process has written into it
                target.parent.rmdir()
        raise


def _target(store: Store, destination: str) -> tuple[Path, str | None]:
    """Return the file to write, and the name of the run that it makes, if it makes one."""
    path = Path(destination)
    if path.suffix == ".safetensors":
        return path, None
    if path.name == destination:
        return store.folder(destination) / MODEL, destination
    if path.resolve() == starter_folder():  # updating the starter itself: the one run that may have this name
        return path / MODEL, STARTER
    inside = path.parent.resolve() == store.root.resolve()
    return path / MODEL, store.folder(path.name).name if inside else None


def _make_folder(folder: Path) -> bool:
    existed = folder.is_dir()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as fault:
        raise storage_error(folder, fault, "cannot be created") from fault
    return not existed


def _clear(target: Path, force: bool) -> None:
    """Refuse to replace anything without ``force``; with it, drop a resume file that belongs to another model."""
    run_files = [target.with_name(name) for name in FILES] if target.name == MODEL else []
    existing = [path for path in (target, *run_files) if os.path.lexists(path)]
    if existing and not force:
        hint = "Choose another place, or add `force` to replace it."
        raise UsageError("exists already", where=existing[0], hint=hint)
    if existing and run_files:
        Store(target.parent.parent).take_over(target.parent)
