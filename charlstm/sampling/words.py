"""A guide that lets letters form only words of the training text.

The rule. A word is as in `corpora.words`: letters, the marks on them, and single apostrophes between them.

- Letters may only go on so that a known word can still be completed, and a word ends only where it is a known one.
- A word that the text has in lower case may also begin with a capital. One that it has only with capitals, a name,
  keeps them.
- A hyphen separates, so both parts of "well-made" have to be known. Endings have to be known with their word.
- A prompt may end inside a word: if no known word begins like that, it may end in any way.
- Digits, punctuation, blanks and line ends are free.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from charlstm.corpora.words import APOSTROPHES, is_letter
from charlstm.errors import UsageError
from charlstm.sampling.guides import NEVER
from charlstm.tokenizers import Tokenizer

_MOST_CACHED = 20_000
"""Beginnings of words whose tokens are remembered, a few megabytes."""


class Vocabulary:
    """The words that a guide allows, and for each beginning of a word what may follow.

    Args:
        words: as the text has them, with their capitals.
        tokenizer: the network's.

    Raises:
        UsageError: the network is one of bytes, or there are no words.
    """

    def __init__(self, words: Iterable[str], tokenizer: Tokenizer) -> None:
        if tokenizer.kind == "byte":
            raise UsageError("words cannot be kept to by a network of bytes, which has no letters")
        words = set(words)
        forms = words | {word[:1].upper() + word[1:] for word in words if word.islower()}
        self._words = sorted(form for form in forms if not tokenizer.unknown_characters(form))
        if not self._words:
            what = "this network knows no words: its text has none, or is older than their list"
            raise UsageError(what, hint="Train it again, or leave the rule out.")
        self._tokens = [_text_of(token, tokenizer) for token in range(tokenizer.vocab_size)]
        self._by_first: dict[str, list[int]] = {}
        """Tokens by the letter or apostrophe that they begin with. Single other characters all do the same."""
        for token, text in enumerate(self._tokens):
            first = text[:1] if is_letter(text[:1] or " ") or text[:1] in APOSTROPHES else ""
            if first or len(text) != 1:
                self._by_first.setdefault(first, []).append(token)
        self._distances: dict[str | None, NDArray[np.int64]] = {}

    def text_of(self, token: int) -> str:
        """The text of a token."""
        return self._tokens[token]

    def is_word(self, beginning: str) -> bool:
        """Whether a run of letters is a whole word; an apostrophe after one is a quotation mark."""
        known = self._words
        whole = beginning.rstrip(APOSTROPHES)
        place = bisect_left(known, whole)
        return whole == "" or (place < len(known) and known[place] == whole)

    def begins(self, beginning: str) -> bool:
        """Whether a known word begins like that."""
        place = bisect_left(self._words, beginning)
        return place < len(self._words) and self._words[place].startswith(beginning)

    def after(self, beginning: str | None, text: str) -> str | None:
        """What a beginning of a word becomes by more text.

        Args:
            beginning: the letters since the last separator; None inside a word that is not known.
            text: what follows.

        Returns:
            The letters since the last separator; None inside a word that is not known.

        Raises:
            ValueError: a word would end that is not known, or no word begins like that.
        """
        for character in text:
            beginning = self._after(beginning, character)
        return beginning

    def _after(self, beginning: str | None, character: str) -> str | None:
        longer = None if beginning is None else beginning + character
        if is_letter(character):
            if longer is not None and not self.begins(longer):
                raise ValueError(longer)
            return longer
        # An apostrophe belongs to the word before it, and no letter may follow unless a word goes on like that.
        is_apostrophe = bool(beginning) and character in APOSTROPHES and is_letter((beginning or " ")[-1])
        goes_on = is_apostrophe and longer is not None and self.begins(longer)
        if beginning is not None and not goes_on and not self.is_word(beginning):
            raise ValueError(beginning)
        return longer if is_apostrophe else ""

    def distances(self, beginning: str | None) -> NDArray[np.int64]:
        """How far the end of a word is after each token that follows its beginning, as `guides.Guide` has it, (V,)."""
        if beginning not in self._distances:
            if len(self._distances) >= _MOST_CACHED:
                self._distances.clear()
            distances = np.full(len(self._tokens), self._distance(beginning, " "))
            for first, tokens in self._by_first.items():
                goes_on = beginning is None or first in APOSTROPHES or self.begins(beginning + first)
                for token in tokens:
                    distances[token] = self._distance(beginning, self._tokens[token]) if goes_on else NEVER
            self._distances[beginning] = distances
        return self._distances[beginning]

    def _distance(self, beginning: str | None, text: str) -> int:
        try:
            after = self.after(beginning, text)
        except ValueError:
            return NEVER
        return NEVER if text == "" else int(not self.may_end(after))

    def may_end(self, beginning: str | None) -> bool:
        """Whether a text may end after a beginning of a word."""
        return beginning is None or self.is_word(beginning)


def _text_of(token: int, tokenizer: Tokenizer) -> str:
    """The text of a token; none of the unknown symbol, and of bytes that with others could become any letter."""
    try:
        return "" if token == tokenizer.unknown_id else tokenizer.token_bytes(token).decode()
    except UnicodeDecodeError:
        return ""


@dataclass(frozen=True)
class WordGuide:
    """The rule of this module, after a text."""

    vocabulary: Vocabulary
    beginning: str | None = ""
    """The letters since the last separator; None inside a word that is not known."""

    @classmethod
    def after_text(cls, vocabulary: Vocabulary, text: str) -> WordGuide:
        """The guide after any text, whose own words need not be known.

        Args:
            vocabulary: the words allowed.
            text: any text.
        """
        start = len(text)
        while start and (is_letter(text[start - 1]) or text[start - 1] in APOSTROPHES):
            start -= 1
        beginning = text[start:].lstrip(APOSTROPHES)
        known = vocabulary.begins(beginning) or vocabulary.is_word(beginning)
        return cls(vocabulary, beginning if known else None)

    def allowed(self) -> NDArray[np.bool_]:
        """See `guides.Guide`."""
        return self.distances() < NEVER

    def distances(self) -> NDArray[np.int64]:
        """See `guides.Guide`."""
        return self.vocabulary.distances(self.beginning)

    def may_end(self) -> bool:
        """See `guides.Guide`."""
        return self.vocabulary.may_end(self.beginning)

    def advance(self, token: int) -> WordGuide:
        """See `guides.Guide`."""
        return WordGuide(self.vocabulary, self.vocabulary.after(self.beginning, self.vocabulary.text_of(token)))
