"""From what a person types to a corpus: files, folders, globs, standard input, names, and text made on the way.

A name (``english``, ``python:docs``, ``synthetic:dyck``, a catalogue entry) wins over a file called the same, so that
settings mean the same in every folder; ``./english`` is the file.
"""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from itertools import chain, islice
from pathlib import Path
from typing import BinaryIO

from charlstm.corpora import synthetic
from charlstm.corpora.catalogue import BUNDLED, CATALOGUE, Entry, bundled, is_fetched, is_intact, place
from charlstm.corpora.decode import Newlines
from charlstm.corpora.encodings import looks_binary, lookup
from charlstm.corpora.local import VIRTUAL
from charlstm.corpora.read import Corpus, FilePart, Part, SpooledPart, is_regular, reading_fault, stream_blocks
from charlstm.errors import CorruptError, NotFoundError, TextError, UsageError

STDIN = "-"
_STDIN_NAME = "standard input"
_GLOB = re.compile(r"[*?\[]")
_SNIFF = 8192


@dataclass(frozen=True)
class _Found:
    """What one source turned out to be."""

    name: str
    parts: Sequence[Part]
    skipped: tuple[str, ...] = ()
    entropy_rate: float | None = None


def open_sources(
    sources: Sequence[str],
    *,
    encoding: str | None = None,
    newlines: Newlines = "normalise",
    stdin: BinaryIO | None = None,
    cache: Path,
) -> Corpus:
    """Open the sources as one corpus, joined in the order given.

    Args:
        sources: each one of

            - a file;
            - a folder: all regular files below it, sorted by path, part by part in code-point order; hidden files and
              folders and files that look like no text are left out, links to folders are not followed;
            - a glob (``*``, ``?``, ``[...]``, ``**``): all regular files it matches, sorted likewise;
            - ``-``: standard input, kept in a temporary file so that it can be read twice;
            - ``english``: the bundled corpus, its files by name; ``english/verse``: one of them;
            - a catalogue entry that was fetched;
            - ``python:docs``, ``python:source``, ``unicode:names``: text this machine already has;
            - ``synthetic:KIND,NAME=NUMBER,...``: text of known entropy.
        encoding: of every part; None is UTF-8, with a byte order mark of UTF-8, UTF-16 or UTF-32 recognised.
        newlines: whether CR LF and CR become LF.
        stdin: what ``-`` reads.
        cache: charlstm's cache folder, for fetched entries and temporary files.

    Raises:
        NotFoundError: no such file, name or match, or an entry not fetched yet.
        TextError: nothing in it.
        UsageError: no source, no such encoding, ``-`` twice, or a device or pipe by path.
        CorruptError: a fetched entry was changed.
        StorageError: a file cannot be read, or the cache not written.
    """
    if not all(sources) or not sources:
        raise UsageError("no text is named", hint=f"Name a file, or {BUNDLED} for the bundled corpus.")
    if list(sources).count(STDIN) > 1:
        raise UsageError("can be read only once", where=_STDIN_NAME)
    if encoding is not None:
        lookup(encoding)
    found = [_find(source, encoding, stdin, cache) for source in sources]
    corpus = Corpus(
        name=_joined_name([each.name for each in found]),
        parts=tuple(chain.from_iterable(each.parts for each in found)),
        encoding=encoding,
        newlines=newlines,
        skipped=tuple(chain.from_iterable(each.skipped for each in found)),
        entropy_rate=found[0].entropy_rate if len(found) == 1 else None,
    )
    if not any(True for _ in corpus.raw_chunks(1)):
        where = ", ".join(_STDIN_NAME if source == STDIN else source for source in sources)
        raise TextError("empty, so there is nothing to read", where=where)
    return corpus


def names() -> list[str]:
    """Every name that stands for a corpus, for lists and near misses."""
    kinds = [synthetic.PREFIX + kind for kind in synthetic.KINDS]
    return [BUNDLED, *bundled(), *CATALOGUE, *VIRTUAL, *kinds]


def _find(source: str, encoding: str | None, stdin: BinaryIO | None, cache: Path) -> _Found:
    if source == STDIN:
        if stdin is None:
            raise UsageError("there is none here", where=_STDIN_NAME)
        return _Found("stdin", [SpooledPart(_STDIN_NAME, stream_blocks(stdin, _STDIN_NAME), cache)])
    named = _by_name(source, cache)
    if named is not None:
        return named
    path = Path(os.path.expanduser(source))
    if os.path.isdir(path):
        return _folder(path, encoding)
    if os.path.lexists(path):
        return _Found(_slug(path.stem), [FilePart.open(path, source)])
    if _GLOB.search(source):
        return _glob(source)
    raise NotFoundError("no such file, folder or corpus", where=source, hint=_near(source, path))


def _by_name(source: str, cache: Path) -> _Found | None:
    files = bundled()
    if source == BUNDLED:
        if not files:
            raise NotFoundError("the bundled corpus is missing from this installation", where=source)
        return _Found(source, [FilePart.open(path, name) for name, path in files.items()])
    if source in files:
        return _Found(_slug(source), [FilePart.open(files[source], source)])
    if source in CATALOGUE:
        return _Found(source, [_fetched(CATALOGUE[source], cache)])
    if source in VIRTUAL:
        return _Found(_slug(source), [_spool(source, VIRTUAL[source].pieces, cache)])
    if source.startswith(synthetic.PREFIX):
        kind, process, size = synthetic.parse(source)
        part = _spool(source, lambda: synthetic.generate(process, size), cache)
        return _Found(kind, [part], entropy_rate=process.entropy_rate())
    return None


def _spool(name: str, pieces: Callable[[], Iterator[str]], cache: Path) -> Part:
    return SpooledPart(name, (piece.encode() for piece in pieces()), cache)


def _fetched(entry: Entry, cache: Path) -> FilePart:
    again = f"charlstm corpora fetch {entry.name}"
    if not is_fetched(entry, cache):
        raise NotFoundError("not fetched yet", where=entry.name, hint=f"Fetch it first: {again}")
    if not is_intact(entry, cache):
        where = place(entry, cache)
        raise CorruptError("its file was changed since it was fetched", where=where, hint=f"Fetch it again: {again}")
    return FilePart.open(place(entry, cache), entry.name)


def _folder(folder: Path, encoding: str | None) -> _Found:
    parts, skipped = [], []
    for path in sorted(_below(folder), key=lambda path: path.relative_to(folder).parts):
        part = FilePart.open(path)
        head = next(part.blocks(_SNIFF), b"")
        if encoding is None and looks_binary(head):
            skipped.append(str(path))
        elif head:
            parts.append(part)
    if not parts:
        what = (
            f"no text in this folder ({len(skipped)} files look like no text)" if skipped else "no text in this folder"
        )
        raise TextError(what, where=folder, hint="A glob takes files of every kind: 'FOLDER/*'." if skipped else "")
    return _Found(_slug(folder.resolve().name), parts, skipped=tuple(skipped))


def _below(folder: Path) -> Iterator[Path]:
    """The regular files below a folder that are not hidden."""

    def stop(fault: OSError) -> None:
        raise reading_fault(Path(fault.filename or folder), fault) from fault

    # Links to folders are not followed: they could lead round in circles.
    for here, folders, files in os.walk(folder, onerror=stop):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in files:
            path = Path(here, name)
            if not name.startswith(".") and is_regular(path):
                yield path


def _glob(pattern: str) -> _Found:
    matches = [Path(match) for match in glob.glob(os.path.expanduser(pattern), recursive=True)]
    files = sorted((path for path in matches if is_regular(path)), key=lambda path: path.parts)
    if not files:
        raise NotFoundError("no file matches", where=pattern, hint="Only folders do." if matches else "")
    return _Found(_joined_name([_slug(path.stem) for path in files]), [FilePart.open(path) for path in files])


def _near(source: str, path: Path) -> str:
    """Names like the one that was not found: files beside it, and corpora.

    Of a path only the last part is compared: in a long one all files of its folder would look alike.
    """
    try:
        with os.scandir(path.parent) as beside:
            files = [entry.name for entry in islice(beside, 10_000)]
    except (OSError, ValueError):
        files = []
    here = os.path.dirname(source)
    close = [os.path.join(here, name) for name in get_close_matches(path.name, files, n=2, cutoff=0.6)]
    close += get_close_matches(source, names(), n=2, cutoff=0.6)
    return f"Did you mean {' or '.join(close)}?" if close else "charlstm corpora list names the corpora there are."


def _slug(name: str) -> str:
    """A name of letters, digits, ``-``, ``_`` and ``.`` that begins with a letter or digit."""
    return re.sub(r"[^\w.-]+", "-", name).strip("-._") or "text"


def _joined_name(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{names[0]}+{len(names) - 1}"
