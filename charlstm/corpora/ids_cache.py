"""The cache of encoded texts: ``.npy`` files, written whole or not at all, checked when they are opened.

A file that is damaged counts as not there; it is only a cache.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from charlstm.corpora.cache_cleanup import sweep, touch
from charlstm.errors import CorruptError
from charlstm.files import Bytes, storage_error, write_atomically
from charlstm.tokenizers import Ids

VERSION = 1
"""Raised whenever the same key would have to give another file."""

_BLOCK = 1 << 20
_HEADER = 128
"""Bytes before the first id, as NumPy itself would choose."""

_Type = np.dtype[np.unsignedinteger[Any]]


def load(path: Path, dtype: _Type, size: int | None) -> Ids | None:
    """The ids in a file, read-only and memory-mapped, or None when it is not there or not as it should be.

    Args:
        path: the file.
        dtype: the type the ids must have.
        size: how many there must be; None when only the file knows.
    """
    try:
        ids: NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
        whole = path.stat().st_size == _HEADER + ids.nbytes
    except (OSError, ValueError, EOFError, SyntaxError):
        return None
    if not whole or ids.ndim != 1 or ids.dtype != dtype or len(ids) != (size or len(ids)) or not len(ids):
        return None
    touch(path)
    return ids


def save(path: Path, pieces: Iterable[Ids], dtype: _Type, size: int | None) -> Ids:
    """Write ids to a file and map it.

    Args:
        path: the file; its folder is made if need be.
        pieces: the ids in order.
        dtype: the type to write.
        size: how many there are. None when nobody knows yet: then they are first written to a nameless file, because
            a ``.npy`` file says its length before its first number.

    Raises:
        StorageError: the disk is full, or the cache cannot be written.
        whatever ``pieces`` raises: then no file was written.
    """
    blocks: Iterator[Bytes] = (np.ascontiguousarray(piece, dtype).data.cast("B") for piece in pieces if len(piece))
    if size is not None:
        write(path, chain((_header(dtype, size),), blocks))
    else:
        _make(path.parent)
        with tempfile.TemporaryFile(dir=path.parent) as spool:
            size = _spool(blocks, spool, path) // dtype.itemsize
            write(path, chain((_header(dtype, size),), iter(lambda: spool.read(_BLOCK), b"")))
    ids = load(path, dtype, size)
    if ids is None:
        raise CorruptError("did not keep what was written to it", where=path, hint="Is the disk in order?")
    return ids


def pieces(path: Path, dtype: _Type, begin: int, end: int) -> Iterator[Ids]:
    """The ids from ``begin`` to ``end``, exclusive, in pieces.

    They are read, not mapped: pages of a map count as this process's memory once they were touched.

    Raises:
        StorageError: the file cannot be read.
    """
    try:
        with path.open("rb") as file:
            file.seek(_HEADER + begin * dtype.itemsize)
            for first in range(begin, end, _BLOCK):
                yield np.frombuffer(file.read(min(_BLOCK, end - first) * dtype.itemsize), dtype)
    except OSError as fault:
        raise storage_error(path, fault, "cannot be read") from fault


def write(path: Path, data: Bytes | Iterable[Bytes]) -> None:
    """Write a file of the cache whole or not at all, its folder too if need be; what was long unused goes.

    Args:
        path: the file, in one of the cache's folders.
        data: its bytes, in one piece or several.

    Raises:
        StorageError: the disk is full, or the cache cannot be written.
    """
    _make(path.parent)
    write_atomically(path, data)
    sweep(path.parent.parent)


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as fault:
        raise storage_error(folder, fault, "cannot be written") from fault


def _spool(blocks: Iterable[Bytes], spool: IO[bytes], path: Path) -> int:
    """Write blocks to a file and go back to its start; returns the bytes written."""
    try:
        for block in blocks:
            spool.write(block)
        size = spool.tell()
        spool.seek(0)
    except OSError as fault:
        raise storage_error(path, fault, "cannot be written") from fault
    return size


def _header(dtype: _Type, size: int) -> bytes:
    """What a ``.npy`` file begins with (NumPy's format, version 1.0)."""
    described = f"{{'descr': {dtype.newbyteorder('<').str!r}, 'fortran_order': False, 'shape': ({size},), }}"
    lead = b"\x93NUMPY\x01\x00" + (_HEADER - 10).to_bytes(2, "little")
    return lead + described.encode("ascii").ljust(_HEADER - 11) + b"\n"


def key(sha256: str, state: dict[str, Any]) -> str:
    """The name of what follows from a text and a tokenizer, or from a text and settings.

    The text's digest stands for encoding, newline rule and joins too: it is taken behind them.
    """
    canonical = json.dumps([VERSION, sha256, state], sort_keys=True, ensure_ascii=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()
