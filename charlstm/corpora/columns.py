"""One column of a table as a list of texts: ``reviews.csv:title``, ``tweets.jsonl:user.text``.

A CSV or TSV file begins with the names of its columns. A JSON file is an array of objects, a JSON Lines file has one
object on each line; a dot leads to a field of a field. The standard library reads all of them.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Iterator
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from charlstm.corpora.decode import Places
from charlstm.corpora.read import Corpus
from charlstm.corpora.records import LINES, PARAGRAPHS, split_records, terminator
from charlstm.errors import TextError, UsageError

_TABLES, _OBJECTS = (".csv", ".tsv"), (".json", ".jsonl", ".ndjson")
_DELIMITERS = ",;\t|"
_LISTED = 12
"""A message lists at most so many columns."""


def as_column(source: str) -> tuple[Path, str] | None:
    """What a source like ``my.csv:title`` names: the file and the column; None for any other source."""
    file, colon, column = source.rpartition(":")
    path = Path(file)
    return (path, column) if colon and column and path.suffix.lower() in (*_TABLES, *_OBJECTS) else None


def read_column(file: Corpus, path: Path, column: str) -> tuple[str, Iterator[str]]:
    """Read a column.

    Args:
        file: the file as text.
        path: its path; its suffix tells what it is.
        column: the name of a column, or of a field.

    Returns:
        How its cells are separated, `LINES` or `PARAGRAPHS`, and the text in pieces. A cell that is empty or no text
        is left out. Where cells have several lines, blank ones are left out and cells end with a blank line. Rows
        with fewer or more cells than the first line are counted in the repairs of the file.

    Raises:
        TextError: it is no such file, or holds no text.
        UsageError: there is no such column.
        NotFoundError, StorageError: the file cannot be read.
    """
    read = _table_cells if path.suffix.lower() in _TABLES else _object_cells
    cells = [cell for value in read(file, path, column) if (cell := _cell(value))]
    if not cells:
        raise TextError(f"no text in the column {column!r}", where=path)
    records = PARAGRAPHS if any("\n" in cell for cell in cells) else LINES
    end = terminator(records)
    return records, (cell + end for cell in cells)


def _cell(value: Any) -> str:
    """The text of a cell, its lines without blank ones."""
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        value = str(value)
    return "\n".join(split_records([value], LINES)) if isinstance(value, str) else ""


def _table_cells(file: Corpus, path: Path, column: str) -> Iterator[str]:
    lines = _whole_lines(file.chunks())
    header = next(lines, "")
    if not header.strip():
        raise TextError("no names of columns in its first line", where=path)
    delimiter = "\t" if path.suffix.lower() == ".tsv" else max(_DELIMITERS, key=header.count)
    try:
        names = [name.strip() for name in next(csv.reader([header], delimiter=delimiter))]
        if column not in names:
            raise _no_column(path, column, names)
        place = names.index(column)
        rows, ragged, reached = csv.reader(lines, delimiter=delimiter), Places(), False
        for row in rows:
            if row and len(row) != len(names):
                ragged.add(1, [1 + rows.line_num])
            if len(row) > place:
                reached = True
                yield row[place]
        if ragged.count and not reached:
            what = f"no text in the column {column!r}: every row has fewer cells than the first line"
            raise TextError(what, where=path)
    except csv.Error as fault:
        raise TextError(f"cannot be read as a table: {fault}", where=path) from fault
    for repairs in file.repairs.values():  # of its only part
        repairs.ragged = ragged


def _object_cells(file: Corpus, path: Path, column: str) -> Iterator[Any]:
    seen: dict[str, None] = {}
    found = False
    for item in _objects(file, path):
        if not isinstance(item, dict):
            raise TextError("not a list of JSON objects", where=path)
        value = _field(item, column)
        found = found or value is not _MISSING
        seen |= dict.fromkeys(item) if len(seen) < _LISTED else {}
        if value is not _MISSING:
            yield value
    if not found:
        raise _no_column(path, column, list(seen))


_MISSING = object()


def _field(item: Any, name: str) -> Any:
    """A field of an object, or of an object in it if the name has dots; `_MISSING` if there is none."""
    if not isinstance(item, dict):
        return _MISSING
    if name in item:
        return item[name]
    first, dot, rest = name.partition(".")
    return _field(item[first], rest) if dot and first in item else _MISSING


def _objects(file: Corpus, path: Path) -> Iterator[Any]:
    lines, before = _whole_lines(file.chunks()), 0
    try:
        if path.suffix.lower() == ".json":
            text = "".join(lines)
            if text.lstrip().startswith("["):
                yield from json.loads(text)
                return
            lines = iter(text.splitlines(keepends=True))
        for line in lines:
            if line.strip():
                yield json.loads(line.strip())
            before += 1
    except json.JSONDecodeError as fault:
        raise TextError(f"not JSON in line {before + fault.lineno}: {fault.msg.lower()}", where=path) from fault
    except (ValueError, RecursionError) as fault:
        what = f"cannot be read from line {before + 1} on: nested too deeply, or a number of thousands of digits"
        raise TextError(what, where=path) from fault


def _whole_lines(chunks: Iterable[str]) -> Iterator[str]:
    """The lines of a text with their ends, which a quoted cell of a table may contain."""
    rest = ""
    for chunk in chunks:
        *lines, rest = (rest + chunk).split("\n")
        yield from (line + "\n" for line in lines)
    if rest:
        yield rest


def _no_column(path: Path, column: str, names: list[str]) -> UsageError:
    close = get_close_matches(column, names, n=1)
    listed = ", ".join(f"{name:.60}" for name in names[:_LISTED]) + (", …" if len(names) > _LISTED else "")
    hint = f"Did you mean {path}:{close[0]}?" if close else f"There are: {listed}." if names else ""
    return UsageError(f"there is no column {column!r}", where=path, hint=hint)
