"""From what a person types to a file: a run's name, a folder, a file, ``"latest"`` or ``"starter"``."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from charlstm.checkpoint.format import Checkpoint, read_header, read_model
from charlstm.checkpoint.names import LATEST, STARTER
from charlstm.checkpoint.run import MODEL, RESUME, entry_of, model_in
from charlstm.checkpoint.store import Store, check_not_linked
from charlstm.errors import CharlstmError, CorruptError, NotFoundError
from charlstm.paths import starter_folder


def find_model(store: Store, reference: str | None = None) -> Path:
    """Find the model file that a reference means.

    Args:
        store: the folder of runs.
        reference: a run's name (it takes precedence over a file of that name here), a folder, a file, ``"latest"``,
            ``"starter"``, or None for the newest run or, without any run, the starter.

    Returns:
        The path of an existing file; nothing in it has been read.

    Raises:
        NotFoundError: there is no such model; the message suggests similar names.
    """
    if reference is None:
        return _latest(store) or _starter()
    if reference == STARTER:
        return _starter()
    if reference == LATEST:
        latest = _latest(store)
        if latest is None:
            raise NotFoundError("no trained runs yet", where=store.root, hint="Train one with `charlstm train`.")
        return latest
    path = _model_of_run(store, reference) or _model_at_path(reference)
    if path is None:
        raise store.no_such_run(reference)
    return path


def find_writer(store: Store) -> tuple[Path, list[str]]:
    """Find the newest run that can write or, without any, the starter.

    A run that cannot be read is taken, too: reading it raises the error that says why.

    Args:
        store: the folder of runs.

    Returns:
        The path of its model, and the names of the newer runs that were passed over: they are bidirectional.

    Raises:
        NotFoundError: there is neither a run nor the starter.
    """
    passed_over: list[str] = []
    for entry in store.runs():
        if entry.has_model:
            if not _is_bidirectional(entry.model):
                return entry.model, passed_over
            passed_over.append(entry.name)
    return _starter(), passed_over


def _is_bidirectional(model: Path) -> bool:
    try:
        return read_header(model).run.model.bidirectional
    except CharlstmError:
        return False


def read_starter() -> Checkpoint | None:
    """Read the starter; None if this installation lacks it.

    Raises:
        CheckpointError, StorageError: it cannot be used.
    """
    try:
        path = _starter()
    except NotFoundError:
        return None
    return read_model(path)


def find_resumable(store: Store, reference: str) -> Path:
    """Find the folder of a run that can be resumed.

    Args:
        store: the folder of runs.
        reference: a run's name, a folder, or ``"latest"`` for the run that was saved last.

    Returns:
        The run's folder, which has a ``resume.safetensors``.

    Raises:
        NotFoundError: there is no such run, or it cannot be resumed.
        UsageError: the run of that name is a link.
    """
    if reference == LATEST:
        entries = [entry for entry in store.runs() if not entry.folder.is_symlink()]
        folders = [entry.folder for entry in entries if (entry.folder / RESUME).is_file()]
        newest = max(folders, key=lambda folder: (folder / RESUME).stat().st_mtime, default=None)
        if newest is None:
            raise NotFoundError("no run to resume", where=store.root, hint="Start one with `charlstm train`.")
        return newest
    folder = Path(reference)
    if store.spelled(reference) in store.folder_names():
        folder = store.root / store.spelled(reference)
        check_not_linked(folder)
    if not os.path.isdir(folder):
        raise store.no_such_run(reference)
    if not (folder / RESUME).is_file():
        hint = _begin_with(reference) if (folder / MODEL).is_file() else ""
        raise NotFoundError(f"no {RESUME} in it, so it cannot be resumed", where=folder, hint=hint)
    return folder


@contextmanager
def hint_at_model(folder: Path) -> Iterator[None]:
    """Let the error for a corrupt resume file, raised in a ``with`` block, say what its run is still good for.

    Args:
        folder: of the run. Where its model is corrupt, too, the error stays as it is.
    """
    try:
        yield
    except CorruptError as fault:
        with suppress(CharlstmError):
            read_model(folder / MODEL)
            fault.hint = f"The model beside it is intact. {_begin_with(str(folder))}"
        raise


def _begin_with(reference: str) -> str:
    return f"A new run with `init_from={reference!r}` begins with its weights."


def _latest(store: Store) -> Path | None:
    return next((entry.model for entry in store.runs() if entry.has_model), None)


def _model_of_run(store: Store, reference: str) -> Path | None:
    """The model of the run of this name; a run copied here by hand may have a name that `create` would refuse."""
    if not reference or os.path.basename(reference) != reference or reference in {os.curdir, os.pardir}:
        return None
    folder = store.root / store.spelled(reference)
    return model_in(folder) if entry_of(folder) is not None else None


def _model_at_path(reference: str) -> Path | None:
    if reference and os.path.isdir(reference):
        return model_in(Path(reference))
    return Path(reference) if os.path.exists(reference) else None


def _starter() -> Path:
    model = starter_folder() / MODEL
    if not model.is_file():
        raise NotFoundError("no starter model here", where=model, hint="Train a run with `charlstm train`.")
    return model
