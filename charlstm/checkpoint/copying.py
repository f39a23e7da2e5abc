"""A copy of a model, to keep or to give away: without what a resume needs, in half the size if wished."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Literal

from charlstm.checkpoint.format import convert, read, write
from charlstm.checkpoint.names import STARTER
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
    dtype: Literal["float16", "float32"] | None = None,
    note: str | None = None,
    force: bool = False,
) -> Path:
    """Copy a model; the copy is written whole or not at all.

    Args:
        store: where names lead.
        source: whatever `Store.find` takes.
        destination: a new run's name, a ``….safetensors`` file, or a folder (anything with a ``/``) for a
            ``model.safetensors``. A run's copy carries its new name in its settings.
        dtype: how the weights are stored; None keeps them. ``"float16"`` halves the file.
        note: a line for its provenance; None keeps the one there.
        force: replace what is there, its resume file and metrics too.

    Returns:
        The file written.

    Raises:
        NotFoundError, CheckpointError: the source cannot be used.
        UsageError: the destination is taken, or is the source; or weights are too large for ``dtype``.
        StorageError: the disk refuses.
    """
    origin = store.find(source)
    target, name = _target(store, destination)
    checkpoint = read(origin, kind="model")
    if os.path.exists(target) and os.path.samefile(origin, target):
        raise UsageError("cannot be copied onto itself", where=target)
    if dtype:
        checkpoint = convert(checkpoint, dtype)
    if note is not None:
        checkpoint = replace(checkpoint, provenance=checkpoint.provenance.replace(note=note))
    if name is not None:
        checkpoint = replace(checkpoint, run=checkpoint.run.replace(name=name))
    made = _make_folder(target.parent)
    try:
        _clear(store, target, force)
        write(target, checkpoint)
    except BaseException:
        if made:
            with suppress(OSError):  # not empty: then it is somebody's
                target.parent.rmdir()
        raise
    return target


def _target(store: Store, destination: str) -> tuple[Path, str | None]:
    """The file to write, and the run's name if it becomes one."""
    path = Path(destination)
    if path.suffix == ".safetensors":
        return path, None
    if path.name == destination:
        return store.folder(destination) / MODEL, destination
    if path.resolve() == starter_folder():  # made anew: its name is no run's else
        return path / MODEL, STARTER
    inside = path.parent.resolve() == store.root.resolve()
    return path / MODEL, store.folder(path.name).name if inside else None


def _make_folder(folder: Path) -> bool:
    existed = folder.is_dir()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as fault:
        raise storage_error(folder, fault, "cannot be made") from fault
    return not existed


def _clear(store: Store, target: Path, force: bool) -> None:
    """Make sure that nothing is lost unasked, and that no older training is left to go on beside another's model."""
    of_a_run = [target.with_name(name) for name in FILES] if target.name == MODEL else []
    there = [path for path in (target, *of_a_run) if os.path.lexists(path)]
    if there and not force:
        raise UsageError("is there already", where=there[0], hint="Choose another place, or replace it with --force.")
    if there and of_a_run:
        store.take_over(target.parent)
