"""What a person should know about how a text was read."""

from __future__ import annotations

from collections.abc import Iterator

from charlstm.corpora.decode import Places
from charlstm.corpora.encodings import AUTO
from charlstm.corpora.read import Corpus

_LISTED = 3
"""Files that get a line of their own."""


def reading_notes(corpus: Corpus) -> Iterator[str]:
    """Yield what was left out of a text, guessed about it or replaced in it, one sentence without a full stop each.

    Args:
        corpus: the text, read to its end.
    """
    if corpus.skipped:
        others = _and_others(len(corpus.skipped) - 1)
        yield f"left out, since it does not look like text: {corpus.skipped[0]}{others}"
    if corpus.decoding.encoding == AUTO:
        guessed = [f"{part.name} is read as {part.encoding}" for part in corpus.parts if part.encoding is not None]
        yield from _first(guessed)
    replaced = "read as U+FFFD" if corpus.decoding.bad_bytes == "replace" else "left out"
    repairs = corpus.repairs.items()
    yield from _first(
        [
            f"{name}: {_counted(found.bad_bytes, 'place')} with bytes that do not fit the encoding, {replaced}"
            for name, found in repairs
            if found.bad_bytes.count
        ]
    )
    yield from _first(
        [
            f"{name}: {_counted(found.marks, 'byte order mark')} inside it, left out: files were joined there"
            for name, found in repairs
            if found.marks.count
        ]
    )
    yield from _first(
        [
            f"{name}: {_counted(found.ragged, 'row')} with fewer or more cells than the first line; is a quote missing?"
            for name, found in repairs
            if found.ragged.count
        ]
    )


def _first(lines: list[str]) -> Iterator[str]:
    yield from lines[:_LISTED]
    if len(lines) > _LISTED:
        yield f"and so with {len(lines) - _LISTED:,} more files"


def _and_others(count: int) -> str:
    return f" and {count:,} more" if count else ""


def _counted(found: Places, thing: str) -> str:
    """How many there are, and in which lines: ``2 places (lines 3 and 17)``."""
    *lines, last = [f"{line:,}" for line in found.lines]
    if not lines:
        where = f"line {last}"
    elif found.count > len(found.lines):
        where = f"lines {', '.join(lines)}, {last}, …"
    else:
        where = f"lines {', '.join(lines)} and {last}"
    return f"{found.count:,} {thing}{'s' if found.count > 1 else ''} ({where})"
