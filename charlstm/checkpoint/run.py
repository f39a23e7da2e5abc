"""A run on disk: a folder with the files named here, and nothing else."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from charlstm.checkpoint.names import STARTER
from charlstm.errors import NotFoundError, UsageError
from charlstm.files import storage_error, temporary_for

MODEL = "model.safetensors"
"""The best weights and all that sampling needs."""
RESUME = "resume.safetensors"
"""All that an exact resume needs."""
METRICS = "metrics.jsonl"
"""The events of training, one per line."""
REPORT = "report.html"
"""The page about the run, written at the end of a session."""
LOCK = ".lock"
"""Locked by the process that trains."""
FILES = (MODEL, RESUME, METRICS, REPORT, LOCK)


@dataclass(frozen=True)
class RunEntry:
    """One run in the store, whole or broken."""

    name: str
    folder: Path
    modified: float
    """When its model was written, in seconds since 1970; for a run without a model, when its folder changed."""
    has_model: bool

    @property
    def model(self) -> Path:
        """The path of its ``model.safetensors``, whether or not it exists."""
        return self.folder / MODEL


def entry_of(folder: Path) -> RunEntry | None:
    """Return the run in a folder; None if the folder is not a run's."""
    if folder.name.startswith(".") or folder.name.casefold() == STARTER or not os.path.isdir(folder):
        return None
    model = folder / MODEL
    has_model = os.path.isfile(model)
    with suppress(OSError):  # a folder that cannot be read is listed, as broken
        names = os.listdir(folder)
        if not any(_is_run_file(name) for name in names) and names:
            return None
    try:
        modified = (model if has_model else folder).stat().st_mtime
    except OSError:  # removed by another terminal at this moment
        return None
    return RunEntry(folder.name, folder, modified, has_model)


def _is_run_file(name: str) -> bool:
    return name in FILES or temporary_for(name) in FILES


def files_to_remove(folder: Path) -> list[Path]:
    """List a run's files except the lock, the model first: a half removed run must not look like a whole one."""
    return sorted((file for file in folder.iterdir() if file.name != LOCK), key=lambda file: file.name != MODEL)


def check_removable_files(folder: Path) -> None:
    """Refuse a folder that holds anything but the files of a run.

    Raises:
        UsageError: it does, or it is a file.
        StorageError: it cannot be read.
    """
    if not folder.is_dir():
        raise UsageError("a file, not a run's folder", where=folder)
    try:
        others = [file.name for file in folder.iterdir() if not _is_run_file(file.name) or _is_real_folder(file)]
    except OSError as fault:
        raise storage_error(folder, fault, "cannot be read") from fault
    if others:
        what = f"holds {sorted(others)[0]!r}, which is not a file of a run"
        raise UsageError(what, where=folder, hint="Move it elsewhere, or remove the folder by hand.")


def _is_real_folder(file: Path) -> bool:
    return file.is_dir() and not file.is_symlink()


def model_in(folder: Path) -> Path:
    """Return the path of the model in a folder, a run's or another.

    Raises:
        NotFoundError: there is none.
    """
    model = folder / MODEL
    if os.path.isfile(model):
        return model
    began = os.path.exists(folder / RESUME)
    hint = "Its training stopped before the first evaluation; continue it with `resume`." if began else ""
    raise NotFoundError(f"no {MODEL} in it", where=folder, hint=hint)


def was_killed(folder: Path) -> bool:
    """Return whether a run's last session was killed: its last recorded event is not ``Stopped``."""
    metrics = folder / METRICS
    try:
        lines = metrics.read_bytes().splitlines() if metrics.is_file() else []  # a pipe there would block
    except OSError:
        return False
    return bool(lines) and b'"event": "Stopped"' not in lines[-1]
