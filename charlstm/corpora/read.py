"""A corpus: text in parts, read in chunks; memory does not grow with the text.

Two views of the same parts::

    chunks()      str     decoded, newlines settled: what tokenizers of characters see
    raw_chunks()  bytes   end to end, not one byte changed: what the byte tokenizer sees, of any file at all

The text view joins parts by one rule: a part that does not end with a newline gets one before the next part begins;
otherwise nothing is put between. The raw view puts nothing between.
"""

from __future__ import annotations

import hashlib
import os
import stat
import tempfile
import weakref
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol

from charlstm.corpora.decode import Decoder, Newlines
from charlstm.errors import CharlstmError, NotFoundError, StorageError, UsageError
from charlstm.files import storage_error

BLOCK = 1 << 19
"""Bytes read at a time: what is made of them still fits the processor's cache (measured from 64 kB to 1 MB)."""

Feed = Callable[[bytes], object]
"""What takes the bytes of a text on the way, as a hash's ``update``."""


class Part(Protocol):
    """One piece of a corpus: a file, or text made on the way."""

    @property
    def name(self) -> str:
        """What messages call it."""

    @property
    def size(self) -> int:
        """Bytes, as of when it was opened."""

    def blocks(self, block: int = BLOCK) -> Iterator[bytes]:
        """All its bytes, from the start, in blocks of at most ``block`` bytes.

        Raises:
            NotFoundError: it is gone.
            StorageError: it cannot be read.
        """


@dataclass(frozen=True)
class Corpus:
    """Text from one source or several, in the order stated."""

    name: str
    """Fit for a file name: letters, digits, ``-``, ``_``, ``.`` and ``+``."""
    parts: tuple[Part, ...]
    encoding: str | None = None
    """Of every part; None is UTF-8, with a byte order mark of UTF-8, UTF-16 or UTF-32 recognised."""
    newlines: Newlines = "normalise"
    skipped: tuple[str, ...] = ()
    """Files of folders left out because they look like no text."""
    entropy_rate: float | None = None
    """Nats per character, where the truth is known: one synthetic source."""

    @property
    def size(self) -> int:
        """Bytes of all parts."""
        return sum(part.size for part in self.parts)

    def chunks(self, block: int = BLOCK, *, feed: Feed | None = None) -> Iterator[str]:
        """The text, from the start, in chunks of about ``block`` bytes, none empty; their join depends on no chunk.

        Args:
            block: bytes read at a time.
            feed: called with the UTF-8 of every chunk before the chunk is passed on.

        Raises:
            TextError: a byte that is no text in the encoding; it names the part, the offset and what to try.
            NotFoundError: a part is gone.
            StorageError: a part cannot be read.
        """
        last = "\n"
        for part in self.parts:
            begins = True
            for text, utf8 in Decoder(part.name, self.encoding, self.newlines).decode(part.blocks(block)):
                if begins and last not in "\r\n":
                    if feed:
                        feed(b"\n")
                    yield "\n"
                begins, last = False, text[-1]
                if feed:
                    feed(utf8)
                yield text

    def raw_chunks(self, block: int = BLOCK, *, feed: Feed | None = None) -> Iterator[bytes]:
        """The bytes of all parts end to end, unchanged; neither encoding nor newline rule touch them.

        Args:
            block: bytes read at a time.
            feed: called with every chunk before it is passed on.

        Raises:
            NotFoundError: a part is gone.
            StorageError: a part cannot be read.
        """
        for part in self.parts:
            for data in part.blocks(block):
                if feed:
                    feed(data)
                yield data

    def sha256(self, *, raw: bool = False) -> str:
        """The digest of the text as it is now, 64 hexadecimal digits; every call reads it all anew.

        It is taken over the text as tokenizers see it, in UTF-8. So encoding, newline rule and joins are covered by
        what they do, and for one plain UTF-8 file with LF newlines it is the digest that ``sha256sum`` prints.

        Args:
            raw: of the raw view instead.

        Raises:
            TextError, NotFoundError, StorageError: as in `chunks`.
        """
        digest = hashlib.sha256()
        for _ in self.raw_chunks(feed=digest.update) if raw else self.chunks(feed=digest.update):
            pass
        return digest.hexdigest()


@dataclass(frozen=True)
class FilePart:
    """A file on the disk."""

    path: Path
    name: str
    size: int

    @classmethod
    def open(cls, path: Path, name: str | None = None) -> FilePart:
        """A regular file that can be read.

        Raises:
            NotFoundError: there is no such file.
            UsageError: it is no regular file: reading a pipe or a device twice, or to its end, may never work.
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
            raise reading_fault(path, fault) from fault
        return cls(path, name or str(path), status.st_size)

    def blocks(self, block: int = BLOCK) -> Iterator[bytes]:
        """All bytes of the file, in blocks."""
        try:
            with self.path.open("rb", buffering=0) as file:
                while data := file.read(block):
                    yield data
        except OSError as fault:
            raise reading_fault(self.path, fault) from fault


def reading_fault(path: Path, fault: OSError) -> CharlstmError:
    """What a refusal to read means to the user: the file is not there, or the system says no."""
    if isinstance(fault, (FileNotFoundError, NotADirectoryError)):
        return NotFoundError("no such file", where=path)
    return storage_error(path, fault, "cannot be read")


class SpooledPart:
    """Text that passes only once, kept in a nameless temporary file so that it can be read again.

    The file vanishes with this object, whatever happens to the process.

    Args:
        name: what messages call it.
        blocks: its bytes; read to the end here.
        folder: where the temporary file lies; it is made if need be. Not the system's own place for temporary files:
            that is often in memory.

    Raises:
        StorageError: the disk is full, or the folder cannot be written.
    """

    def __init__(self, name: str, blocks: Iterable[bytes], folder: Path) -> None:
        self.name = name
        self.size = 0
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._file: BinaryIO = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 - closed by the line below
            weakref.finalize(self, self._file.close)
            for block in blocks:
                self._file.write(block)
                self.size += len(block)
            self._file.flush()
        except OSError as fault:
            raise storage_error(folder, fault, "cannot be written") from fault

    def blocks(self, block: int = BLOCK) -> Iterator[bytes]:
        """All bytes again, in blocks; several readers do not disturb each other."""
        for offset in range(0, self.size, block):
            self._file.seek(offset)
            yield self._file.read(min(block, self.size - offset))


def stream_blocks(stream: BinaryIO, name: str) -> Iterator[bytes]:
    """All that a stream still has, in blocks.

    Raises:
        StorageError: it cannot be read.
    """
    try:
        while data := stream.read(BLOCK):
            yield data
    except OSError as fault:
        raise StorageError(f"cannot be read: {(fault.strerror or str(fault)).lower()}", where=name) from fault


def is_regular(path: Path) -> bool:
    """Whether a path leads to a regular file; a loop of links leads nowhere."""
    try:
        return stat.S_ISREG(os.stat(path).st_mode)
    except (OSError, ValueError):
        return False
