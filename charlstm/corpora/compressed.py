"""Compressed files, by their first bytes: gzip, bzip2 and xz, as the standard library unpacks them."""

from __future__ import annotations

import bz2
import gzip
import lzma
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

from charlstm.corpora.documents import COMPRESSED
from charlstm.corpora.read import BLOCK, reading_error
from charlstm.errors import TextError

_XZ_MEMORY = 1 << 27
"""Bytes that unpacking xz may take: twice what its highest level needs. A file can ask for 4 GB in its first bytes."""
SUFFIXES = (".gz", ".bz2", ".xz")
"""What the name of such a file ends with, which is no part of the text's name."""


def unpacked(path: Path, head: bytes) -> Iterator[bytes] | None:
    """The content of a compressed file, in blocks; None if it is not compressed.

    Args:
        path: the file.
        head: its first `HEAD_SIZE` bytes.

    Raises:
        TextError: it is damaged or cut short, which is found when that block is read.
        NotFoundError, StorageError: it cannot be read.
    """
    name = next((name for name, begins in COMPRESSED.items() if begins.match(head)), None)
    return None if name is None else _blocks(path, name)


def _blocks(path: Path, name: str) -> Iterator[bytes]:
    try:
        yield from _UNPACKERS[name](path)
    except EOFError as fault:
        raise TextError(f"cut short: what {name} compressed does not end", where=path, hint="Copy it again.") from fault
    except (zlib.error, lzma.LZMAError) as fault:
        if "limit" in str(fault):
            what = f"{name} would need more than {_XZ_MEMORY >> 20} MB of memory to unpack it"
            raise TextError(what, where=path, hint="Compress it with level 9 or a lower one.") from fault
        raise _damaged(path, name) from fault
    except OSError as fault:
        if fault.errno is None:  # gzip and bz2 report damage so
            raise _damaged(path, name) from fault
        raise reading_error(path, fault) from fault


def _gzip(path: Path) -> Iterator[bytes]:
    with gzip.GzipFile(path) as file:
        yield from iter(lambda: file.read(BLOCK), b"")


def _bzip2(path: Path) -> Iterator[bytes]:
    with bz2.BZ2File(path) as file:
        yield from iter(lambda: file.read(BLOCK), b"")


def _xz(path: Path) -> Iterator[bytes]:
    """As `lzma.LZMAFile` reads: streams one after another, without what stands behind them; in bounded memory."""
    with path.open("rb") as file:
        data, streams = file.read(BLOCK), 0
        while data:
            decoder = lzma.LZMADecompressor(memlimit=_XZ_MEMORY)
            try:
                yield decoder.decompress(data, BLOCK)
            except lzma.LZMAError:
                if streams:
                    return
                raise
            while not decoder.eof:
                data = file.read(BLOCK) if decoder.needs_input else b""
                if not data and decoder.needs_input:
                    raise EOFError
                yield decoder.decompress(data, BLOCK)
            data, streams = decoder.unused_data or file.read(BLOCK), streams + 1


_UNPACKERS: dict[str, Callable[[Path], Iterator[bytes]]] = {"gzip": _gzip, "bzip2": _bzip2, "xz": _xz}


def _damaged(path: Path, name: str) -> TextError:
    return TextError(f"damaged: {name} cannot unpack it", where=path, hint="Copy it again.")
