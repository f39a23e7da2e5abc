"""Keep the cache small: encoded texts and trained tokenizers go once they are unused; they can be made again.

Only files that charlstm wrote, recognised by name and by first bytes, are ever removed. Fetched corpora stay. A file
that a training has mapped may go too: on POSIX its pages live until the training ends; Windows refuses to remove it.
"""

from __future__ import annotations

import os
import re
import stat
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from charlstm.files import remove_unless_in_use, temporary_for

MAX_IDLE = 30 * 86400.0
"""Seconds without use after which a file is removed, as soon as another is written."""

_OURS = {
    "encoded": (re.compile(r"[0-9a-f]{64}\.npy"), b"\x93NUMPY\x01\x00"),
    "tokenizers": (re.compile(r"[0-9a-f]{64}\.json"), b'{"kind": "sentencepiece"'),
}
"""For each folder of the cache: the names of the files charlstm writes there, and the first bytes of each."""


@dataclass(frozen=True)
class CachedFile:
    """One file of the cache."""

    path: Path
    size: int
    """Bytes."""
    used: float
    """When it was last used, in seconds since 1970."""


def cached_files(cache: Path, min_idle: float = 0.0) -> list[CachedFile]:
    """The files that can be made again from their texts, the longest unused first.

    Args:
        cache: charlstm's cache folder.
        min_idle: only files unused for at least this many seconds.
    """
    limit = time.time() - min_idle
    files = (file for folder in _OURS for file in _files(cache / folder))
    return sorted((file for file in files if file.used <= limit), key=lambda file: file.used)


def remove(files: Iterable[CachedFile]) -> Iterator[CachedFile]:
    """Remove files and yield each one removed. One that is in use or belongs to someone else stays."""
    for file in files:
        with suppress(OSError):
            remove_unless_in_use(file.path)
            yield file


def remove_unused(cache: Path) -> None:
    """Remove what has been unused for `MAX_IDLE` seconds."""
    for _ in remove(cached_files(cache, MAX_IDLE)):
        pass


def mark_used(path: Path) -> None:
    """Record the use of a file in its modification time, since many systems keep no time of access."""
    with suppress(OSError):  # a shared cache, and another user's file
        os.utime(path)


def _files(folder: Path) -> Iterator[CachedFile]:
    try:
        paths = list(folder.iterdir())
    except OSError:  # not created yet, or not ours to read
        return
    for path in paths:
        with suppress(OSError):  # removed a moment ago, or unreadable
            status = path.lstat()
            if stat.S_ISREG(status.st_mode) and _is_ours(path):
                yield CachedFile(path, status.st_size, status.st_mtime)


def _is_ours(path: Path) -> bool:
    """Whether charlstm wrote this file; one that a killed process left half written may be shorter than its header."""
    names, header = _OURS[path.parent.name]
    temporary = temporary_for(path.name)
    if not names.fullmatch(temporary or path.name):
        return False
    with path.open("rb") as file:
        first = file.read(len(header))
    return first == header or (temporary is not None and header.startswith(first))
