"""A corpus: text in parts, read in chunks; memory does not grow with the text.

Two views of the same parts::

    chunks()      str     decoded, newlines normalised: for tokenizers of characters
    raw_chunks()  bytes   unchanged, of any file at all: for the byte tokenizer

The text view joins parts by one rule: a part that does not end with a newline is followed by one before the next part
begins; otherwise nothing is inserted. The raw view inserts nothing.
"""

from __future__ import annotations

import hashlib
import os
import stat
import tempfile
import weakref
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import BinaryIO, Protocol

from charlstm.corpora.decode import PLAIN, Decoding, Repairs, TextDecoder
from charlstm.errors import CharlstmError, NotFoundError, StorageError, UsageError
from charlstm.files import make_folder, storage_error

BLOCK = 1 << 19
"""Bytes read at a time: what they decode to still fits the processor's cache (measured from 64 kB to 1 MB)."""

Feed = Callable[[bytes], object]
"""Receives the bytes of a text as they pass, like a hash's ``update``."""


class Part(Protocol):
    """One piece of a corpus: a file, or generated text."""

    @property
    def name(self) -> str:
        """The name for messages."""

    @property
    def size(self) -> int:
        """Bytes, when it was opened."""

    @property
    def encoding(self) -> str | None:
        """Its encoding, if it is known; None is that of the corpus."""

    def blocks(self, block: int = BLOCK) -> Iterator[bytes]:
        """Yield all its bytes, from the start, in blocks of at most ``block`` bytes.

        Raises:
            NotFoundError: it has disappeared.
            StorageError: it cannot be read.
        """


@dataclass(frozen=True)
class Corpus:
    """Text from one source or several, in the order given."""

    name: str
    """Safe as a file name: letters, digits, ``-``, ``_``, ``.`` and ``+``."""
    parts: tuple[Part, ...]
    decoding: Decoding = PLAIN
    """How the bytes of every part are read; a part may have an encoding of its own."""
    skipped: tuple[str, ...] = ()
    """Files of folders left out because they do not look like text."""
    entropy_rate: float | None = None
    """True entropy in nats per character, where it is known: of a single synthetic source."""
    records: str = ""
    """How its texts are separated, where the sources say that it is a list of texts: `records.LINES` or another."""
    repairs: dict[str, Repairs] = field(default_factory=dict, compare=False, repr=False)
    """What was not taken from each part as it stands, by its name; known of the parts that were read to their ends."""

    @property
    def size(self) -> int:
        """Bytes of all parts."""
        return sum(part.size for part in self.parts)

    def decoding_of(self, part: Part) -> Decoding:
        """How the bytes of one of its parts are read."""
        return replace(self.decoding, encoding=part.encoding or self.decoding.codec)

    def chunks(self, *, feed: Feed | None = None) -> Iterator[str]:
        """Yield the text, from the start, in chunks, none empty.

        Args:
            feed: called with the UTF-8 of every chunk before the chunk is yielded.

        Raises:
            TextError: a byte is not text in the encoding; the error names the part, the offset and what to try.
            NotFoundError: a part has disappeared.
            StorageError: a part cannot be read.
        """
        for _, text in self.named_chunks(feed=feed):
            yield text

    def named_chunks(self, *, feed: Feed | None = None) -> Iterator[tuple[str, str]]:
        """Yield the same chunks, each with the name of the part that it is from.

        Args:
            feed: as in `chunks`.

        Raises:
            TextError, NotFoundError, StorageError: as in `chunks`.
        """
        last, name = "\n", ""
        for part in self.parts:
            begins, decoder = True, TextDecoder(part.name, self.decoding_of(part))
            for text, utf8 in decoder.decode(part.blocks()):
                if begins and last not in "\r\n":
                    if feed:
                        feed(b"\n")
                    yield name, "\n"
                begins, last, name = False, text[-1], part.name
                if feed:
                    feed(utf8)
                yield part.name, text
            self.repairs.setdefault(part.name, decoder.repairs)  # of a column they are those of its file

    def raw_chunks(self, block: int = BLOCK, *, feed: Feed | None = None) -> Iterator[bytes]:
        """Yield the bytes of all parts, unchanged by encoding and newline rule.

        Args:
            block: bytes read at a time.
            feed: called with every chunk before it is yielded.

        Raises:
            NotFoundError: a part has disappeared.
            StorageError: a part cannot be read.
        """
        for part in self.parts:
            for data in part.blocks(block):
                if feed:
                    feed(data)
                yield data

    def fingerprint(self) -> str:
        """What tells without reading a byte that files are unchanged: a digest of their sizes and times.

        It is empty where a part is no file; the same text in a file that was written again has another one.
        """
        files = [part for part in self.parts if isinstance(part, FilePart)]
        if len(files) < len(self.parts):
            return ""
        digest = hashlib.sha256(str([(file.size, file.modified) for file in files]).encode())
        return digest.hexdigest()

    def sha256(self, *, raw: bool = False) -> str:
        """The digest of the text as it is now, 64 hexadecimal digits; every call reads all of it again.

        It is taken over the UTF-8 of what `chunks` yields. It therefore covers encoding, newline rule and joins, and
        for a single UTF-8 file with LF newlines it is the digest that ``sha256sum`` prints.

        Args:
            raw: whether to take the raw view instead.

        Raises:
            TextError, NotFoundError, StorageError: as in `chunks`.
        """
        digest = hashlib.sha256()
        for _ in self.raw_chunks(feed=digest.update) if raw else self.chunks(feed=digest.update):
            pass
        return digest.hexdigest()


@dataclass(frozen=True)
class FilePart:
    """A file on disk."""

    path: Path
    name: str
    size: int
    modified: int = 0
    """When it was last changed, in nanoseconds since 1970."""
    encoding: str | None = None

    @classmethod
    def open(cls, path: Path, name: str | None = None) -> FilePart:
        """Open a regular file.

        Args:
            path: the file.
            name: its name for messages; None for the path.

        Returns:
            The part of a corpus that the file is.

        Raises:
            NotFoundError: there is no such file.
            UsageError: it is not a regular file: a pipe or a device cannot be read twice, and may have no end.
            StorageError: it cannot be read.
        """
        try:
            status = path.stat()
            if not stat.S_ISREG(status.st_mode):
                raise UsageError(
                    "not a regular file", where=path, hint="Text from a pipe is read with `-`: command | charlstm ... -"
                )
            with path.open("rb"):
                pass
        except OSError as fault:
            raise reading_error(path, fault) from fault
        return cls(path, name or str(path), status.st_size, status.st_mtime_ns)

    def in_encoding(self, encoding: str) -> FilePart:
        """The same file, its encoding known."""
        return replace(self, encoding=encoding)

    def blocks(self, block: int = BLOCK) -> Iterator[bytes]:
        """Yield all bytes of the file, in blocks."""
        try:
            with self.path.open("rb", buffering=0) as file:
                while data := file.read(block):
                    yield data
        except OSError as fault:
            raise reading_error(self.path, fault) from fault


def reading_error(path: Path, fault: OSError) -> CharlstmError:
    """An operating system error while reading, in plain words.

    Args:
        path: the file.
        fault: the error.

    Returns:
        The error to raise: `NotFoundError` if the file does not exist, else `StorageError`.
    """
    if isinstance(fault, (FileNotFoundError, NotADirectoryError)):
        return NotFoundError("no such file", where=path)
    return storage_error(path, fault, "cannot be read")


class SpooledPart:
    """Text that can be read only once, stored in a nameless temporary file so that it can be read again.

    The file vanishes with this object, whatever happens to the process.

    Args:
        name: the name for messages.
        blocks: its bytes; read to the end here.
        folder: the folder of the temporary file, created if missing. Not the system's own for temporary files: that is
            often in memory.
        encoding: of the text, if it is known.

    Raises:
        StorageError: the disk is full, or the folder cannot be written.
    """

    def __init__(self, name: str, blocks: Iterable[bytes], folder: Path, encoding: str | None = None) -> None:
        self.name, self.encoding = name, encoding
        self.size = 0
        make_folder(folder)
        try:
            self._file: BinaryIO = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 - closed by the line below
            weakref.finalize(self, self._file.close)
            for block in blocks:
                self._file.write(block)
                self.size += len(block)
            self._file.flush()
        except OSError as fault:
            raise storage_error(folder, fault, "cannot be written") from fault

    def in_encoding(self, encoding: str) -> SpooledPart:
        """The same text, its encoding known."""
        self.encoding = encoding
        return self

    def blocks(self, block: int = BLOCK) -> Iterator[bytes]:
        """Yield all bytes again, in blocks; several readers do not disturb each other."""
        for offset in range(0, self.size, block):
            self._file.seek(offset)
            yield self._file.read(min(block, self.size - offset))


def stream_blocks(stream: BinaryIO, name: str) -> Iterator[bytes]:
    """Yield all that a stream still holds, in blocks.

    Args:
        stream: the stream.
        name: its name for messages.

    Raises:
        StorageError: it cannot be read.
    """
    try:
        while data := stream.read(BLOCK):
            yield data
    except OSError as fault:
        raise StorageError(f"cannot be read: {(fault.strerror or str(fault)).lower()}", where=name) from fault


def is_regular(path: Path) -> bool:
    """Whether a path leads to a regular file; a loop of links does not."""
    try:
        return stat.S_ISREG(os.stat(path).st_mode)
    except (OSError, ValueError):
        return False
