"""What may be wrong with a text, in plain words: odd characters, repetitions, leakage, too little of it."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from charlstm.corpora.encode import boundary
from charlstm.corpora.read import Corpus
from charlstm.corpora.repeats import WINDOW, Passages, leakage, repeats, windows
from charlstm.corpora.stats import Stats, stats

RARE = 10
"""Characters that occur less often are called rare: a model cannot learn them."""
TINY = 5_000
"""Characters below which nothing can be learnt."""

_BIDI = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
_INVISIBLE = frozenset("\u00ad\u200b\u200c\u200d\u2060\ufeff")
_BY_CATEGORY = {
    "Cc": "control",
    "Cf": "invisible",
    "Cn": "unassigned",
    "Co": "private use",
    "Cs": "surrogate",
    "Zl": "line separator",
    "Zp": "line separator",
    "Zs": "space",
}
# UTF-8 that was read as cp1252 or Latin-1 and saved again.
_GARBLED = re.compile("[ÂÃ][\u0080-\u00bf]|â€|â\u0080")


@dataclass(frozen=True)
class Odd:
    """A character that a text seldom means to hold."""

    character: str
    name: str
    kind: str
    count: int
    offset: int
    """Where it stands first, in characters."""
    line: int
    """The line of that place, from 1."""


@dataclass(frozen=True)
class Finding:
    """One thing a person should know."""

    grave: bool
    """Whether it will spoil the training, rather than colour it."""
    text: str


@dataclass(frozen=True)
class Check:
    """What was found in a text."""

    stats: Stats
    odd: tuple[Odd, ...]
    """By kind, the most frequent first."""
    rare: dict[str, int]
    """Characters that occur less than `RARE` times, with their counts."""
    denormal_lines: int
    """Lines, about, that are not in Unicode's composed form (NFC)."""
    garbled: int
    """Places that look like UTF-8 read in a wrong encoding."""
    garbled_line: int | None
    """The line of the first of them, from 1; None without one."""
    repeats: Passages
    """What the text repeats of itself."""
    leakage: Passages | None
    """What the validation part repeats of the training part; None without a validation part."""
    sampled: int
    """One window in so many was looked at for the two above; 1 is exact."""
    findings: tuple[Finding, ...]
    """The above in words, the gravest first."""
    verdict: str
    """What can be expected of a text of this size."""


def check(corpus: Corpus, val_fraction: float = 0.1) -> Check:
    """Look a corpus over, in memory that does not grow with it.

    Args:
        corpus: the text.
        val_fraction: the share at its end that is kept for validation.

    Raises:
        TextError: not text in its encoding, or empty.
        NotFoundError, StorageError: a file cannot be read.
    """
    measured = stats(corpus)
    walk = _Walk(measured.alphabet)
    kept = windows(walk.through(corpus.chunks()), measured.characters)
    border = boundary(measured.characters, val_fraction)
    result = Check(
        stats=measured,
        odd=walk.odd(),
        rare={character: count for character, count in measured.alphabet.items() if count < RARE},
        denormal_lines=walk.denormal_lines,
        garbled=walk.garbled,
        garbled_line=walk.garbled_line,
        repeats=repeats(kept),
        leakage=leakage(kept, border) if border < measured.characters else None,
        sampled=kept.every,
        findings=(),
        verdict=verdict(measured.characters),
    )
    findings = sorted(_findings(result), key=lambda finding: not finding.grave)
    return replace(result, findings=tuple(findings))


def oddity(character: str) -> str | None:
    """What kind of odd character this is; None for a usual one."""
    if character in "\n\r\t ":
        return None
    if character == "\ufffd":
        return "replacement"
    if character in _BIDI:
        return "bidi control"
    if character in _INVISIBLE:
        return "invisible"
    return _BY_CATEGORY.get(unicodedata.category(character))


def verdict(characters: int) -> str:
    """What can be expected of a text of this size, in plain words."""
    if characters < TINY:
        return "Far too little: a model can only learn it by heart. Find at least 100,000 characters."
    if characters < 50_000:
        return "Too little: expect invented words and learning by heart. Use a small network and dropout."
    if characters < 500_000:
        return "Small: expect right words, names and layout, little sense. Use dropout, and watch the validation loss."
    if characters < 10_000_000:
        return "A good size for minutes to an hour of training: expect whole phrases and the style of the text."
    if characters < 200_000_000:
        return "Large: a bigger network and hours of training pay. It will not be learnt by heart."
    return "Very large: one pass over it is a long training; a part of it may do as well."


class _Walk:
    """Look at a text while it passes to somebody else.

    Args:
        alphabet: its characters with their counts.
    """

    def __init__(self, alphabet: Mapping[str, int]) -> None:
        self._counts = alphabet
        self._kinds = {character: kind for character in alphabet if (kind := oddity(character))}
        self._first: dict[str, tuple[int, int]] = {}
        self.denormal_lines = 0
        self.garbled = 0
        self.garbled_line: int | None = None

    def through(self, chunks: Iterable[str]) -> Iterator[str]:
        """The chunks, passed on."""
        offset, line = 0, 1
        for text in chunks:
            for character in self._kinds.keys() - self._first.keys():
                place = text.find(character)
                if place >= 0:
                    self._first[character] = (offset + place, line + text.count("\n", 0, place))
            if not text.isascii():
                self._look_beyond_ascii(text, line)
            yield text
            offset += len(text)
            line += text.count("\n")

    def odd(self) -> tuple[Odd, ...]:
        """The odd characters met."""
        found = [
            Odd(each, character_name(each), kind, self._counts[each], *self._first[each])
            for each, kind in self._kinds.items()
        ]
        return tuple(sorted(found, key=lambda odd: (odd.kind, -odd.count, odd.character)))

    def _look_beyond_ascii(self, text: str, line: int) -> None:
        places = [match.start() for match in _GARBLED.finditer(text)]
        if places and not self.garbled:
            self.garbled_line = line + text.count("\n", 0, places[0])
        self.garbled += len(places)
        if not unicodedata.is_normalized("NFC", text):
            self.denormal_lines += sum(not unicodedata.is_normalized("NFC", line) for line in text.split("\n"))


def character_name(character: str) -> str:
    """Unicode's name of a character, or its code point and nothing more."""
    point = f"U+{ord(character):04X}"
    name = unicodedata.name(character, "")
    return f"{point} {name}" if name else point


def _findings(found: Check) -> Iterator[Finding]:
    yield from _character_findings(found)
    yield from _passage_findings(found)
    newlines = found.stats.newlines
    kinds = [f"{n:,} {name}" for name, n in (("LF", newlines.lf), ("CR LF", newlines.crlf), ("CR", newlines.cr)) if n]
    if len(kinds) > 1:
        yield Finding(False, f"Lines end in different ways ({', '.join(kinds)}); all become LF unless you keep them.")


def _character_findings(found: Check) -> Iterator[Finding]:
    kinds: dict[str, int] = {}
    for odd in found.odd:
        kinds[odd.kind] = kinds.get(odd.kind, 0) + odd.count
    for kind, count in kinds.items():
        if kind == "replacement":
            text = f"{count:,} × U+FFFD: the text was read in a wrong encoding before it came here."
            yield Finding(True, text)
        else:
            yield Finding(False, f"{_times(count, 'odd character')} of the kind “{kind}”.")
    if found.garbled:
        where = _times(found.garbled, "place")
        first = f"{'first ' * (found.garbled > 1)}in line {found.garbled_line:,}"
        yield Finding(True, f"{where} like “Ã©” or “â€™”, {first}: UTF-8 that was once read in a wrong encoding.")
    if found.denormal_lines:
        lines = _times(found.denormal_lines, "line")
        yield Finding(False, f"{lines} not in composed form (NFC): letters that look alike are written in two ways.")
    if found.rare and found.stats.characters >= TINY:  # in less than that every character is rare
        rare = _times(len(found.rare), "character")
        times = f"{rare} of {len(found.stats.alphabet):,} occur less than {RARE} times"
        yield Finding(False, f"{times}: charlstm train --min-count {RARE} joins them.")
    if len(found.stats.alphabet) > 2_000:
        many = f"An alphabet of {len(found.stats.alphabet):,} characters"
        yield Finding(False, f"{many}: charlstm train --min-count 10, or --tokenizer bpe, keeps the network small.")


def _passage_findings(found: Check) -> Iterator[Finding]:
    twice = found.repeats
    if twice.share >= 0.01:
        text = (
            f"{twice.share:.1%} of the text repeats earlier passages of {WINDOW} characters or more; the longest has "
            f"{twice.longest:,}, at character {twice.at:,} as at {twice.earlier:,}."
        )
        yield Finding(twice.share >= 0.2, text)
    leak = found.leakage
    if leak is not None and leak.share >= 0.01:
        text = (
            f"{leak.share:.1%} of the validation part stands in the training part too, so its loss will flatter; "
            f"look at character {leak.at:,}."
        )
        yield Finding(leak.share >= 0.1, text)


def _times(count: int, thing: str) -> str:
    return f"{count:,} {thing}" if count == 1 else f"{count:,} {thing}s"
