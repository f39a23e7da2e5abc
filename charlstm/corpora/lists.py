"""Whether a corpus is one text, or a list of short ones: names, titles, words."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from charlstm.corpora.read import Corpus
from charlstm.corpora.records import LINES, NONE


@dataclass(frozen=True)
class Lines:
    """What the lines at the beginning of a corpus look like."""

    are_list: bool
    """Whether each seems to be a text of its own."""
    are_sorted: bool
    """Whether they are in alphabetical order."""


@dataclass(frozen=True)
class Choice:
    """Whether a corpus is one text or a list of records, and why."""

    records: str
    reason: str = ""
    """In plain words; empty where nobody would ask."""
    warning: str = ""
    """What is wrong with the choice, as the end of a sentence; empty if nothing is."""


ONE_TEXT = Choice(NONE)

_HEAD = 1 << 19
"""Characters at the beginning of a corpus that decide what it is."""
_FEWEST = 100
"""Fewer lines are not taken for a list."""
_SHORT = 60
"""Characters of a short line."""
_GOES_ON = tuple(",;:-–—{}()[]\\、，；：")
"""A line that ends so goes on in the next one."""
_SENTENCE_ENDS = tuple(".!?…。！？")

SORTED = "its lines are sorted, so the part at its end that is kept for validation is unlike the rest"


def choose_records(corpus: Corpus, records: str | None = None) -> Choice:
    """Decide whether a corpus is one text or a list of records. A column of a table is a list by itself.

    Args:
        corpus: the text; at most its beginning is read.
        records: what a person has decided; None for nothing.

    Returns:
        The decision.

    Raises:
        TextError, NotFoundError, StorageError: the text cannot be read.
    """
    if records not in (None, NONE):
        return Choice(records)
    if corpus.records and records is None:
        return Choice(corpus.records, "each cell of the column is a text of its own")
    lines = look_at_lines(corpus)
    if lines.are_list and records is None:
        order = "; they are sorted, and are read in random order" if lines.are_sorted else ""
        return Choice(LINES, f"its lines are short and each seems complete{order}")
    return Choice(NONE, warning=f"{SORTED} (`records={LINES!r}` shuffles them)" if lines.are_sorted else "")


def look_at_lines(corpus: Corpus) -> Lines:
    """Look at the lines at the beginning of a corpus.

    Args:
        corpus: the text.

    Raises:
        TextError, NotFoundError, StorageError: the text cannot be read.
    """
    head = ""
    for chunk in corpus.chunks():
        head += chunk
        if len(head) >= _HEAD:
            head = head[: head.rfind("\n") + 1]
            break
    lines = head.removesuffix("\n").split("\n")
    return Lines(is_list(lines), is_sorted(lines))


def is_list(lines: Sequence[str]) -> bool:
    """Whether lines are a list, rather than prose, verse, a dialogue, a program or a table.

    A list has short lines, few of them blank, indented, equal or mostly signs; none needs the line after it: lines do
    not end in a comma, and either nearly all or nearly none end a sentence.

    Args:
        lines: without their ends.
    """
    full = [line.rstrip() for line in lines if line.strip()]
    if len(full) < _FEWEST or len(full) < 0.99 * len(lines):
        return False

    def share(holds: Iterable[bool]) -> float:
        return sum(holds) / len(full)

    sentences = share(line.endswith(_SENTENCE_ENDS) for line in full)
    letters = sum(character.isalpha() or character.isspace() for line in full for character in line)
    return (
        share(len(line) <= _SHORT for line in full) >= 0.9
        and share(line.endswith(_GOES_ON) for line in full) <= 0.03
        and share(line[0].isspace() for line in full) <= 0.03
        and share(": " in line for line in full) <= 0.05
        and not 0.05 < sentences < 0.95
        and len(set(full)) >= 0.5 * len(full)
        and letters >= 0.75 * sum(map(len, full))
    )


def is_sorted(lines: Sequence[str]) -> bool:
    """Whether at least `_FEWEST` lines are in alphabetical order, but for a few.

    Args:
        lines: without their ends.
    """
    keys = [line.casefold() for line in lines if line.strip()]
    if len(keys) < _FEWEST or len(set(keys)) < 0.5 * len(keys):
        return False
    return sum(first <= second for first, second in pairwise(keys)) >= 0.97 * (len(keys) - 1)
