"""The store: one folder of runs, each a folder of its own.

A run is known by its folder's name; "newest" means the one whose model was written last. No file is read here, so
that a broken run is as easy to find, and to remove, as any other.
"""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

from charlstm.checkpoint.names import LATEST, STARTER, cleaned, name_fault
from charlstm.checkpoint.run import (
    LOCK,
    METRICS,
    MODEL,
    RESUME,
    RunEntry,
    check_ours,
    entry_of,
    files_to_remove,
    model_in,
    was_cut_short,
)
from charlstm.errors import NotFoundError, UsageError
from charlstm.files import locked, storage_error
from charlstm.paths import starter_folder

__all__ = ["METRICS", "MODEL", "RESUME", "ROOT", "RunEntry", "Store"]

ROOT = Path("checkpoints")


class Store:
    """The runs below one folder.

    Args:
        root: the folder; it need not exist yet.
    """

    def __init__(self, root: Path | str = ROOT) -> None:
        self.root = Path(root)

    def runs(self) -> list[RunEntry]:
        """Every run, the newest first; the starter is not one of them.

        Raises:
            StorageError: the root is there, but cannot be read.
        """
        entries = [entry for name in self._names() if (entry := entry_of(self.root / name)) is not None]
        return sorted(entries, key=lambda entry: (-entry.modified, entry.name))

    def find(self, reference: str | None = None) -> Path:
        """The model file a reference means.

        Args:
            reference: a run's name (it wins over a file of the same name here), a folder, a file, ``"latest"``,
                ``"starter"``, or None for the newest run and, if there is none, the starter.

        Raises:
            NotFoundError: nothing of that name; close names are told.
        """
        if reference is None:
            return self._latest() or _starter()
        if reference == STARTER:
            return _starter()
        if reference == LATEST:
            latest = self._latest()
            if latest is None:
                raise NotFoundError("no trained runs yet", where=self.root, hint="Train one with `charlstm train`.")
            return latest
        return self._named(reference) or _at_path(reference) or self._not_found(reference)

    def folder(self, name: str) -> Path:
        """The folder a run of this name has, or would have.

        Raises:
            UsageError: no name for a run.
        """
        fault = name_fault(name)
        if fault:
            raise UsageError(f"{name!r} cannot be a run's name: {fault}")
        return self.root / name

    def check_free(self, name: str) -> None:
        """Refuse a name that `create` would refuse, before any work is done for it.

        Raises:
            UsageError: the name cannot be, or is taken.
        """
        if os.path.lexists(self.folder(name)):
            self._taken(name)

    def resumable(self, reference: str) -> Path:
        """The folder of a run that can go on: a run's name, a folder, or ``"latest"``, the one last worked on.

        Raises:
            NotFoundError: there is no such run, or it has nothing to resume.
        """
        if reference == LATEST:
            resumes = [entry.folder for entry in self.runs() if (entry.folder / RESUME).is_file()]
            newest = max(resumes, key=lambda folder: (folder / RESUME).stat().st_mtime, default=None)
            if newest is None:
                raise NotFoundError("no run to go on with", where=self.root, hint="Start one with `charlstm train`.")
            return newest
        named = self.root / reference
        folder = named if reference in self._names() else Path(reference)
        if not os.path.isdir(folder):
            self._not_found(reference)
        if not (folder / RESUME).is_file():
            raise NotFoundError(f"no {RESUME} in it, so it cannot go on", where=folder)
        return folder

    def create(self, name: str | None, default: str, force: bool = False) -> Path:
        """Make a run's folder, for this process alone even if another asks for the same at the same time.

        Args:
            name: its name, or None for the next free number behind ``default``.
            default: as ``"english"``, which gives ``english-1``, ``english-2`` …; what no name can hold becomes ``-``.
            force: take over a run that is there: its resume file and metrics go at once; its model stays until the
                first new one takes its place.

        Raises:
            UsageError: the name cannot be, or is taken.
            StorageError: the folder cannot be made.
        """
        if name is None:
            return self._numbered(cleaned(default))
        folder = self.folder(name)
        if self._make(folder):
            return folder
        if not force:
            self._taken(name)
        self.take_over(folder)
        return folder

    def goes_on(self, name: str) -> bool:
        """Whether a run of this name can go on; False if it has yet to begin, or was killed before its first save.

        Raises:
            UsageError: no name for a run; or it has ended and no longer has what it takes to go on.
        """
        folder = self.folder(name)
        if (folder / RESUME).is_file():
            return True
        if (folder / MODEL).is_file() and not was_cut_short(folder):
            raise UsageError(
                f"it has a model, but no {RESUME}, so it cannot go on",
                where=folder,
                hint="Choose another name, or begin it anew with --force in place of --resume auto.",
            )
        return False

    def begin_anew(self, name: str) -> None:
        """Make the folder of a run that `goes_on` said has yet to begin, or take over what it left.

        Raises:
            UsageError, StorageError: as `create`.
        """
        self.create(name, name, force=True)

    def take_over(self, folder: Path) -> None:
        """Make a run ready for another's model: its resume file and metrics go, its model stays until replaced.

        Raises:
            UsageError: another process trains it, or the folder holds what no training wrote.
            StorageError: the system refuses.
        """
        check_ours(folder)
        with self.lock(folder):
            try:
                for name in (RESUME, METRICS):
                    folder.joinpath(name).unlink(missing_ok=True)
            except OSError as fault:
                raise storage_error(folder, fault, "cannot be replaced") from fault

    def remove(self, name: str) -> None:
        """Remove a run; for a link to one, only the link. Nothing outside the root is ever touched.

        Raises:
            NotFoundError: no such run.
            UsageError: not a run of ours, or one in training.
            StorageError: the system refuses.
        """
        folder = self.check_removable(name)
        try:
            if folder.is_symlink():
                folder.unlink()
                return
            with self.lock(folder, remove=True):
                for file in files_to_remove(folder):
                    file.unlink()
            folder.rmdir()
        except OSError as fault:
            raise storage_error(folder, fault, "cannot be removed") from fault

    def check_removable(self, name: str) -> Path:
        """The folder of a run that `remove` would take; nothing is changed.

        Raises:
            NotFoundError, UsageError: as `remove`.
        """
        # A run brought by hand may have a name we would not give; the starter's is never a run's.
        known = name in self._names() and name.casefold() != STARTER
        folder = self.root / name if known else self.folder(name)
        if not os.path.lexists(folder):
            self._not_found(name)
        if not folder.is_symlink():
            if folder.resolve().parent != self.root.resolve():
                raise UsageError("not inside the checkpoint root", where=folder)
            check_ours(folder)
            if folder.joinpath(LOCK).exists():
                with self.lock(folder):
                    pass
        return folder

    @contextmanager
    def lock(self, folder: Path, *, remove: bool = False) -> Iterator[None]:
        """Keep a run to this process for the length of a ``with`` block.

        Args:
            folder: the run's folder.
            remove: whether to remove the lock file too, after a block that succeeded.

        Raises:
            UsageError: another process has it.
            NotFoundError: there is no such folder.
            StorageError: the folder cannot be written to.
        """
        if not folder.is_dir():
            raise NotFoundError("no such folder", where=folder)
        hint = "Wait for it, stop it, or choose another name."
        busy = UsageError("another charlstm is training this run", where=folder, hint=hint)
        with locked(folder / LOCK, busy, remove=remove):
            yield

    def _names(self) -> list[str]:
        try:
            return os.listdir(self.root)
        except FileNotFoundError:
            return []
        except OSError as fault:
            raise storage_error(self.root, fault, "cannot be read") from fault

    def _latest(self) -> Path | None:
        return next((entry.model for entry in self.runs() if entry.has_model), None)

    def _named(self, reference: str) -> Path | None:
        """The model of the run of this name. A run brought by hand may have a name we would not give."""
        if not reference or os.path.basename(reference) != reference or reference in {os.curdir, os.pardir}:
            return None
        folder = self.root / reference
        return model_in(folder) if entry_of(folder) is not None else None

    def _not_found(self, reference: str) -> NoReturn:
        names = {entry.name.casefold(): entry.name for entry in self.runs()}
        close = difflib.get_close_matches(reference.casefold(), names, n=3, cutoff=0.6)
        meant = f"Did you mean {' or '.join(names[name] for name in close)}? " if close else ""
        hint = f"{meant}`charlstm checkpoints list` shows all runs."
        raise NotFoundError(f"no run, folder or file {reference!r}", hint=hint)

    def _taken(self, name: str) -> NoReturn:
        hint = "Choose another name, or replace it with --force."
        raise UsageError(f"there is a run {name!r} already", where=self.root, hint=hint)

    def _numbered(self, default: str) -> Path:
        pattern = re.compile(re.escape(default) + r"-(\d{1,9})")
        taken = [int(match[1]) for name in self._names() if (match := pattern.fullmatch(name))]
        number = max(taken, default=0) + 1
        while not self._make(self.root / f"{default}-{number}"):  # another terminal was quicker
            number += 1
        return self.root / f"{default}-{number}"

    def _make(self, folder: Path) -> bool:
        """Make a run's folder; False if there is something of that name."""
        try:
            self.root.mkdir(parents=True, exist_ok=True)
        except OSError as fault:
            raise storage_error(self.root, fault, "cannot be made") from fault
        try:
            folder.mkdir()
        except FileExistsError:
            return False
        except OSError as fault:
            raise storage_error(folder, fault, "cannot be made") from fault
        return True


def _at_path(reference: str) -> Path | None:
    if reference and os.path.isdir(reference):
        return model_in(Path(reference))
    return Path(reference) if os.path.exists(reference) else None


def _starter() -> Path:
    model = starter_folder() / MODEL
    if not model.is_file():
        raise NotFoundError("there is no starter here", where=model, hint="Train a run with `charlstm train`.")
    return model
