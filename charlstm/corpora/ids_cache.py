"""The cache of encoded texts: ``.npy`` files, written whole or not at all, checked when they are opened.

Behind the ids stands the SHA-256 of all bytes before it. A damaged file counts as missing: it is only a cache. So does
one that `save` cannot have written, whatever its digest: NumPy is never asked to make sense of a header.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import IO, Any, BinaryIO

import numpy as np

from charlstm.corpora.cache_cleanup import mark_used, remove_unused
from charlstm.errors import StorageError
from charlstm.files import Bytes, make_folder, storage_error, write_atomically
from charlstm.tokenizers import Ids, narrowest

VERSION = 2
"""Raise it whenever a key would have to give a file of other content."""

_BLOCK = 1 << 20
_HEADER_SIZE = 128
"""Bytes before the first id, as NumPy itself would choose."""
_DIGEST_SIZE = 32

_Type = np.dtype[np.unsignedinteger[Any]]


def key(sha256: str, state: dict[str, Any]) -> str:
    """The cache's name for what follows from a text and a tokenizer, or from a text and settings.

    Args:
        sha256: the digest of the decoded text, which therefore covers encoding, newline rule and joins too.
        state: the tokenizer's state, or the settings.
    """
    canonical = json.dumps([VERSION, sha256, state], sort_keys=True, ensure_ascii=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()


def load(path: Path, vocab_size: int) -> Ids | None:
    """Map the ids in a file, read-only.

    Args:
        path: the file.
        vocab_size: the number of tokens of the tokenizer that made the ids.

    Returns:
        The ids, (tokens,); None if the file is missing or damaged.

    Raises:
        StorageError: it cannot be read.
    """
    try:
        with path.open("rb") as file:
            dtype = narrowest(vocab_size).newbyteorder("<")
            size, rest = divmod(os.fstat(file.fileno()).st_size - _HEADER_SIZE - _DIGEST_SIZE, dtype.itemsize)
            if size < 1 or rest or not _is_intact(file, dtype, size, vocab_size):
                return None
            ids: Ids = np.memmap(file, dtype, "r", _HEADER_SIZE, (size,))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as fault:
        raise storage_error(path, fault, "cannot be read") from fault
    mark_used(path)
    return ids


def _is_intact(file: BinaryIO, dtype: _Type, size: int, vocab_size: int) -> bool:
    """Whether a file has the header that `save` writes for so many ids, ids of the tokenizer, and their digest."""
    header = file.read(_HEADER_SIZE)
    if header != _header(dtype, size):
        return False
    digest, left = hashlib.sha256(header), size * dtype.itemsize
    while left and (block := file.read(min(_BLOCK, left))):
        if len(block) % dtype.itemsize or int(np.frombuffer(block, dtype).max()) >= vocab_size:
            return False
        digest.update(block)
        left -= len(block)
    return left == 0 and file.read() == digest.digest()


def save(path: Path, pieces: Iterable[Ids], dtype: _Type, size: int | None) -> None:
    """Write ids to a file.

    Args:
        path: the file; its folder is created if missing.
        pieces: the ids in order.
        dtype: the type to write.
        size: the number of ids; None if it is not known yet. They are then first written to a nameless file, because
            a ``.npy`` file states its length before its first number.

    Raises:
        StorageError: the disk is full, or the cache cannot be written.
        whatever ``pieces`` raises: no file is written then.
    """
    blocks: Iterator[Bytes] = (np.ascontiguousarray(piece, dtype).data.cast("B") for piece in pieces if len(piece))
    if size is not None:
        write(path, _sealed(chain((_header(dtype, size),), blocks)))
        return
    _make_folder(path.parent)
    try:
        with tempfile.TemporaryFile(dir=path.parent) as spool:
            size = _spool(blocks, spool) // dtype.itemsize
            write(path, _sealed(chain((_header(dtype, size),), iter(lambda: spool.read(_BLOCK), b""))))
    except OSError as fault:
        raise storage_error(path, fault, "cannot be written") from fault


def pieces(path: Path, ids: Ids, begin: int, end: int) -> Iterator[Ids]:
    """Yield the ids from ``begin`` to ``end``, exclusive, in pieces.

    They are read from the file: the pages of a map count as this process's memory once they were touched. Only if the
    file has been removed since it was mapped are they taken from the map.

    Args:
        path: the file.
        ids: its map, (tokens,).
        begin: the first id.
        end: the id after the last.

    Raises:
        StorageError: the file cannot be read.
    """
    starts = range(begin, end, _BLOCK)
    try:
        with path.open("rb") as file:
            file.seek(_HEADER_SIZE + begin * ids.itemsize)
            for start in starts:
                yield np.frombuffer(file.read(min(_BLOCK, end - start) * ids.itemsize), ids.dtype)
    except FileNotFoundError:
        for start in starts:
            yield ids[start : min(start + _BLOCK, end)]
    except OSError as fault:
        raise storage_error(path, fault, "cannot be read") from fault


def write(path: Path, data: Bytes | Iterable[Bytes]) -> None:
    """Write a file of the cache whole or not at all, and remove other files long unused.

    Args:
        path: the file, in one of the cache's folders, which is created if missing.
        data: its bytes, in one piece or several.

    Raises:
        StorageError: the disk is full, or the cache cannot be written.
    """
    _make_folder(path.parent)
    write_atomically(path, data)
    remove_unused(path.parent.parent)


def _make_folder(folder: Path) -> None:
    """Create a folder of the cache; the error says that the cache can be elsewhere: nobody has chosen this place."""
    try:
        make_folder(folder)
    except StorageError as fault:
        fault.hint = f"{fault.hint} The cache can be in another folder: `cache`.".strip()
        raise


def _sealed(blocks: Iterable[Bytes]) -> Iterator[Bytes]:
    """Yield blocks, and their digest after them."""
    digest = hashlib.sha256()
    for block in blocks:
        digest.update(block)
        yield block
    yield digest.digest()


def _spool(blocks: Iterable[Bytes], spool: IO[bytes]) -> int:
    """Write blocks to a file and return to its start; returns the bytes written."""
    for block in blocks:
        spool.write(block)
    size = spool.tell()
    spool.seek(0)
    return size


def _header(dtype: _Type, size: int) -> bytes:
    """The start of a ``.npy`` file (NumPy's format, version 1.0)."""
    description = f"{{'descr': {dtype.newbyteorder('<').str!r}, 'fortran_order': False, 'shape': ({size},), }}"
    lead = b"\x93NUMPY\x01\x00" + (_HEADER_SIZE - 10).to_bytes(2, "little")
    return lead + description.encode("ascii").ljust(_HEADER_SIZE - 11) + b"\n"
