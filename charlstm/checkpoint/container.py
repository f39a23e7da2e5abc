"""The container: a safetensors file with a SHA-256 over all its bytes.

::

    8 bytes     length of the header, little-endian
    header      JSON: {"__metadata__": {"format": …, "sha256": "64 digits", …}, "a tensor": {dtype, shape, …}, …}
    data        the tensors, the widest types first, then by name

The digest is computed over the whole file with its own 64 digits replaced by ``0``. Any safetensors reader opens it.

The safetensors library reads the tensors. The header is written here, because the library shuffles the metadata on
every write (the same run would never give the same file twice) and has no place for a digest of the whole file.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from charlstm.errors import CheckpointError, CorruptError, NotFoundError
from charlstm.files import storage_error, write_atomically

Tensors = Mapping[str, NDArray[Any]]

_TYPES = {
    "float64": "F64",
    "float32": "F32",
    "float16": "F16",
    "int64": "I64",
    "int32": "I32",
    "uint64": "U64",
    "uint32": "U32",
    "uint16": "U16",
    "uint8": "U8",
    "int8": "I8",
    "bool": "BOOL",
}
_DIGEST_KEY = b'"sha256":"'  # in a metadata value its quotes would be escaped, so it occurs only once
_NO_DIGEST = "0" * 64
_PICKLES = (b"PK\x03\x04", b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")
_PICKLE_SUFFIXES = {".pt", ".pth", ".t7", ".pkl", ".pickle", ".ckpt", ".bin"}
_AGAIN = "Copy it from its source again, or train again."


@dataclass(frozen=True)
class Header:
    """What precedes the tensors."""

    metadata: dict[str, str]
    tensors: dict[str, tuple[str, tuple[int, ...]]]
    """Type, as ``"F32"``, and shape of each tensor."""
    size: int
    """Size of the whole file, in bytes."""
    start: int
    """Offset of the tensors, in bytes."""


def write(path: Path, tensors: Tensors, metadata: Mapping[str, str]) -> str:
    """Write the file completely or not at all.

    Args:
        path: the file; its folder must exist.
        tensors: arrays of any shape, also empty ones.
        metadata: ASCII text; ``"sha256"`` is added.

    Returns:
        The file's SHA-256, 64 hexadecimal digits. The same arguments always give the same file.

    Raises:
        StorageError: the disk is full or read-only, or this user has no permission.
    """
    arrays = {name: _little_endian(array) for name, array in tensors.items()}
    # The order that the library requires: every tensor then begins at a multiple of its item size.
    names = sorted(arrays, key=lambda name: (-arrays[name].itemsize, name))
    blank = _header(names, arrays, {**metadata, "sha256": _NO_DIGEST})
    pieces = [arrays[name].reshape(-1).view(np.uint8).data for name in names]
    digest = hashlib.sha256(blank)
    for piece in pieces:
        digest.update(piece)
    signed = _header(names, arrays, {**metadata, "sha256": digest.hexdigest()})
    write_atomically(path, (signed, *pieces))
    return digest.hexdigest()


def _header(names: list[str], arrays: Tensors, metadata: Mapping[str, str]) -> bytes:
    entries: dict[str, Any] = {"__metadata__": dict(metadata)}
    end = 0
    for name in names:
        array = arrays[name]
        begin, end = end, end + array.nbytes
        entries[name] = {"dtype": _TYPES[array.dtype.name], "shape": array.shape, "data_offsets": (begin, end)}
    text = json.dumps(entries, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text


def _little_endian(array: NDArray[Any]) -> NDArray[Any]:
    return np.asarray(array, array.dtype.newbyteorder("<"), order="C")


@contextmanager
def opened(path: Path) -> Iterator[BinaryIO]:
    """Open a checkpoint for reading in a ``with`` block.

    Raises:
        NotFoundError: there is no such file.
        CorruptError: it is not a plain file (opening a pipe or a device could wait for ever).
        StorageError: it cannot be read.
    """
    try:
        mode = path.stat().st_mode
        if stat.S_ISDIR(mode):
            raise NotFoundError("a folder, not a checkpoint file", where=path)
        if not stat.S_ISREG(mode):
            raise CorruptError("not a plain file", where=path)
        file = path.open("rb")
    except (FileNotFoundError, NotADirectoryError, ValueError) as fault:
        raise NotFoundError("no such file", where=path) from fault
    except OSError as fault:
        raise storage_error(path, fault, "cannot be read") from fault
    try:
        yield file
    finally:
        with suppress(OSError):  # what was read is checked by its digest, whatever comes of closing it
            file.close()


def read_header(file: BinaryIO, path: Path) -> Header:
    """Read and check the header, without the tensors.

    Args:
        file: the file, at its beginning.
        path: its path, for messages.

    Returns:
        The header; the file is left at the first byte of its tensors.

    Raises:
        CorruptError: it is not a safetensors file, or is truncated.
        StorageError: it cannot be read.
    """
    try:
        size = os.fstat(file.fileno()).st_size
        lead = file.read(9)
        start = 8 + int.from_bytes(lead[:8], "little")
        _check_lead(lead, start, size, path)
        text = lead[8:] + file.read(start - 9)
    except OSError as fault:
        raise storage_error(path, fault, "cannot be read") from fault
    return _parse(text, start, size, path)


def read_tensors(file: BinaryIO, header: Header, path: Path) -> dict[str, NDArray[Any]]:
    """Check the digest and read the tensors.

    Args:
        file: the file, at any position.
        header: its header.
        path: its path, for messages.

    Returns:
        The arrays by name; they are writable.

    Raises:
        CorruptError: a bit has changed since the file was written, or the tensors do not match the header.
        StorageError: it cannot be read.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        file.seek(0)
        data = file.read()
    except OSError as fault:
        raise storage_error(path, fault, "cannot be read") from fault
    # If the key of the digest itself is damaged there are two absent digests, which must not compare equal.
    if _digest(data, header.start) != header.metadata.get("sha256", ""):
        raise CorruptError("changed since it was written: its SHA-256 does not fit", where=path, hint=_AGAIN)
    try:
        return load(data)
    except (SafetensorError, ValueError, KeyError) as fault:
        raise CorruptError(f"its tensors cannot be read ({fault!s:.120})", where=path) from fault


def _digest(data: bytes, start: int) -> str | None:
    """The SHA-256 that the file should contain; None unless there is exactly one place for it."""
    if data.count(_DIGEST_KEY, 8, start) != 1:
        return None
    begin = data.index(_DIGEST_KEY, 8, start) + len(_DIGEST_KEY)
    view = memoryview(data)
    digest = hashlib.sha256(view[:begin])
    digest.update(_NO_DIGEST.encode())
    digest.update(view[begin + 64 :])
    return digest.hexdigest()


def _check_lead(lead: bytes, start: int, size: int, path: Path) -> None:
    if not size:
        raise CorruptError("the file is empty", where=path, hint=_AGAIN)
    if lead[8:] == b"{" and start <= size:
        return
    if lead.startswith(_PICKLES) or path.suffix.lower() in _PICKLE_SUFFIXES:
        raise CorruptError(
            "a pickle of another program; charlstm reads only model.safetensors, and never runs code from a file",
            where=path,
        )
    if lead[8:] == b"{" or (len(lead) < 9 and path.suffix == ".safetensors"):
        raise _cut_short(size, path)
    raise CorruptError("not a charlstm checkpoint", where=path, hint="Name a run, or its model.safetensors.")


def _cut_short(size: int, path: Path) -> CheckpointError:
    return CorruptError(f"cut short after {size:,} bytes", where=path, hint=_AGAIN)


def _parse(text: bytes, start: int, size: int, path: Path) -> Header:
    try:
        entries = json.loads(text.decode())
        metadata = entries.pop("__metadata__", {})
        if not all(isinstance(value, str) for value in metadata.values()):
            raise TypeError("metadata that are not strings")
        tensors = {name: (str(entry["dtype"]), _shape(entry)) for name, entry in entries.items()}
        end = start + max((entry["data_offsets"][1] for entry in entries.values()), default=0)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as fault:
        what = "its header cannot be read: damaged, or not a checkpoint"
        raise CorruptError(what, where=path, hint=_AGAIN) from fault
    if end > size:
        raise _cut_short(size, path)
    return Header(metadata, tensors, size, start)


def _shape(entry: dict[str, Any]) -> tuple[int, ...]:
    """A tensor's shape, if its bytes can hold it; the library checks them exactly."""
    begin, end = entry["data_offsets"]
    shape = tuple(entry["shape"])
    if not all(type(number) is int and number >= 0 for number in (begin, *shape, end)):
        raise TypeError("a shape or offset that is not a non-negative integer")
    if math.prod(shape) > 8 * (end - begin):
        raise ValueError("more elements than bits")
    return shape
