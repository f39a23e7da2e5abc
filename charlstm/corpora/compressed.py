"""Compressed files, by their first bytes: gzip, bzip2 and xz, as the standard library unpacks them."""

from __future__ import annotations

import bz2
import gzip
import lzma
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, cast

from charlstm.corpora.documents import COMPRESSED
from charlstm.corpora.read import BLOCK, reading_error
from charlstm.errors import TextError

_FILES: dict[str, Callable[[Path], IO[bytes]]] = {
    "gzip": cast("Callable[[Path], IO[bytes]]", gzip.GzipFile),
    "bzip2": bz2.BZ2File,
    "xz": lzma.LZMAFile,
}
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
        with _FILES[name](path) as file:
            while block := file.read(BLOCK):
                yield block
    except EOFError as fault:
        raise TextError(f"cut short: what {name} compressed does not end", where=path, hint="Copy it again.") from fault
    except (zlib.error, lzma.LZMAError) as fault:
        raise _damaged(path, name) from fault
    except OSError as fault:
        if fault.errno is None:  # gzip and bz2 report damage so
            raise _damaged(path, name) from fault
        raise reading_error(path, fault) from fault


def _damaged(path: Path, name: str) -> TextError:
    return TextError(f"damaged: {name} cannot unpack it", where=path, hint="Copy it again.")
