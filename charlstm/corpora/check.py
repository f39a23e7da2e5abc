"""Problems of a text, in plain words: odd characters, repetitions, leakage, too little text."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from charlstm.corpora.encode import train_size
from charlstm.corpora.lists import SORTED, Lines, look_at_lines
from charlstm.corpora.read import Corpus
from charlstm.corpora.records import LINES
from charlstm.corpora.repeats import WINDOW, Passages, hash_windows, leakage, repeats
from charlstm.corpora.stats import Stats, stats

RARE = 10
"""Characters that occur less often count as rare: a model cannot learn them."""
TINY = 5_000
"""A text with fewer characters is too small to learn anything from."""

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
# UTF-8 that was once decoded as cp1252 or Latin-1 and saved again.
_GARBLED = re.compile("[ÂÃ][\u0080-\u00bf]|â€|â\u0080")


@dataclass(frozen=True)
class OddCharacter:
    """A character that is seldom in a text on purpose."""

    character: str
    name: str
    kind: str
    count: int
    offset: int
    """Its first occurrence, in characters."""
    line: int
    """The line of its first occurrence, from 1."""


@dataclass(frozen=True)
class Finding:
    """One thing the user should know."""

    grave: bool
    """Whether it will spoil the training, not merely affect it."""
    text: str


@dataclass(frozen=True)
class Check:
    """The result of checking a text."""

    stats: Stats
    odd: tuple[OddCharacter, ...]
    """By kind, the most frequent first."""
    rare: dict[str, int]
    """Characters that occur fewer than `RARE` times, with their counts."""
    denormal_lines: int
    """About the number of lines that are not in Unicode's composed form (NFC)."""
    garbled: int
    """Places that look like UTF-8 decoded with the wrong encoding."""
    garbled_line: int | None
    """The line of the first such place, from 1; None if there is none."""
    repeats: Passages
    """What the text repeats of itself."""
    leakage: Passages | None
    """What the validation part repeats of the training part; None without a validation part."""
    sampled: int
    """One window in ``sampled`` was examined for the two above; 1 is exact."""
    findings: tuple[Finding, ...]
    """The above in words, grave ones first."""
    lines: Lines
    """What its lines look like."""
    verdict: str
    """What can be expected of a text of this size."""


def check(corpus: Corpus, val_fraction: float = 0.1) -> Check:
    """Look for problems in a corpus, in memory that does not grow with it.

    Args:
        corpus: the text.
        val_fraction: in [0, 1); the share at its end that is kept for validation.

    Returns:
        What was found, with the facts it was judged by.

    Raises:
        TextError: not text in its encoding, or empty.
        NotFoundError, StorageError: a file cannot be read.
    """
    measured = stats(corpus)
    characters = _CharacterCheck(measured.alphabet)
    windows = hash_windows(characters.watch(corpus.chunks()), measured.characters)
    border = train_size(measured.characters, val_fraction)
    result = Check(
        stats=measured,
        odd=characters.odd(),
        rare={character: count for character, count in measured.alphabet.items() if count < RARE},
        denormal_lines=characters.denormal_lines,
        garbled=characters.garbled,
        garbled_line=characters.garbled_line,
        repeats=repeats(windows),
        leakage=leakage(windows, border) if border < measured.characters else None,
        sampled=windows.every,
        findings=(),
        lines=look_at_lines(corpus),
        verdict=verdict(measured.characters),
    )
    findings = sorted(_findings(result), key=lambda finding: not finding.grave)
    return replace(result, findings=tuple(findings))


def oddity(character: str) -> str | None:
    """The kind of an odd character; None for a usual one."""
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
    """What can be expected of a text of this size, in plain words; the settings choose themselves."""
    if characters < TINY:
        return "Far too little: a model can only memorise it. Find at least 100,000 characters."
    if characters < 50_000:
        return "Too little: expect invented words and overfitting. More text helps more than any setting."
    if characters < 500_000:
        return "Small: expect real words, names and layout, little sense. More text would help."
    if characters < 10_000_000:
        return "A good size for minutes to an hour of training: expect whole phrases and the style of the text."
    if characters < 200_000_000:
        return "Large: hours of training pay off. It will not be memorised."
    return "Very large: one pass over it takes long; a part of it may do as well."


class _CharacterCheck:
    """Look for problems with characters while the text is read for something else.

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

    def watch(self, chunks: Iterable[str]) -> Iterator[str]:
        """Examine each chunk and yield it."""
        offset, line = 0, 1
        for text in chunks:
            for character in self._kinds.keys() - self._first.keys():
                place = text.find(character)
                if place >= 0:
                    self._first[character] = (offset + place, line + text.count("\n", 0, place))
            if not text.isascii():
                self._check_beyond_ascii(text, line)
            yield text
            offset += len(text)
            line += text.count("\n")

    def odd(self) -> tuple[OddCharacter, ...]:
        """The odd characters of the text."""
        characters = [
            OddCharacter(each, character_name(each), kind, self._counts[each], *self._first[each])
            for each, kind in self._kinds.items()
        ]
        return tuple(sorted(characters, key=lambda odd: (odd.kind, -odd.count, odd.character)))

    def _check_beyond_ascii(self, text: str, line: int) -> None:
        places = [match.start() for match in _GARBLED.finditer(text)]
        if places and not self.garbled:
            self.garbled_line = line + text.count("\n", 0, places[0])
        self.garbled += len(places)
        if not unicodedata.is_normalized("NFC", text):
            self.denormal_lines += sum(not unicodedata.is_normalized("NFC", line) for line in text.split("\n"))


def character_name(character: str) -> str:
    """A character's code point and its name in Unicode, if it has one."""
    point = f"U+{ord(character):04X}"
    name = unicodedata.name(character, "")
    return f"{point} {name}" if name else point


def _findings(result: Check) -> Iterator[Finding]:
    yield from _character_findings(result)
    yield from _line_findings(result.lines)
    yield from _passage_findings(result)
    newlines = result.stats.newlines
    kinds = [f"{n:,} {name}" for name, n in (("LF", newlines.lf), ("CR LF", newlines.crlf), ("CR", newlines.cr)) if n]
    if len(kinds) > 1:
        text = f"Lines end in different ways ({', '.join(kinds)}); all become LF unless newlines is set to keep."
        yield Finding(False, text)


def _character_findings(result: Check) -> Iterator[Finding]:
    kinds: dict[str, int] = {}
    for odd in result.odd:
        kinds[odd.kind] = kinds.get(odd.kind, 0) + odd.count
    for kind, count in kinds.items():
        if kind == "replacement":
            yield Finding(True, f"{count:,} × U+FFFD: the text was once decoded with the wrong encoding.")
        else:
            yield Finding(False, f"{_counted(count, 'odd character')} of the kind “{kind}”.")
    if result.garbled:
        places = _counted(result.garbled, "place")
        first = f"{'first ' * (result.garbled > 1)}in line {result.garbled_line:,}"
        yield Finding(
            True, f"{places} like “Ã©” or “â€™”, {first}: UTF-8 that was once decoded with the wrong encoding."
        )
    if result.denormal_lines:
        lines = _counted(result.denormal_lines, "line")
        yield Finding(False, f"{lines} not in composed form (NFC): letters that look the same are encoded in two ways.")
    alphabet = len(result.stats.alphabet)
    if result.rare and result.stats.characters >= TINY:  # below that every character is rare
        rare = _counted(len(result.rare), "character")
        text = f"{rare} of {alphabet:,} occur fewer than {RARE} times: `min_count={RARE}` merges them into one."
        yield Finding(False, text)
    if alphabet > 2_000:
        text = f"An alphabet of {alphabet:,} characters: `min_count=10` or `tokenizer='bpe'` keeps the network small."
        yield Finding(False, text)


def _line_findings(lines: Lines) -> Iterator[Finding]:
    if lines.are_list:
        text = "Its lines are short and each seems complete: training reads each as a text of its own (`records`)."
        yield Finding(False, text)
    if lines.are_sorted:
        remedy = "in a list they are shuffled" if lines.are_list else f"`records={LINES!r}` shuffles them"
        yield Finding(not lines.are_list, f"{SORTED[0].upper()}{SORTED[1:]}: {remedy}.")


def _passage_findings(result: Check) -> Iterator[Finding]:
    twice = result.repeats
    if twice.share >= 0.01:
        text = (
            f"{twice.share:.1%} of the text repeats earlier passages of {WINDOW} characters or more; the longest has "
            f"{twice.longest:,}, at character {twice.at:,} and at {twice.earlier:,}."
        )
        yield Finding(twice.share >= 0.2, text)
    leak = result.leakage
    if leak is not None and leak.share >= _LEAKS:
        yield Finding(leak.share >= 0.1, f"{_leaking(leak)}.")


_LEAKS = 0.01
"""Share of the validation part that may occur in the training part by chance or quotation."""
_WARNED = 16_000_000
"""Characters of the longest text that is searched for leakage before a training: that takes a second or two."""


def leakage_warning(corpus: Corpus, characters: int, val_fraction: float) -> str:
    """One sentence if the validation part of a text occurs in the rest too, else nothing; not of a very long text.

    Args:
        corpus: the text.
        characters: its length.
        val_fraction: in [0, 1); the share at its end that is kept for validation.

    Returns:
        The sentence, without a full stop; empty if there is nothing to say.

    Raises:
        TextError, NotFoundError, StorageError: the text cannot be read.
    """
    border = train_size(characters, val_fraction)
    if border == characters or characters > _WARNED:
        return ""
    leak = leakage(hash_windows(corpus.chunks(), characters), border)
    return _leaking(leak) if leak.share >= _LEAKS else ""


def _leaking(leak: Passages) -> str:
    return (
        f"{leak.share:.1%} of the validation part occurs in the training part too, so its loss will be too low; "
        f"see character {leak.at:,}"
    )


def _counted(count: int, thing: str) -> str:
    return f"{count:,} {thing}" if count == 1 else f"{count:,} {thing}s"
