"""Documents that are not text, by their first bytes, and how each becomes text."""

from __future__ import annotations

import re
import shlex
from typing import NamedTuple

from charlstm.errors import TextError

HEAD_SIZE = 64
"""Bytes of a file by which it is told."""


class _Kind(NamedTuple):
    """A kind of document."""

    begins: re.Pattern[bytes]
    what: str
    remedy: str
    """``{}`` stands for the file."""


_PANDOC = "Turn it into text first: pandoc -t plain {} -o my.txt"
_UNPACK = "Unpack it first."
COMPRESSED = {
    "gzip": re.compile(rb"\x1f\x8b\x08"),
    "bzip2": re.compile(rb"BZh[1-9]1AY&SY"),
    "xz": re.compile(rb"\xfd7zXZ\x00"),
}
"""What a file begins with that one of these compressed."""
_BY_SUFFIX = {".epub": "an e-book (EPUB)", ".docx": "a Word document", ".odt": "an OpenDocument text"}
"""All of them are ZIP archives."""
_ZIP = re.compile(b"PK\x03\x04")
_EPUB = b"mimetypeapplication/epub+zip"
"""What an e-book's archive begins with, whatever its name."""
_KINDS = (
    _Kind(re.compile(rb"%PDF-"), "a PDF", "Turn it into text first: pdftotext {} my.txt"),
    _Kind(re.compile(rb"\{\\rtf"), "a document in Rich Text Format", _PANDOC),
    _Kind(
        re.compile(rb"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"),
        "a document of an old Office",
        "Save it as plain text in a word processor.",
    ),
    *(_Kind(begins, f"compressed by {name}", _UNPACK) for name, begins in COMPRESSED.items()),
    _Kind(re.compile(rb"\x28\xb5\x2f\xfd"), "compressed by zstd", _UNPACK),
    _Kind(re.compile(rb"7z\xbc\xaf\x27\x1c"), "a 7z archive", _UNPACK),
    _Kind(re.compile(rb"Rar!\x1a\x07"), "a RAR archive", _UNPACK),
)


def refuse_documents(name: str, head: bytes) -> None:
    """Raise the error for a document that is not text; do nothing for anything else.

    Args:
        name: of the file, for messages; its suffix tells what an archive holds.
        head: its first `HEAD_SIZE` bytes, or all of a shorter one.

    Raises:
        TextError: it is such a document; the message says how it becomes text.
    """
    kind = _kind(name, head)
    if kind is not None:
        raise TextError(f"{kind.what}, not text", where=name, hint=kind.remedy.format(shlex.quote(name)))


def is_document(head: bytes) -> bool:
    """Whether a file begins like a document that is not text.

    Args:
        head: its first `HEAD_SIZE` bytes, or more.
    """
    return _kind("", head) is not None


def _kind(name: str, head: bytes) -> _Kind | None:
    if _ZIP.match(head):
        suffix = ".epub" if _EPUB in head else name[name.rfind(".") :].lower() if "." in name else ""
        what = _BY_SUFFIX.get(suffix)
        return _Kind(_ZIP, what, _PANDOC) if what else _Kind(_ZIP, "a ZIP archive", _UNPACK)
    return next((kind for kind in _KINDS if kind.begins.match(head)), None)
