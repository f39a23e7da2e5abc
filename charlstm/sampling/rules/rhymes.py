"""Which words rhyme, by their spelling.

Two words rhyme if they are equal from their last vowels on: *night* and *light*. Where that end has no stress, from the
vowels before on: *love* and *above*, *singing* and *bringing*, *Liebe* and *Triebe*. So it goes by letters, not by
sound: *love* rhymes with *move*, and *sea* does not with *tree*. Words of which one ends like the whole other, such as
*light* and *delight*, are no rhyme.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

from charlstm.corpora.words import is_letter

_VOWELS = frozenset("aeiouyæœøı" + "αεηιουω" + "аеёиоуыэюяіїє")
_WITHOUT_STRESS = re.compile(r"[a-zα-ωа-яё]|e(d|n|ns|r|rs|s|st|th)|ings?|ions?", re.DOTALL)
"""Ends of words of more than one syllable that the stress is before: a single vowel, and some with consonants."""


class Rhymes:
    """The words that can rhyme, by their ends.

    Args:
        words: as the training text has them.
    """

    def __init__(self, words: Iterable[str]) -> None:
        self._by_end: dict[str, set[str]] = {}
        self._known: dict[str, tuple[str, ...]] = {}
        for word in words:
            end = end_of(word)
            if end:
                self._by_end.setdefault(end, set()).add(word)

    def of(self, word: str) -> tuple[str, ...]:
        """The words that rhyme with a word, sorted."""
        if word not in self._known:
            same, lower = self._by_end.get(end_of(word), set()), word.lower()
            others = ((other, other.lower()) for other in same)
            rhyming = (other for other, letters in others if not (letters.endswith(lower) or lower.endswith(letters)))
            self._known[word] = tuple(sorted(rhyming))
        return self._known[word]


def end_of(word: str) -> str:
    """Return the end of a word that all words have that rhyme with it.

    Args:
        word: a word.

    Returns:
        The end, in lower case; empty if the word has no vowel.
    """
    letters = word.lower()
    vowels = [_is_vowel(letters, place) for place in range(len(letters))]
    begins = [place for place, is_vowel in enumerate(vowels) if is_vowel and not (place and vowels[place - 1])]
    if not begins:
        return ""
    end = letters[begins[-1] :]
    if len(begins) > 1 and _WITHOUT_STRESS.fullmatch(_bare(end)):
        end = letters[begins[-2] :]
    return end


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
