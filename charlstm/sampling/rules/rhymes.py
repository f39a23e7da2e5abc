"""Which words rhyme, by their spelling.

Two words rhyme if they are equal from their last vowels on: *night* and *light*. Where that end has no stress, from the
vowels before on: *love* and *above*, *singing* and *bringing*, *Liebe* and *Triebe*. So it goes by letters, not by
sound: *love* rhymes with *move*, and *sea* does not with *tree*. Where the consonants before are the same, too, it is
no rhyme but a repetition: *light* and *delight*, *myself* and *herself*.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

from charlstm.corpora.words import is_letter

_VOWEL = "[aeiouyæœøı" + "αεηιουω" + "аеёиоуыэюяіїє]"
_VOWELS = re.compile(f"(?:(?!^y|(?<=q)u){_VOWEL})+", re.DOTALL)
"""Vowels in a row: y is none at the beginning, u none behind q."""
_WITHOUT_STRESS = re.compile(r"[a-zα-ωа-яё]|e(d|n|ns|r|rs|s|st|th)|ings?|ions?", re.DOTALL)
"""Ends of words of more than one syllable that the stress is before: a single vowel, and some with consonants."""
_ENDS_A_SYLLABLE = re.compile("^[rlmn]+(?=.)")
"""Consonants that do not begin a syllable before others: the r of *her-self*."""


class Rhymes:
    """The words that can rhyme, by their ends.

    Args:
        words: as the training text has them.
    """

    def __init__(self, words: Iterable[str]) -> None:
        self._by_end: dict[str, dict[str, list[str]]] = {}
        """For each end, the words by the consonants before it."""
        for word in sorted(words):
            before, end = split_rhyme(word)
            if end:
                self._by_end.setdefault(end, {}).setdefault(before, []).append(word)

    def of(self, word: str) -> list[str]:
        """The words that rhyme with a word."""
        before, end = split_rhyme(word)
        others = self._by_end.get(end, {})
        return [other for key in others if key != before for other in others[key] if not _is_within(word, other)]


def split_rhyme(word: str) -> tuple[str, str]:
    """Return what decides whether a word rhymes with others.

    Args:
        word: a word.

    Returns:
        The consonants that have to differ, and the end that has to be the same, in lower case; two empty texts if the
        word has no vowel.
    """
    letters = word.lower()
    plain = letters if letters.isascii() else "".join(_bare(letter)[:1] or "-" for letter in letters)
    vowels = [found.span() for found in _VOWELS.finditer(plain)]
    if not vowels:
        return "", ""
    if len(vowels) > 1 and _WITHOUT_STRESS.fullmatch(plain, vowels[-1][0]):
        vowels.pop()
    begin, before = vowels[-1][0], vowels[-2][1] if len(vowels) > 1 else 0
    return _ENDS_A_SYLLABLE.sub("", letters[before:begin]), letters[begin:]


def _is_within(one: str, other: str) -> bool:
    """Whether a word is the last part of another one, behind a vowel: *house* and *outhouse*, but not *rain*, *train*.

    A word that begins with a vowel has no part of its own that could be repeated: *all* and *football* rhyme.
    """
    short, long = sorted((one.lower(), other.lower()), key=len)
    first = _VOWELS.match(short)
    return first is None and long.endswith(short) and bool(_VOWELS.search(long, 0, len(long) - len(short)))


def _bare(text: str) -> str:
    """A text without the marks on its letters."""
    return "".join(mark for mark in unicodedata.normalize("NFD", text) if not unicodedata.combining(mark))


def last_word(text: str) -> str:
    """Return the letters that a text ends with.

    Args:
        text: any text.
    """
    begin = len(text)
    while begin and is_letter(text[begin - 1]):
        begin -= 1
    return text[begin:]
