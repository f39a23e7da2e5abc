"""One run on the disk: a folder with the files named here, and nothing else."""

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
"""What happened, one event a line."""
LOCK = ".lock"
"""Held by the process that trains."""
FILES = (MODEL, RESUME, METRICS, LOCK)


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
        """Its ``model.safetensors``, there or not."""
        return self.folder / MODEL


def entry_of(folder: Path) -> RunEntry | None:
    """The run in a folder; None if it is no run's folder."""
    if folder.name.startswith(".") or folder.name.casefold() == STARTER or not os.path.isdir(folder):
        return None
    model = folder / MODEL
    has_model = os.path.isfile(model)
    with suppress(OSError):  # one we may not look into is shown, as broken
        names = os.listdir(folder)
        if not any(_is_ours(name) for name in names) and names:
            return None
    try:
        modified = (model if has_model else folder).stat().st_mtime
    except OSError:  # removed by another terminal at this moment
        return None
    return RunEntry(folder.name, folder, modified, has_model)


def _is_ours(name: str) -> bool:
    return name in FILES or temporary_for(name) in FILES


def files_to_remove(folder: Path) -> list[Path]:
    """The files of a run but for the lock, the model first: half removed, a run must not look like a whole one."""
    return sorted((file for file in folder.iterdir() if file.name != LOCK), key=lambda file: file.name != MODEL)


def check_ours(folder: Path) -> None:
    """Refuse a folder with anything in it that training did not put there.

    Raises:
        UsageError: it is no run's folder.
        StorageError: it cannot be read.
    """
    if not folder.is_dir():
        raise UsageError("a file, not a run's folder", where=folder)
    try:
        others = [file.name for file in folder.iterdir() if not _is_ours(file.name) or _is_real_folder(file)]
    except OSError as fault:
        raise storage_error(folder, fault, "cannot be read") from fault
    if others:
        what = f"holds {sorted(others)[0]!r}, which no training wrote"
        raise UsageError(what, where=folder, hint="Move it elsewhere, or remove the folder by hand.")


def _is_real_folder(file: Path) -> bool:
    return file.is_dir() and not file.is_symlink()


def model_in(folder: Path) -> Path:
    """The model of a run or another folder.

    Raises:
        NotFoundError: it has none.
    """
    model = folder / MODEL
    if os.path.isfile(model):
        return model
    began = os.path.exists(folder / RESUME)
    hint = "Its training stopped before the first evaluation; charlstm train --resume goes on." if began else ""
    raise NotFoundError(f"no {MODEL} in it", where=folder, hint=hint)


def was_cut_short(folder: Path) -> bool:
    """Whether a run's session was killed: the last of the events in its folder is not that it stopped."""
    try:
        lines = (folder / METRICS).read_bytes().splitlines()
    except OSError:
        return False
    return bool(lines) and b'"event": "Stopped"' not in lines[-1]
