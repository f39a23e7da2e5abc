"""From what a user types to a corpus: files, folders, globs, standard input, names, and generated text.

A name (``english``, ``python:docs``, ``synthetic:dyck``, a catalogue entry) wins over a file of the same name, so that
settings mean the same in every folder; ``./english`` is the file.
"""

from __future__ import annotations

import glob
import os
import re
import shlex
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from itertools import chain, islice
from pathlib import Path
from typing import BinaryIO, TypeAlias

from charlstm.corpora import synthetic
from charlstm.corpora.catalogue import (
    BUNDLED,
    Collection,
    Entry,
    bundled,
    catalogue,
    in_catalogue,
    is_fetched,
    is_intact,
    place,
    suggestions,
)
from charlstm.corpora.columns import as_column, read_column
from charlstm.corpora.compressed import SUFFIXES, unpacked
from charlstm.corpora.decode import PLAIN, Decoding, Repairs, TextDecoder
from charlstm.corpora.documents import HEAD_SIZE, is_document
from charlstm.corpora.encodings import AUTO, looks_binary, lookup
from charlstm.corpora.local import LOCAL
from charlstm.corpora.read import Corpus, FilePart, SpooledPart, is_regular, reading_error, stream_blocks
from charlstm.errors import CorruptError, EncodingError, NotFoundError, TextError, UsageError

STDIN = "-"
_STDIN_NAME = "standard input"
_GLOB = re.compile(r"[*?\[]")
_HEAD = 8192
"""Bytes of a file that decide whether it looks like text."""


_Part: TypeAlias = FilePart | SpooledPart


@dataclass(frozen=True)
class _Opened:
    """What one source names."""

    name: str
    parts: Sequence[_Part]
    skipped: tuple[str, ...] = ()
    entropy_rate: float | None = None
    records: str = ""
    repairs: dict[str, Repairs] = field(default_factory=dict)


def open_sources(
    sources: Sequence[str],
    *,
    decoding: Decoding = PLAIN,
    stdin: BinaryIO | None = None,
    cache: Path,
) -> Corpus:
    """Open the sources as one corpus, joined in the order given.

    Args:
        sources: each one of

            - a file, also one that gzip, bzip2 or xz has compressed;
            - a column of a table: ``my.csv:title``, ``my.jsonl:user.text``;
            - a folder: all regular files below it, sorted by path, component by component in code-point order, without
              hidden files and folders and files that do not look like text; links to folders are not followed;
            - a glob (``*``, ``?``, ``[...]``, ``**``): all regular files it matches, sorted likewise;
            - ``-``: standard input, stored in a temporary file so that it can be read twice;
            - ``english``: the bundled corpus, its files by name; ``english/verse``: one of them;
            - a catalogue entry that has been fetched, or a part of one: ``classics/Jane Austen``;
            - ``python:docs``, ``python:source``, ``unicode:names``: text every machine already has;
            - ``synthetic:KIND,NAME=NUMBER,...``: text of known entropy.
        decoding: how the bytes of every part are read.
        stdin: the stream that ``-`` reads.
        cache: charlstm's cache folder, for fetched entries and temporary files.

    Returns:
        The corpus.

    Raises:
        NotFoundError: no such file, name or match, or an entry not fetched yet.
        TextError: there is no text in the sources.
        UsageError: no source, no such encoding, ``-`` twice, or a device or pipe given by path.
        CorruptError: a fetched entry has changed.
        StorageError: a file cannot be read, or the cache cannot be written.
    """
    if not all(sources) or not sources:
        raise UsageError("no text is named", hint=f"Name a file, or {BUNDLED} for the bundled corpus.")
    if list(sources).count(STDIN) > 1:
        raise UsageError("can be read only once", where=_STDIN_NAME)
    if decoding.codec is not None:
        lookup(decoding.codec)
    opened = [_open(source, decoding, stdin, cache) for source in sources]
    kinds = {each.records for each in opened}
    corpus = Corpus(
        name=_joined_name([each.name for each in opened]),
        parts=tuple(_with_encoding(part, decoding) for each in opened for part in each.parts),
        decoding=decoding,
        skipped=tuple(chain.from_iterable(each.skipped for each in opened)),
        entropy_rate=opened[0].entropy_rate if len(opened) == 1 else None,
        records=kinds.pop() if len(kinds) == 1 else "",
        repairs={name: repairs for each in opened for name, repairs in each.repairs.items()},
    )
    if not any(True for _ in corpus.raw_chunks(1)):
        where = ", ".join(_STDIN_NAME if source == STDIN else source for source in sources)
        raise TextError("empty, so there is nothing to read", where=where)
    return corpus


def names() -> list[str]:
    """The name of every corpus that has one, for lists and for suggestions."""
    kinds = [synthetic.PREFIX + kind for kind in synthetic.KINDS]
    return [BUNDLED, *bundled(), *catalogue(), *LOCAL, *kinds]


def _with_encoding(part: _Part, decoding: Decoding) -> _Part:
    """A part that knows the encoding it reads well in, if that is to be guessed."""
    if decoding.encoding != AUTO or part.encoding is not None:
        return part
    try:
        for _ in TextDecoder(part.name, PLAIN).decode(part.blocks()):
            pass
    except EncodingError as fault:
        if fault.encoding:
            return part.in_encoding(fault.encoding)
        if decoding.bad_bytes == "error":
            raise
    return part


def _open(source: str, decoding: Decoding, stdin: BinaryIO | None, cache: Path) -> _Opened:
    if source == STDIN:
        if stdin is None:
            raise UsageError("not available here", where=_STDIN_NAME)
        return _Opened("stdin", [SpooledPart(_STDIN_NAME, stream_blocks(stdin, _STDIN_NAME), cache)])
    named = _by_name(source, cache)
    if named is not None:
        return named
    path = Path(os.path.expanduser(source))
    if os.path.isdir(path):
        return _folder(path, decoding)
    if os.path.lexists(path):
        return _Opened(_slug(_stem(path)), [_file(path, source, cache)])
    if _GLOB.search(source):
        return _glob(source, cache)
    column = as_column(source)
    if column is not None:
        return _column(*column, decoding, cache)
    raise NotFoundError("no such file, folder or corpus", where=source, hint=_suggestion(source, path))


def _by_name(source: str, cache: Path) -> _Opened | None:
    files = bundled()
    if source == BUNDLED:
        if not files:
            raise NotFoundError("the bundled corpus is missing from this installation", where=source)
        return _Opened(source, [FilePart.open(path, name) for name, path in files.items()])
    if source in files:
        return _Opened(_slug(source), [FilePart.open(files[source], source)])
    fetched = in_catalogue(source)
    if fetched is not None:
        return _Opened(_slug(source), _fetched(fetched, cache))
    if source in LOCAL:
        return _Opened(_slug(source), [_spool(source, LOCAL[source].pieces, cache)])
    if source.startswith(synthetic.PREFIX):
        kind, process, size = synthetic.parse(source)
        part = _spool(source, lambda: synthetic.generate(process, size), cache)
        return _Opened(kind, [part], entropy_rate=process.entropy_rate())
    return None


def _spool(name: str, pieces: Callable[[], Iterator[str]], cache: Path) -> SpooledPart:
    return SpooledPart(name, (piece.encode() for piece in pieces()), cache, "utf-8")


def _fetched(entry: Entry | Collection, cache: Path) -> list[FilePart]:
    again = f"charlstm corpora fetch {shlex.quote(entry.name)}"
    if not is_fetched(entry, cache):
        raise NotFoundError("not fetched yet", where=entry.name, hint=f"Fetch it first: {again}")
    if not is_intact(entry, cache):
        where = place(entry, cache)
        raise CorruptError("has changed since it was fetched", where=where, hint=f"Fetch it again: {again}")
    return [FilePart.open(place(each, cache), each.name) for each in entry.entries]


def _file(path: Path, name: str, cache: Path) -> _Part:
    """A file, or what is in it if it is compressed."""
    file = FilePart.open(path, name)
    content = unpacked(path, next(file.blocks(HEAD_SIZE), b""))
    return file if content is None else SpooledPart(name, content, cache)


def _stem(path: Path) -> str:
    """The name of a file without what says of which kind it is."""
    return (path.with_suffix("") if path.suffix.lower() in SUFFIXES else path).stem


def _column(path: Path, name: str, decoding: Decoding, cache: Path) -> _Opened:
    file = Corpus(str(path), (_with_encoding(FilePart.open(path), decoding),), decoding)
    records, pieces = read_column(file, path, name)
    utf8 = (piece.encode("utf-8", "replace") for piece in pieces)  # JSON may hold half of a surrogate pair
    parts = [SpooledPart(str(path), utf8, cache, "utf-8")]
    return _Opened(_slug(path.stem), parts, records=records, repairs=file.repairs)


def _folder(folder: Path, decoding: Decoding) -> _Opened:
    parts, skipped = [], []
    for path in sorted(_below(folder), key=lambda path: path.relative_to(folder).parts):
        part = FilePart.open(path)
        head = next(part.blocks(_HEAD), b"")
        if decoding.codec is None and (looks_binary(head) or is_document(head)):
            skipped.append(str(path))
        elif head:
            parts.append(part)
    if not parts:
        do = "file does" if len(skipped) == 1 else "files do"
        others = f" ({len(skipped)} {do} not look like text)" if skipped else ""
        hint = f"A glob takes files of every kind: {shlex.quote(str(folder / '*'))}." if skipped else ""
        raise TextError(f"no text in this folder{others}", where=folder, hint=hint)
    return _Opened(_slug(folder.resolve().name), parts, skipped=tuple(skipped))


def _below(folder: Path) -> Iterator[Path]:
    """The regular files below a folder that are not hidden."""

    def stop(fault: OSError) -> None:
        raise reading_error(Path(fault.filename or folder), fault) from fault

    # Links to folders are not followed: they could lead in circles.
    for here, folders, files in os.walk(folder, onerror=stop):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in files:
            path = Path(here, name)
            if not name.startswith(".") and is_regular(path):
                yield path


def _glob(pattern: str, cache: Path) -> _Opened:
    matches = [Path(match) for match in glob.glob(os.path.expanduser(pattern), recursive=True)]
    files = sorted((path for path in matches if is_regular(path)), key=lambda path: path.parts)
    if not files:
        raise NotFoundError("no file matches", where=pattern, hint="Only folders match." if matches else "")
    name = _joined_name([_slug(_stem(path)) for path in files])
    return _Opened(name, [_file(path, str(path), cache) for path in files])


def _suggestion(source: str, path: Path) -> str:
    """Names similar to one that does not exist: files in the same folder, and corpora.

    Only the last component of a path is compared: with a long folder all its files would look alike.
    """
    try:
        with os.scandir(path.parent) as beside:
            files = [entry.name for entry in islice(beside, 10_000)]
    except (OSError, ValueError):
        files = []
    here = os.path.dirname(source)
    close = [os.path.join(here, name) for name in get_close_matches(path.name, files, n=2, cutoff=0.6)]
    of_collection = source.partition("/")[0] in catalogue()
    close += suggestions(source) if of_collection else get_close_matches(source, names(), n=2, cutoff=0.6)
    return f"Did you mean {' or '.join(close)}?" if close else "`charlstm corpora list` shows all corpora."


def _slug(name: str) -> str:
    """A name of letters, digits, ``-``, ``_`` and ``.`` that begins with a letter or digit."""
    return re.sub(r"[^\w.-]+", "-", name).strip("-._") or "text"


def _joined_name(names: list[str]) -> str:
    """The name of all together: ``a``, ``a-and-b``, ``a-and-2-more``."""
    first, *others = names
    if len(others) > 1:
        return f"{first}-and-{len(others)}-more"
    return "-and-".join(names)
