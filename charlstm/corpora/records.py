"""Records: the names, tweets, tunes or recipes that one file lists, each a text of its own.

The order of a list says nothing: it is often the alphabet's. So records are sorted by a digest of their content. That
is an order like any other, in which equal records stand together: the end of the text, kept for validation, is drawn
from all of it and has no record in common with the rest. Each record is followed by the same terminator::

    lines         Ada⏎                              every line is a record
    paragraphs    Fox and crow.⏎A fox saw…⏎⏎        blank lines separate records
    %             Out of cheese.⏎%⏎                 lines that consist of % separate records
"""

from __future__ import annotations

import hashlib
import mmap
import tempfile
import weakref
from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from charlstm.corpora.decode import Decoding
from charlstm.corpora.read import BLOCK, Corpus
from charlstm.errors import TextError, UsageError
from charlstm.files import make_folder, storage_error
from charlstm.tokenizers import Ids, Tokenizer

NONE, LINES, PARAGRAPHS = "none", "lines", "paragraphs"
"""The corpus is one text; each line is a record; blank lines separate records. Everything else is a separating line."""

_SEARCHED = 1 << 20
"""Tokens searched for terminators at a time."""

_DECODED = 4096
"""Records decoded at a time."""

_Places = NDArray[np.int64]


def terminator(records: str) -> str:
    """The text that follows each record; it begins and ends with a line end.

    Args:
        records: `LINES`, `PARAGRAPHS`, or a line that separates records.
    """
    return {LINES: "\n", PARAGRAPHS: "\n\n"}.get(records, f"\n{records}\n")


def sorted_records(corpus: Corpus, records: str, cache: Path) -> Corpus:
    """A corpus of records in the order of their digests, each followed by its terminator; blank records are left out.

    Memory holds 16 bytes for each record.

    Args:
        corpus: the text; it is read once.
        records: `LINES`, `PARAGRAPHS`, or a line that separates records.
        cache: charlstm's cache folder, for a temporary copy of the text.

    Returns:
        The corpus: always the same text for the same records, whatever their order.

    Raises:
        TextError: not text in its encoding, or there are fewer than two records.
        UsageError: the separating line is more than one line.
        NotFoundError, StorageError: a part cannot be read, or the cache cannot be written.
    """
    if "\n" in records or not records.strip():
        raise UsageError(f"`records={records!r}` must be none, lines, paragraphs, or one line that separates records")
    part = _SortedPart(corpus.name, split_records(corpus.chunks(), records), terminator(records), cache)
    if part.count < 2:
        what = "there is no record in this text" if not part.count else "the whole text is one record"
        hint = "" if records in (LINES, PARAGRAPHS) else f"No line is {records!r}. "
        raise TextError(what, where=corpus.name, hint=f"{hint}`records={NONE!r}` takes it as one text.")
    return replace(corpus, parts=(part,), decoding=Decoding("utf-8", "keep"))


def split_records(chunks: Iterable[str], records: str) -> Iterator[str]:
    """Yield the records of a text in order, without terminators; none is blank.

    Args:
        chunks: the text.
        records: `LINES`, `PARAGRAPHS`, or a line that separates records.
    """
    if records == LINES:
        yield from (line for line in _lines(chunks) if line.strip())
        return
    separator = "" if records == PARAGRAPHS else records
    lines: list[str] = []
    for line in _lines(chunks):
        if line.strip() != separator.strip():
            lines.append(line)
        elif lines:
            yield from _joined(lines)
            lines = []
    yield from _joined(lines)


def _joined(lines: list[str]) -> Iterator[str]:
    """The record of some lines, without blank lines around it; nothing if all are blank."""
    full = [number for number, line in enumerate(lines) if line.strip()]
    if full:
        yield "\n".join(lines[full[0] : full[-1] + 1])


def _lines(chunks: Iterable[str]) -> Iterator[str]:
    """The lines of a text without their ends."""
    rest = ""
    for chunk in chunks:
        *lines, rest = (rest + chunk).split("\n")
        yield from lines
    if rest:
        yield rest


class _SortedPart:
    """Records in the order of their digests, in a nameless temporary file; it vanishes with this object.

    Args:
        name: the name for messages.
        records: each record, without a terminator.
        terminator: what follows each.
        folder: the folder of the file, created if missing.

    Attributes:
        size: bytes of all records with terminators.
        encoding: UTF-8.
        count: the number of records.
    """

    def __init__(self, name: str, records: Iterable[str], terminator: str, folder: Path) -> None:
        self.name, self.encoding, end = name, "utf-8", terminator.encode()
        make_folder(folder)
        ends, digests = array("q", [0]), array("Q")
        try:
            self._file: BinaryIO = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 - closed by the line below
            weakref.finalize(self, self._file.close)
            for record in records:
                data = record.encode()
                digests.append(int.from_bytes(hashlib.blake2b(data, digest_size=8).digest(), "big"))
                ends.append(ends[-1] + self._file.write(data + end))
            self._file.flush()
        except OSError as fault:
            raise storage_error(folder, fault, "cannot be written") from fault
        self._ends, self.size, self.count = np.asarray(ends, np.int64), ends[-1], len(digests)
        self._order = np.argsort(np.asarray(digests, np.uint64), kind="stable")

    def blocks(self, block: int = BLOCK) -> Iterator[bytes]:
        """Yield all bytes, record by record, in blocks of at most ``block`` bytes."""
        if not self.count:
            return
        with mmap.mmap(self._file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            pending = bytearray()
            for begin, end in zip(self._ends[self._order].tolist(), self._ends[self._order + 1].tolist(), strict=True):
                pending += data[begin:end]
                while len(pending) >= block:
                    yield bytes(pending[:block])
                    del pending[:block]
        if pending:
            yield bytes(pending)


def terminator_ids(records: str, tokenizer: Tokenizer) -> tuple[int, ...]:
    """The tokens that follow each record.

    Args:
        records: `LINES`, `PARAGRAPHS`, or a line that separates records.
        tokenizer: of the text.
    """
    return tuple(tokenizer.encode(terminator(records)).tolist())


def record_ends(ids: Ids | NDArray[Any], terminator: Sequence[int]) -> _Places:
    """Where the records of a text end.

    Args:
        ids: the tokens of the text, (tokens,), memory-mapped or not.
        terminator: the tokens that end each record; two of them never overlap.

    Returns:
        The index after each record's terminator, ascending; at last the length of the text, even if its last record
        has no terminator.
    """
    width, found = len(terminator), []
    for begin in range(0, len(ids), _SEARCHED):
        piece = ids[begin : begin + _SEARCHED + width - 1]
        count = max(0, len(piece) - width + 1)
        matches = np.ones(count, bool)
        for offset, token in enumerate(terminator):
            matches &= piece[offset : offset + count] == token
        found.append(np.flatnonzero(matches) + begin + width)
    ends = np.concatenate(found) if found else np.empty(0, np.int64)
    return ends if len(ends) and ends[-1] == len(ids) else np.append(ends, len(ids))


def read_records(ids: Ids | NDArray[Any], ends: _Places, terminator: str, tokenizer: Tokenizer) -> Iterator[str]:
    """Yield the records of a text in order, without terminators.

    Args:
        ids: the tokens of the text, (tokens,).
        ends: where its records end, from `record_ends`.
        terminator: the text that follows each record.
        tokenizer: of these tokens.
    """
    begin = 0
    for last in range(0, len(ends), _DECODED):
        end = int(ends[min(last + _DECODED, len(ends)) - 1])
        text = tokenizer.decode(ids[begin:end].tolist())
        yield from text.removesuffix(terminator).split(terminator)
        begin = end


def validation_border(ids: Ids, ends: _Places, val_fraction: float) -> int:
    """Where the validation part of a text of sorted records begins: between two records that differ.

    Args:
        ids: the tokens of the text, (tokens,).
        ends: where its records end, from `record_ends`.
        val_fraction: in [0, 1), the share of the tokens in the validation part.

    Returns:
        An index in ``ids`` after at least one record; the length of the text if there is no such place or no share.
    """
    if not val_fraction:
        return len(ids)
    nearest = int(np.searchsorted(ends, len(ids) * (1.0 - val_fraction)))
    for number in (*range(nearest, len(ends) - 1), *range(min(nearest, len(ends) - 1) - 1, -1, -1)):
        begin, end, after = ends[number - 1] if number else 0, ends[number], ends[number + 1]
        if not np.array_equal(ids[begin:end], ids[end:after]):
            return int(end)
    return len(ids)
