"""Every corpus that has a name, as a person would like to read of it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, fields
from difflib import get_close_matches
from itertools import islice
from pathlib import Path
from typing import Literal

from charlstm.corpora import synthetic
from charlstm.corpora.catalogue import BUNDLED, CATALOGUE, Entry, bundled, is_fetched, place
from charlstm.corpora.local import VIRTUAL
from charlstm.corpora.sources import names
from charlstm.errors import NotFoundError

_HEAD = 4096
"""Characters within which the first lines are looked for."""

_SYNTHETIC = {
    "markov": "letters that depend on the ones before by a random table",
    "anbn": "as many b as a: can it count?",
    "dyck": "brackets that close in the right order",
    "recall": "lines that end with the letter they began with: can it remember?",
}


@dataclass(frozen=True)
class Named:
    """A corpus that has a name."""

    name: str
    kind: Literal["bundled", "catalogue", "virtual", "synthetic"]
    description: str
    licence: str
    size: int | None = None
    """Bytes; None when it is made on the way."""
    address: str = ""
    """Where it is fetched from, or how a synthetic one is written out in full."""
    place: str = ""
    """Where its file or folder lies; empty when it has none."""
    ready: bool = True
    """Whether it can be read now; False for a catalogue entry not fetched yet."""


def named(cache: Path) -> list[Named]:
    """All corpora that have names: bundled, catalogue, virtual, synthetic.

    Args:
        cache: charlstm's cache folder.
    """
    return [
        *_bundled(),
        *(_entry(entry, cache) for entry in CATALOGUE.values()),
        *(Named(name, "virtual", source.description, source.licence) for name, source in VIRTUAL.items()),
        *(_synthetic(kind) for kind in synthetic.KINDS),
    ]


def describe(name: str, cache: Path) -> Named:
    """One of them.

    Args:
        name: as `named` tells it; a synthetic one may have settings.
        cache: charlstm's cache folder.

    Raises:
        NotFoundError: there is none of this name.
        UsageError: a synthetic source with settings that cannot be.
    """
    if name.startswith(synthetic.PREFIX):
        kind, _, _ = synthetic.parse(name)
        return _synthetic(kind)
    for corpus in named(cache):
        if corpus.name == name:
            return corpus
    close = get_close_matches(name, names(), n=3)
    hint = f"Did you mean {' or '.join(close)}?" if close else "charlstm corpora list names them."
    raise NotFoundError("no corpus has this name", where=name, hint=hint)


def digest(corpus: Named) -> str:
    """The SHA-256 of a corpus's one file, as pinned or as it is; empty where there is no one file."""
    if corpus.name in CATALOGUE:
        return CATALOGUE[corpus.name].sha256
    path = bundled().get(corpus.name)
    return hashlib.sha256(path.read_bytes()).hexdigest() if path else ""


def first_lines(name: str, corpus: Named, lines: int) -> list[str]:
    """The first lines of a corpus that are not blank, without their newlines; none of one that is not ready.

    Args:
        name: as the user wrote it, settings and all.
        corpus: what `describe` says of it.
        lines: how many.
    """
    text = ""
    for piece in _pieces(name, corpus):
        text += piece
        if len(text) >= _HEAD:
            break
    return list(islice((line for line in text[:_HEAD].split("\n") if line.strip()), lines))


def _pieces(name: str, corpus: Named) -> Iterator[str]:
    if corpus.kind == "virtual":
        return VIRTUAL[name].pieces()
    if corpus.kind == "synthetic":
        _, source, size = synthetic.parse(name)
        return synthetic.generate(source, size)
    if not corpus.ready:
        return iter(())
    files = bundled()
    path = files.get(corpus.name) or (next(iter(files.values())) if corpus.name == BUNDLED else Path(corpus.place))
    return _head(path)


def _head(path: Path) -> Iterator[str]:
    with path.open(encoding="utf-8", errors="replace") as file:
        yield file.read(_HEAD)


def _bundled() -> Iterator[Named]:
    files = bundled()
    if not files:
        return
    sizes = {name: path.stat().st_size for name, path in files.items()}
    folder = str(next(iter(files.values())).parent)
    about = f"written for charlstm: {', '.join(name.partition('/')[2] for name in files)}"
    yield Named(BUNDLED, "bundled", about, "CC0", sum(sizes.values()), place=folder)
    for name, path in files.items():
        yield Named(name, "bundled", f"part of {BUNDLED}", "CC0", sizes[name], place=str(path))


def _entry(entry: Entry, cache: Path) -> Named:
    ready = is_fetched(entry, cache)
    where = str(place(entry, cache)) if ready else ""
    return Named(entry.name, "catalogue", entry.description, entry.licence, entry.size, entry.url, where, ready)


def _synthetic(kind: str) -> Named:
    settings = ",".join(f"{field.name}={field.default}" for field in fields(synthetic.KINDS[kind]))
    full = f"{synthetic.PREFIX}{kind},{settings},size={synthetic.SIZE}"
    return Named(synthetic.PREFIX + kind, "synthetic", _SYNTHETIC[kind], "none needed", address=full)
