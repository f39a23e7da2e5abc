"""Corpora with names: the one that ships with charlstm, and public-domain texts to fetch, each in one exact version."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from charlstm.corpora.read import FilePart
from charlstm.errors import NotFoundError, UsageError
from charlstm.paths import corpora_folder

BUNDLED = "english"


@dataclass(frozen=True)
class Entry:
    """A public-domain text in one exact version."""

    name: str
    url: str
    size: int
    """Bytes."""
    sha256: str
    licence: str
    description: str


_ENTRIES = (
    Entry(
        name="tinyshakespeare",
        url=(
            "https://raw.githubusercontent.com/karpathy/char-rnn/6f9487a6fe5b420b7ca9afb0d7c078e37c1d1b4e"
            "/data/tinyshakespeare/input.txt"
        ),
        size=1_115_394,
        sha256="86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed",
        licence="public domain",
        description="40,000 lines from Shakespeare's plays, the field's usual first text (Karpathy 2015)",
    ),
)

CATALOGUE: dict[str, Entry] = {entry.name: entry for entry in _ENTRIES}


def place(entry: Entry, cache: Path) -> Path:
    """The file of an entry once it is fetched.

    Args:
        entry: an entry of the catalogue.
        cache: charlstm's cache folder.
    """
    return cache / "corpora" / f"{entry.name}.txt"


def is_fetched(entry: Entry, cache: Path) -> bool:
    """Whether an entry's file exists and has the right size.

    Args:
        entry: an entry of the catalogue.
        cache: charlstm's cache folder.
    """
    try:
        return place(entry, cache).stat().st_size == entry.size
    except OSError:
        return False


def is_intact(entry: Entry, cache: Path) -> bool:
    """Whether an entry's file exists and has the right SHA-256.

    Args:
        entry: an entry of the catalogue.
        cache: charlstm's cache folder.

    Raises:
        StorageError: it cannot be read.
    """
    return is_fetched(entry, cache) and sha256_of(place(entry, cache)) == entry.sha256


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal.

    Raises:
        NotFoundError: there is no such file.
        StorageError: it cannot be read.
    """
    digest = hashlib.sha256()
    for block in FilePart.open(path).blocks():
        digest.update(block)
    return digest.hexdigest()


def find(name: str) -> Entry:
    """The catalogue entry with a name.

    Raises:
        UsageError: this corpus ships with charlstm.
        NotFoundError: the catalogue has no such entry.
    """
    if name in CATALOGUE:
        return CATALOGUE[name]
    if name == BUNDLED or name in bundled():
        raise UsageError("ships with charlstm, so there is nothing to fetch", where=name)
    close = get_close_matches(name, CATALOGUE, n=3, cutoff=0.4) or list(CATALOGUE)
    raise NotFoundError("not in the catalogue", where=name, hint=f"Available: {', '.join(close)}.")


def bundled() -> dict[str, Path]:
    """The files of the bundled corpus by name (``english/verse``), sorted."""
    return {f"{BUNDLED}/{path.stem}": path for path in sorted(corpora_folder().glob("*.txt"))}
