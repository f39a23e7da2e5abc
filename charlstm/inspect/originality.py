"""What a text copies: passages that stand in a training text word for word, and how many a held-out text has.

With m_i the longest match at each place of the text (`inspect.matches`), a passage is a match that none before it
contains, and the share of the text in copies of L characters or more is ::

    share(L) = |{ j : some i ≤ j < i + m_i has m_i ≥ L }| / characters

Every author repeats himself and his language, so the same is measured of text that the network was not trained on:
pieces of the validation part, each as long as the text. Source: Lu et al. 2024, "AI as humanity's Salieri: quantifying
linguistic creativity of language models", whose L-uniqueness is 1 - share(L), there in words.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from charlstm.inspect.matches import Matches, longest_matches
from charlstm.tokenizers.char import code_points

LENGTHS = (8, 16, 32, 64, 128, 256)
"""The lengths L at which the share is measured, in characters."""
PIECES = 4
"""Pieces of held-out text, at most."""
_CONTEXT = 40
"""Characters shown before and after a passage."""
_CLOSE = 1.25
"""A longest copy of at most so many times the held-out text's is about as original."""


@dataclass(frozen=True)
class Passage:
    """A copied passage."""

    begin: int
    """Its place in the text, in characters."""
    text: str
    place: int
    """A place in the training text where it stands, in characters."""
    part: str = ""
    """The file that has it."""
    line: int = 0
    """The line on which it begins there, from 1; 0 if it is not known."""
    before: str = ""
    after: str = ""
    """What stands around it there."""


@dataclass(frozen=True)
class Copies:
    """What one text copies."""

    text: str
    matches: Matches

    @property
    def longest(self) -> int:
        """Characters of the longest copy; 0 if it is shorter than `matches.SHORTEST`."""
        return int(self.matches.lengths.max(initial=0))

    def share(self, least: int) -> float:
        """The share of its characters in copies of a length or longer.

        Args:
            least: the length, at least `matches.SHORTEST` characters.
        """
        return float((self.depths() >= least).mean()) if self.text else 0.0

    def depths(self) -> NDArray[np.int64]:
        """For each character the length of the longest copy that it is part of, (characters,)."""
        depths = np.zeros(len(self.text), np.int64)
        for begin, length in sorted(self._maximal(), key=lambda each: each[1]):
            depths[begin : begin + length] = length
        return depths

    def passages(self, count: int, least: int) -> list[Passage]:
        """The longest copies, none overlapping a longer one of them, the longest first.

        Args:
            count: how many, at most.
            least: characters of the shortest.
        """
        chosen: list[tuple[int, int]] = []
        for begin, length in sorted(self._maximal(), key=lambda each: -each[1]):
            if length < least or len(chosen) == count:
                break
            if all(begin + length <= other or other + size <= begin for other, size in chosen):
                chosen.append((begin, length))
        places = self.matches.places
        return [Passage(begin, self.text[begin : begin + size], int(places[begin])) for begin, size in chosen]

    def _maximal(self) -> list[tuple[int, int]]:
        """The place and length of each match that none before it contains."""
        lengths = self.matches.lengths
        ends = np.arange(len(lengths)) + lengths
        before = np.maximum.accumulate(np.append(0, ends[:-1])) if len(ends) else ends
        begins = np.flatnonzero((lengths > 0) & (ends > before))
        return list(zip(begins.tolist(), lengths[begins].tolist(), strict=True))


@dataclass(frozen=True)
class Originality:
    """What a text copies, beside held-out text."""

    written: Copies
    held_out: tuple[Copies, ...]
    """Pieces of held-out text, equally long; none if there is no such text."""
    passages: tuple[Passage, ...] = ()
    """The longest copies of the text, the longest first."""


def measure(text: str, held_out: Sequence[str], source: Iterable[str]) -> Originality:
    """Find what a text copies.

    Args:
        text: the text.
        held_out: pieces of text that the network was not trained on.
        source: the training text, in pieces of any length.

    Returns:
        What was found; its passages are not located yet.
    """
    texts = [text, *held_out]
    found = longest_matches([code_points(each) for each in texts], map(code_points, source))
    written, *others = (Copies(each, matches) for each, matches in zip(texts, found, strict=True))
    return Originality(written, tuple(others))


def located(passages: Sequence[Passage], parts: Iterable[tuple[str, str]]) -> tuple[Passage, ...]:
    """Find the file, the line and the surroundings of passages.

    Args:
        passages: with their places in the training text.
        parts: that text again, each piece with the name of its file.

    Returns:
        The passages, in the same order.
    """
    found = list(passages)
    begin, line, last_part, tail = 0, 1, "", ""
    for part, piece in parts:
        line = line if part == last_part else 1
        last_part = part
        text = tail + piece
        for number, passage in enumerate(found):
            if begin <= passage.place < begin + len(piece):
                at = passage.place - begin
                found[number] = replace(
                    passage, part=part, line=line + piece.count("\n", 0, at), before=text[: len(tail) + at][-_CONTEXT:]
                )
            end = passage.place + len(passage.text)
            after = piece[max(0, end - begin) : max(0, end + _CONTEXT - begin)]
            found[number] = replace(found[number], after=found[number].after + after)
        begin, line, tail = begin + len(piece), line + piece.count("\n"), text[-_CONTEXT:]
    return tuple(found)


def spread(begin: int, end: int, length: int) -> list[int]:
    """Where pieces of held-out text begin: at most `PIECES`, evenly spread, none overlapping another.

    Args:
        begin: where the held-out text begins.
        end: where it ends.
        length: characters of each piece; a shorter text is one piece.

    Returns:
        Places, in characters; none if there is no held-out text.
    """
    if begin >= end:
        return []
    count = min(PIECES, max(1, (end - begin) // max(1, length)))
    last = max(begin, end - length)
    return [begin + (last - begin) * number // max(1, count - 1) for number in range(count)]


def verdict(found: Originality, unit: str = "character") -> str:
    """How original the text is, in one sentence.

    Args:
        found: what was measured.
        unit: what is counted.
    """
    longest = found.written.longest
    own = f"longest copy {longest:,} {unit}s" if longest else f"no copy of {LENGTHS[0]} {unit}s or more"
    if not found.held_out:
        return own
    others = sorted(each.longest for each in found.held_out)
    low, high = (f"{number:,}" if number else f"fewer than {LENGTHS[0]}" for number in (others[0], others[-1]))
    compared = f"{own} (held-out text has {low if low == high else f'{low} to {high}'})"
    if longest <= others[-1]:
        return f"{compared}: as original as the author"
    if longest <= _CLOSE * max(others[-1], LENGTHS[0]):
        return f"{compared}: about as original as the author"
    return f"{compared}: less original than the author"
