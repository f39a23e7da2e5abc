"""The store: one folder of runs, each a folder of its own.

A run is known by its folder's name; "newest" means that its model was written last. No file is read here, so a broken
run is as easy to list and to remove as any other.
"""

from __future__ import annotations

import difflib
import os
import re
import sys
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from charlstm.checkpoint.names import STARTER, clean_name, name_fault
from charlstm.checkpoint.run import (
    FILES,
    LOCK,
    METRICS,
    MODEL,
    REPORT,
    RESUME,
    RunEntry,
    check_removable_files,
    entry_of,
    files_to_remove,
    was_killed,
)
from charlstm.errors import CharlstmError, NotFoundError, StorageError, UsageError
from charlstm.files import locked, remove_leftovers, storage_error

ROOT = Path("checkpoints")


class Store:
    """The runs in one folder.

    Args:
        root: the folder; it need not exist yet.
    """

    def __init__(self, root: Path | str = ROOT) -> None:
        self.root = Path(root)

    def runs(self) -> list[RunEntry]:
        """List every run, the newest first; the starter is not one of them.

        Raises:
            StorageError: the root exists, but cannot be read.
        """
        entries = [entry for name in self.folder_names() if (entry := entry_of(self.root / name)) is not None]
        return sorted(entries, key=lambda entry: (-entry.modified, entry.name))

    def folder_names(self) -> list[str]:
        """List the names of everything in the root, runs or not.

        Raises:
            StorageError: the root exists, but cannot be read.
        """
        try:
            return os.listdir(self.root)
        except FileNotFoundError:
            return []
        except OSError as fault:
            raise storage_error(self.root, fault, "cannot be read") from fault

    def spelled(self, name: str) -> str:
        """Return a name as the root spells it, or would: an é may be typed as one character (NFC) or as two (NFD)."""
        if name.isascii():
            return name
        composed = unicodedata.normalize("NFC", name)
        spellings = name, composed, unicodedata.normalize("NFD", name)
        return next((each for each in spellings if os.path.lexists(self.root / each)), composed)

    def folder(self, name: str) -> Path:
        """Return the folder that a run of this name has, or would have.

        Raises:
            UsageError: the name is not allowed.
        """
        fault = name_fault(name)
        if fault:
            raise UsageError(f"{name!r} cannot be a run's name: {fault}")
        return self.root / self.spelled(name)

    def no_such_run(self, reference: str) -> NotFoundError:
        """Make the error for a reference that leads nowhere; it suggests up to three similar names."""
        names = {entry.name.casefold(): entry.name for entry in self.runs()}
        close = difflib.get_close_matches(reference.casefold(), names, n=3, cutoff=0.6)
        suggestion = f"Did you mean {' or '.join(names[name] for name in close)}? " if close else ""
        hint = f"{suggestion}`charlstm checkpoints list` shows all runs."
        return NotFoundError(f"no run, folder or file {reference!r}", hint=hint)

    # ---- creating --------------------------------------------------------------------------------------------------

    def check_free(self, name: str) -> None:
        """Refuse a name that `create` would refuse, before any work is done for it.

        Raises:
            UsageError: the name is not allowed, or is taken.
        """
        if os.path.lexists(self.folder(name)):
            raise self._name_taken(name)

    def create(self, name: str | None, default: str, force: bool = False) -> Path:
        """Create a run's folder. Of several processes that ask for the same name at once, one gets it.

        Args:
            name: the run's name, or None for ``default`` with the next free number.
            default: ``"english"`` gives ``english-1``, ``english-2`` …; a character that no name may hold becomes
                ``-``.
            force: take over an existing run: all its files go at once but the model, which stays until the first
                new one replaces it.

        Returns:
            The folder, empty but for the model of a run that is taken over.

        Raises:
            UsageError: the name is not allowed, or is taken.
            StorageError: the folder cannot be created.
        """
        if name is None:
            return self._create_numbered(clean_name(default))
        folder = self.folder(name)
        if self._make(folder):
            return folder
        if not force:
            raise self._name_taken(name)
        self.take_over(folder)
        return folder

    def can_resume(self, name: str) -> bool:
        """Return whether a run of this name can be resumed; False if it has yet to start, or never got to save.

        Raises:
            UsageError: the name is not allowed, or leads elsewhere; or the run has ended and its resume file is gone.
        """
        folder = self.folder(name)
        check_not_linked(folder)
        if (folder / RESUME).is_file():
            return True
        if (folder / MODEL).is_file() and not was_killed(folder):
            raise UsageError(
                f"it has a model, but no {RESUME}, so it cannot be resumed",
                where=folder,
                hint="Choose another name, or start it again with `force` instead of `resume`.",
            )
        return False

    def restart(self, name: str) -> None:
        """Create the folder of a run that `can_resume` denied, or take over what a killed process left in it.

        Raises:
            UsageError, StorageError: as `create`.
        """
        self.create(name, name, force=True)

    def take_over(self, folder: Path) -> None:
        """Make a folder ready for another run's model: all files go but the model, which stays until replaced.

        A link gives way to a new folder: nothing outside the root is ever touched.

        Raises:
            UsageError: another process trains this run, or the folder holds files that are not a run's.
            StorageError: the system refuses.
        """
        if folder.is_symlink():
            try:
                folder.unlink()
            except OSError as fault:
                raise storage_error(folder, fault, "cannot be replaced") from fault
            if not self._make(folder):
                raise self._name_taken(folder.name)
            return
        check_removable_files(folder)
        with self.lock(folder):
            try:
                for name in (RESUME, METRICS, REPORT):
                    folder.joinpath(name).unlink(missing_ok=True)
            except OSError as fault:
                raise storage_error(folder, fault, "cannot be replaced") from fault

    # ---- removing --------------------------------------------------------------------------------------------------

    def remove(self, name: str) -> None:
        """Remove a run; of a link to one, only the link. Nothing outside the root is ever touched.

        Raises:
            NotFoundError: there is no such run.
            UsageError: it holds files that are not a run's, or another process trains it.
            StorageError: the system refuses.
        """
        folder = self.check_removable(name)
        try:
            if folder.is_symlink():
                folder.unlink()
                return
            with self.lock(folder):
                for file in files_to_remove(folder):
                    file.unlink()
                if sys.platform != "win32":
                    _remove_with_lock(folder)
            if sys.platform == "win32":  # there an open file cannot be removed, nor one that another process has open
                _remove_with_lock(folder)
        except OSError as fault:
            raise storage_error(folder, fault, "cannot be removed") from fault

    def remove_if_unsaved(self, folder: Path) -> None:
        """Remove a run that failed before it saved anything, so that it can be started again under its name."""
        if any((folder / file).exists() for file in (MODEL, RESUME)):
            return
        try:
            self.remove(folder.name)
        except StorageError:  # on a disk without locks
            with suppress(OSError):
                folder.joinpath(LOCK).unlink(missing_ok=True)
                folder.rmdir()  # fails where there is more in it
        except CharlstmError:
            pass

    def check_removable(self, name: str) -> Path:
        """Return the folder of a run that `remove` would remove; nothing is changed.

        Raises:
            NotFoundError, UsageError: as `remove`.
        """
        # A run copied here by hand may have a name that `create` would refuse; the starter's is never a run's.
        exists = self.spelled(name) in self.folder_names() and name.casefold() != STARTER
        folder = self.root / self.spelled(name) if exists else self.folder(name)
        if not os.path.lexists(folder):
            raise self.no_such_run(name)
        if not folder.is_symlink():
            if folder.resolve().parent != self.root.resolve():
                raise UsageError("not inside the checkpoint root", where=folder)
            check_removable_files(folder)
            if folder.joinpath(LOCK).exists():
                with self.lock(folder):
                    pass
        return folder

    # ---- locking ---------------------------------------------------------------------------------------------------

    @contextmanager
    def lock(self, folder: Path) -> Iterator[None]:
        """Reserve a run for this process while it trains; what killed writers left in its folder is removed.

        Raises:
            UsageError: another process has reserved it.
            NotFoundError: there is no such folder.
            StorageError: the folder cannot be written to.
        """
        if not folder.is_dir():
            raise NotFoundError("no such folder", where=folder)
        hint = "Wait for it, stop it, or choose another name."
        with locked(folder / LOCK, UsageError("another charlstm is training this run", where=folder, hint=hint)):
            if not folder.joinpath(LOCK).exists():  # removed between the opening of the file and its locking
                raise NotFoundError("another process has just removed this run", where=folder)
            remove_leftovers(folder, FILES)
            yield

    def _name_taken(self, name: str) -> UsageError:
        """Make the error for a name that is taken: by a run, or by what only a person can move away."""
        folder = self.folder(name)
        if not folder.is_symlink():
            try:
                check_removable_files(folder)
            except UsageError as fault:
                return fault
        hint = "Choose another name, or add `force` to replace it."
        return UsageError(f"there is a run {name!r} already", where=self.root, hint=hint)

    def _create_numbered(self, default: str) -> Path:
        pattern = re.compile(re.escape(default) + r"-(\d{1,9})")
        taken = [int(match[1]) for name in self.folder_names() if (match := pattern.fullmatch(name))]
        number = max(taken, default=0) + 1
        while not self._make(self.root / f"{default}-{number}"):  # another process was faster
            number += 1
        return self.root / f"{default}-{number}"

    def _make(self, folder: Path) -> bool:
        """Create a run's folder; False if something has that name."""
        try:
            self.root.mkdir(parents=True, exist_ok=True)
        except OSError as fault:
            raise storage_error(self.root, fault, "cannot be created") from fault
        try:
            folder.mkdir()
        except FileExistsError:
            return False
        except OSError as fault:
            raise storage_error(folder, fault, "cannot be created") from fault
        return True


def check_not_linked(folder: Path) -> None:
    """Check that a run is in the root and not elsewhere, where training would change files.

    Raises:
        UsageError: its folder is a link.
    """
    if folder.is_symlink():
        target = os.path.realpath(folder)
        raise UsageError(f"is a link to {target}", where=folder, hint="Name the folder itself.")


def _remove_with_lock(folder: Path) -> None:
    """Remove a run's lock and its empty folder.

    On POSIX while the lock is held: once released, another process could take the file that is about to be unlinked,
    and a third could then lock a new one.
    """
    folder.joinpath(LOCK).unlink(missing_ok=True)
    folder.rmdir()
