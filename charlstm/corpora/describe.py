"""The corpora that have names: what each is, its licence, size and first lines."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, fields
from difflib import get_close_matches
from itertools import islice
from pathlib import Path
from typing import Literal

from charlstm.corpora import synthetic
from charlstm.corpora.catalogue import (
    BUNDLED,
    Collection,
    Entry,
    bundled,
    catalogue,
    in_catalogue,
    is_fetched,
    place,
    suggestions,
)
from charlstm.corpora.local import LOCAL
from charlstm.corpora.sources import names
from charlstm.errors import NotFoundError

_HEAD = 4096
"""Characters that are searched for the first lines."""

_SYNTHETIC = {
    "markov": "letters that depend on the preceding ones by a random table",
    "anbn": "as many b as a: can it count?",
    "dyck": "brackets that close in the right order",
    "recall": "lines that end with the letter they began with: can it remember?",
}


@dataclass(frozen=True)
class NamedCorpus:
    """A corpus that has a name."""

    name: str
    kind: Literal["bundled", "catalogue", "local", "synthetic"]
    description: str
    licence: str
    size: int | None = None
    """Bytes; None if it is generated."""
    address: str = ""
    """The URL it is fetched from, for a collection without the paths of its files; or the full name of a synthetic
    source, with all settings."""
    place: str = ""
    """Its file or folder; empty if it has none."""
    ready: bool = True
    """Whether it can be read now; False for a catalogue entry not fetched yet."""


def named_corpora(cache: Path) -> list[NamedCorpus]:
    """All corpora that have names: bundled, catalogue, local, synthetic.

    Args:
        cache: charlstm's cache folder.
    """
    return [
        *_bundled(),
        *(_entry(entry, cache) for entry in catalogue().values()),
        *(NamedCorpus(name, "local", source.description, source.licence) for name, source in LOCAL.items()),
        *(_synthetic(kind) for kind in synthetic.KINDS),
    ]


def describe(name: str, cache: Path) -> NamedCorpus:
    """The corpus with a name.

    Args:
        name: one of `named_corpora`, or a part of a collection; a synthetic source may have settings.
        cache: charlstm's cache folder.

    Raises:
        NotFoundError: no corpus has this name.
        UsageError: invalid settings of a synthetic source.
    """
    if name.startswith(synthetic.PREFIX):
        kind, _, _ = synthetic.parse(name)
        return _synthetic(kind)
    for corpus in named_corpora(cache):
        if corpus.name == name:
            return corpus
    fetched = in_catalogue(name)
    if fetched is not None:
        return _entry(fetched, cache)
    whole = name.partition("/")[0]
    close = suggestions(name) if whole in catalogue() else get_close_matches(name, names(), n=3)
    hint = f"Did you mean {' or '.join(close)}?" if close else "`charlstm corpora list` shows all corpora."
    raise NotFoundError("no corpus has this name", where=name, hint=hint)


def digest(corpus: NamedCorpus) -> str:
    """The SHA-256 of a corpus of one file, from the catalogue or computed; empty for any other."""
    entry = in_catalogue(corpus.name)
    if entry is not None:
        return entry.text_sha256 if isinstance(entry, Entry) else ""
    path = bundled().get(corpus.name)
    return hashlib.sha256(path.read_bytes()).hexdigest() if path else ""


def first_lines(name: str, corpus: NamedCorpus, lines: int) -> list[str]:
    """The first lines of a corpus that are not blank, without their newlines; none if it is not ready.

    Args:
        name: its name as the user wrote it, with settings.
        corpus: the result of `describe`.
        lines: the number of lines.
    """
    text = ""
    for piece in _pieces(name, corpus):
        text += piece
        if len(text) >= _HEAD:
            break
    return list(islice((line for line in text[:_HEAD].split("\n") if line.strip()), lines))


def _pieces(name: str, corpus: NamedCorpus) -> Iterator[str]:
    if corpus.kind == "local":
        return LOCAL[name].pieces()
    if corpus.kind == "synthetic":
        _, source, size = synthetic.parse(name)
        return synthetic.generate(source, size)
    if not corpus.ready:
        return iter(())
    files = bundled()
    if corpus.name == BUNDLED:
        return _head(next(iter(files.values())))
    path = files.get(corpus.name) or Path(corpus.place)
    return _head(path if path.is_file() else next(iter(sorted(path.rglob("*.txt")))))


def _head(path: Path) -> Iterator[str]:
    with path.open(encoding="utf-8", errors="replace") as file:
        yield file.read(_HEAD)


def _bundled() -> Iterator[NamedCorpus]:
    files = bundled()
    if not files:
        return
    sizes = {name: path.stat().st_size for name, path in files.items()}
    folder = str(next(iter(files.values())).parent)
    description = f"written for charlstm: {', '.join(name.partition('/')[2] for name in files)}"
    yield NamedCorpus(BUNDLED, "bundled", description, "CC0", sum(sizes.values()), place=folder)
    for name, path in files.items():
        yield NamedCorpus(name, "bundled", f"part of {BUNDLED}", "CC0", sizes[name], place=str(path))


def _entry(entry: Entry | Collection, cache: Path) -> NamedCorpus:
    ready = is_fetched(entry, cache)
    path = str(place(entry, cache)) if ready else ""
    size = entry.text_size
    return NamedCorpus(entry.name, "catalogue", entry.description, entry.licence, size, entry.url, path, ready)


def _synthetic(kind: str) -> NamedCorpus:
    settings = ",".join(f"{field.name}={field.default}" for field in fields(synthetic.KINDS[kind]))
    full = f"{synthetic.PREFIX}{kind},{settings},size={synthetic.SIZE}"
    return NamedCorpus(synthetic.PREFIX + kind, "synthetic", _SYNTHETIC[kind], "none needed", address=full)
