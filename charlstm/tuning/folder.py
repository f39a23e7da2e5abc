"""The folder of a search: what lies in it, its lock, and what may be removed from it.

::

    tuning/NAME/
      study.sqlite   all trials (`study`)
      study.lock     held while a search runs here
      best.toml      the settings of the best trial
      trial-7/       the run of the best trial, and of each that is training

Anything else belongs to the user and stays, whatever its name.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from charlstm.checkpoint.format import read_header
from charlstm.checkpoint.run import METRICS, MODEL, RESUME
from charlstm.checkpoint.store import Store
from charlstm.errors import CharlstmError, UsageError
from charlstm.events import Started
from charlstm.files import locked, make_folder, write_atomically
from charlstm.inspect.history import read_event

STUDY = "study.sqlite"
SETTINGS = "best.toml"
_LOCK = "study.lock"
_LONGEST_LINE = 1 << 20
"""Bytes of an event, at most."""
SETTINGS_HEADER = "# Found by charlstm tune"
"""The beginning of a settings file that a search may replace."""


def trial_name(number: int) -> str:
    """Return the name of a trial's run folder."""
    return f"trial-{number}"


class SearchFolder:
    """The folder of one search.

    Args:
        path: the folder; `locked` makes it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.settings_file = path / SETTINGS

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Make the folder, and hold its lock.

        Raises:
            UsageError: another process searches here; or the folder, or its settings file, is not a search's.
            StorageError: the system refuses.
        """
        make_folder(self.path)
        self._check_ours()
        hint = "Wait for it, stop it, or choose another name."
        with locked(self.path / _LOCK, UsageError("another charlstm is searching here", where=self.path, hint=hint)):
            yield

    def _check_ours(self) -> None:
        names = {path.name for path in self.path.iterdir()}
        settings = self.settings_file.read_bytes() if SETTINGS in names else b""
        if STUDY not in names and names - {_LOCK}:
            hint = "Choose another name or folder: a search needs a folder of its own."
            raise UsageError("this folder is not empty, and holds no search", where=self.path, hint=hint)
        if settings and not settings.startswith(SETTINGS_HEADER.encode()):
            hint = "Rename it: the search would replace it."
            raise UsageError("this file was not written by a search", where=self.settings_file, hint=hint)

    def write_settings(self, toml: str) -> None:
        """Replace the settings file.

        Args:
            toml: the settings, beginning with `SETTINGS_HEADER`.

        Raises:
            StorageError: the disk is full, or the file cannot be written.
        """
        write_atomically(self.settings_file, toml.encode())

    def trial(self, number: int) -> Path:
        """Return the run folder of a trial, whether or not it exists."""
        return self.path / trial_name(number)

    def remove_trials(self, search_id: str, *, keep: Collection[int]) -> None:
        """Remove the runs of this search's trials; one that is still ending is removed next time.

        Args:
            search_id: the search's, as `provenance` records it in each checkpoint.
            keep: numbers of trials whose runs stay.
        """
        store = Store(self.path)
        kept = {trial_name(number) for number in keep}
        for folder in sorted(self.path.glob("trial-*")):
            with contextlib.suppress(CharlstmError, OSError):
                if folder.name not in kept and _is_trial(folder, search_id):
                    store.remove(folder.name)


def provenance(search_id: str, number: int) -> dict[str, object]:
    """Return what the checkpoints of a trial record, by which `SearchFolder.remove_trials` recognises them.

    Args:
        search_id: the search's.
        number: the trial's.
    """
    return {"search": search_id, "trial": number}


def _is_trial(folder: Path, search_id: str) -> bool:
    """Whether a folder holds a run of this search, by what is in it. `Store.remove` refuses if there is more in it."""
    if folder.is_symlink() or not re.fullmatch(r"trial-\d+", folder.name):
        return False
    checkpoints = [path for path in (folder / MODEL, folder / RESUME) if path.exists()]
    if checkpoints:
        return all(read_header(path).provenance.search == search_id for path in checkpoints)
    # Ended before its first save: its events have begun, and there is nothing to lose.
    if not (folder / METRICS).is_file():  # opening a pipe would block
        return False
    with (folder / METRICS).open("rb") as lines:
        event = read_event(lines.readline(_LONGEST_LINE))
    return isinstance(event, Started) and event.run == folder.name
