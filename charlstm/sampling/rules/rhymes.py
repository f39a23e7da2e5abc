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

_VOWELS = frozenset("aeiouyæœøı" + "αεηιουω" + "аеёиоуыэюяіїє")
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
        return [other for key, words in self._by_end.get(end, {}).items() if key != before for other in words]


def split_rhyme(word: str) -> tuple[str, str]:
    """Return what decides whether a word rhymes with others.

    Args:
        word: a word.

    Returns:
        The consonants that have to differ, and the end that has to be the same, in lower case; two empty texts if the
        word has no vowel.
    """
    letters = word.lower()
    vowels = [_is_vowel(letters, place) for place in range(len(letters))]
    begins = [place for place, is_vowel in enumerate(vowels) if is_vowel and not (place and vowels[place - 1])]
    if not begins:
        return "", ""
    begin = begins[-1]
    if len(begins) > 1 and _WITHOUT_STRESS.fullmatch(_bare(letters[begin:])):
        begin = begins[-2]
    before = max((place + 1 for place in range(begin) if vowels[place]), default=0)
    return _ENDS_A_SYLLABLE.sub("", letters[before:begin]), letters[begin:]


def _is_vowel(letters: str, place: int) -> bool:
    """Whether a letter is a vowel where it stands: y is none at the beginning, u none behind q."""
    before, letter = letters[place - 1 : place], _bare(letters[place])
    if letter == "y" and not before:
        return False
    return letter in _VOWELS and not (letter == "u" and before == "q")


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
