"""Keeping the cache small: what was made from texts and has long not been used goes; who needs it makes it again.

Fetched corpora are not touched. A file that a training has mapped may go too: on POSIX its pages stay until the
training ends, and Windows refuses to remove it, so there it stays.
"""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from charlstm.files import remove_unless_in_use

FOLDERS = ("encoded", "tokenizers")
"""Of the cache: what is in them follows from a text, and nothing else."""
KEPT = 30 * 86400.0
"""Seconds without use after which an entry goes by itself, once a new one comes."""


@dataclass(frozen=True)
class Entry:
    """One file of the cache."""

    path: Path
    size: int
    used: float
    """When it was last used, in seconds since 1970."""


def entries(cache: Path, unused: float = 0.0) -> list[Entry]:
    """The files made from texts, the longest unused first.

    Args:
        cache: charlstm's cache folder.
        unused: only those not used for so many seconds.
    """
    limit = time.time() - unused
    found = (entry for folder in FOLDERS for entry in _files(cache / folder))
    return sorted((entry for entry in found if entry.used <= limit), key=lambda entry: entry.used)


def remove(unwanted: Iterable[Entry]) -> Iterator[Entry]:
    """Remove files; gives out each that is gone. One that cannot be removed, being in use or another's, stays."""
    for entry in unwanted:
        with suppress(OSError):
            remove_unless_in_use(entry.path)
            yield entry


def sweep(cache: Path) -> None:
    """Remove what was not used for `KEPT` seconds."""
    for _ in remove(entries(cache, KEPT)):
        pass


def touch(path: Path) -> None:
    """Note that a file was used just now: its time of change says so, for many systems keep no time of access."""
    with suppress(OSError):  # a cache that is shared, and another's
        os.utime(path)


def _files(folder: Path) -> Iterator[Entry]:
    try:
        paths = list(folder.iterdir())
    except OSError:  # not made yet, or closed to us
        return
    for path in paths:
        with suppress(OSError):  # gone at this moment
            status = path.lstat()
            if stat.S_ISREG(status.st_mode):
                yield Entry(path, status.st_size, status.st_mtime)
