"""Corpora with names: the one that ships with charlstm, and public-domain texts to fetch, each in one exact version.

An entry is one text. A collection is many, and a part of it has a name too::

    classics                     all books
    classics/Jane Austen         those of an author
    classics/Jane Austen/Emma    one
    classics/held-out            those that the starter has not read
"""

from __future__ import annotations

import csv
import hashlib
import re
from dataclasses import dataclass, replace
from difflib import get_close_matches
from functools import lru_cache
from pathlib import Path
from urllib.parse import quote

from charlstm.corpora.read import FilePart
from charlstm.errors import CorruptError, NotFoundError, UsageError
from charlstm.paths import corpora_folder

BUNDLED = "english"


@dataclass(frozen=True)
class Entry:
    """A public-domain text in one exact version."""

    name: str
    url: str
    size: int
    """Bytes, as it is published."""
    sha256: str
    """Of what is published."""
    licence: str
    description: str
    text: tuple[int, str] | None = None
    """Bytes and SHA-256 of the text that `clean_markdown` makes of what is published; None if nothing is made of it."""
    held_out: bool = False
    """Whether the starter has not read it."""

    @property
    def text_size(self) -> int:
        """Bytes of the text."""
        return self.text[0] if self.text else self.size

    @property
    def text_sha256(self) -> str:
        """SHA-256 of the text."""
        return self.text[1] if self.text else self.sha256

    @property
    def entries(self) -> tuple[Entry, ...]:
        """Itself, as a `Collection` has its entries."""
        return (self,)


@dataclass(frozen=True)
class Collection:
    """Many public-domain texts in one exact version, or some of them."""

    name: str
    url: str
    """The address that the paths of its entries follow."""
    entries: tuple[Entry, ...]
    licence: str
    description: str

    @property
    def size(self) -> int:
        """Bytes of its entries, as they are published."""
        return sum(entry.size for entry in self.entries)

    @property
    def text_size(self) -> int:
        """Bytes of its texts."""
        return sum(entry.text_size for entry in self.entries)

    def part(self, name: str) -> Collection | Entry | None:
        """The part with a name: an entry, the texts of an author, or those held out; None if there is none.

        Args:
            name: the part's name without the collection's.
        """
        full = f"{self.name}/{name}"
        if name == _HELD_OUT:
            entries = tuple(entry for entry in self.entries if entry.held_out)
            return replace(self, name=full, entries=entries, description="those that the starter has not read")
        for entry in self.entries:
            if entry.name == full:
                return entry
        entries = tuple(entry for entry in self.entries if entry.name.startswith(f"{full}/"))
        return replace(self, name=full, entries=entries, description=f"by {name}") if entries else None


_HELD_OUT = "held-out"
_MANIFEST = Path(__file__).with_name("classics.tsv")
_PART = re.compile(r"[^\W_][^/\\\x00-\x1f\x7f-\x9f]*")
"""A part of a text's path, which becomes a part of a file's name: none leads out of its folder, none is hidden."""
_SHA256 = re.compile(r"[0-9a-f]{64}")

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


def read_collection(path: Path) -> Collection:
    """Read the manifest of the books, written by ``benchmarks/classics_manifest.py``.

    Args:
        path: the manifest: a table with tabs.

    Raises:
        CorruptError: it is damaged.
    """
    try:
        return _classics(path)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, csv.Error) as fault:
        what = "this part of charlstm is damaged"
        raise CorruptError(what, where=path, hint="Install charlstm again.") from fault


def _classics(path: Path) -> Collection:
    url = "https://raw.githubusercontent.com/mlschmitt/classic-books-markdown/944882722e9a96fa6cf2739dc2ea757e101f412f/"
    licence = "public domain in the United States, and wherever copyright ends 70 years after death"
    entries = []
    with path.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file, delimiter="\t"):
            title = row["path"].removesuffix(".md").strip()
            if not all(_PART.fullmatch(part) for part in title.split("/")) or not _is_described(row):
                raise ValueError(f"no text in one version: {title}")
            entries.append(
                Entry(
                    name=f"classics/{title}",
                    url=url + quote(row["path"]),
                    size=int(row["bytes"]),
                    sha256=row["sha256"],
                    licence=licence,
                    description=title.partition("/")[2],
                    text=(int(row["text_bytes"]), row["text_sha256"]),
                    held_out=row["held_out"] == "1",
                )
            )
    description = f"{len(entries)} English books of the 19th and early 20th century; classics/AUTHOR is one author's"
    return Collection("classics", url, tuple(entries), licence, description)


def _is_described(row: dict[str, str]) -> bool:
    """Whether a row has the digests and the sizes of a text."""
    digests = (row["sha256"], row["text_sha256"])
    sizes = (row["bytes"], row["text_bytes"])
    return all(_SHA256.fullmatch(digest) for digest in digests) and all(re.fullmatch("[0-9]{1,12}", s) for s in sizes)


@lru_cache(maxsize=1)
def catalogue() -> dict[str, Entry | Collection]:
    """What can be fetched, by name."""
    return {each.name: each for each in (*_ENTRIES, read_collection(_MANIFEST))}


def in_catalogue(name: str) -> Entry | Collection | None:
    """What has a name in the catalogue: an entry, a collection or a part of one; None if nothing has.

    Args:
        name: such as ``tinyshakespeare``, ``classics`` or ``classics/Jane Austen``.
    """
    whole, _, part = name.partition("/")
    found = catalogue().get(whole)
    if not part:
        return found
    return found.part(part) if isinstance(found, Collection) else None


def place(entry: Entry | Collection, cache: Path) -> Path:
    """The file of an entry, or the folder of a collection, once it is fetched.

    Args:
        entry: what the catalogue has.
        cache: charlstm's cache folder.
    """
    if isinstance(entry, Entry):
        return cache / "corpora" / f"{entry.name}.txt"
    return cache / "corpora" / entry.name.removesuffix(f"/{_HELD_OUT}")


def is_fetched(entry: Entry | Collection, cache: Path) -> bool:
    """Whether all files of an entry exist and have the right size.

    Args:
        entry: what the catalogue has.
        cache: charlstm's cache folder.
    """
    try:
        return all(place(each, cache).stat().st_size == each.text_size for each in entry.entries)
    except OSError:
        return False


def is_intact(entry: Entry | Collection, cache: Path) -> bool:
    """Whether all files of an entry exist and have the right SHA-256.

    Args:
        entry: what the catalogue has.
        cache: charlstm's cache folder.

    Raises:
        StorageError: one cannot be read.
    """
    return is_fetched(entry, cache) and all(sha256_of(place(each, cache)) == each.text_sha256 for each in entry.entries)


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


def find(name: str) -> Entry | Collection:
    """What has a name in the catalogue.

    Raises:
        UsageError: this corpus ships with charlstm.
        NotFoundError: the catalogue has nothing of this name.
    """
    found = in_catalogue(name)
    if found is not None:
        return found
    if name == BUNDLED or name in bundled():
        raise UsageError("ships with charlstm, so there is nothing to fetch", where=name)
    close = suggestions(name)
    raise NotFoundError("not in the catalogue", where=name, hint=f"Available: {', '.join(close or catalogue())}.")


def suggestions(name: str) -> list[str]:
    """Names of the catalogue that are similar to one that is not in it, the most similar first; at most three.

    Args:
        name: what somebody typed.
    """
    whole = catalogue().get(name.partition("/")[0])
    names = {part for entry in whole.entries for part in (entry.name, entry.name.rpartition("/")[0])} if whole else ()
    return get_close_matches(name, [*catalogue(), *sorted(names)], n=3, cutoff=0.4)


def bundled() -> dict[str, Path]:
    """The files of the bundled corpus by name (``english/verse``), sorted."""
    return {f"{BUNDLED}/{path.stem}": path for path in sorted(corpora_folder().glob("*.txt"))}
