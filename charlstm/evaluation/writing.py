"""How good a written text is, in numbers that need no reader: real words, repetition, variety, copying.

A word is as in `corpora.words`, in lower case. With w_1 … w_N the words of a written text:

==================  =================================================================================================
real words          share of the words of three letters or more that are known
repeated trigrams   share of the trigrams (w_i, w_i+1, w_i+2) that occurred before in the same text
distinct 4-grams    number of different (w_i, …, w_i+3), divided by the number of all
longest copy        characters of the longest passage that stands in another text, blanks and line ends counted alike
longest run         the largest number of equal characters in a row
==================  =================================================================================================

Repetition grows with length, so it is compared only between texts of one length. Source of the repetition measures:
Welleck et al. 2020, "Neural text generation with unlikelihood training", section 6.1 (seq-rep-n); of distinct n-grams:
Li et al. 2016, "A diversity-promoting objective function for neural conversation models".
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from itertools import groupby

from charlstm.corpora.words import find_words

_SHORTEST = 3
"""Letters of the shortest word that counts: any two letters may be an abbreviation."""


@dataclass(frozen=True)
class Writing:
    """The figures of a written text."""

    words: int
    """Number of words."""
    long_words: int
    """Number of its words of three letters or more."""
    real_words: float
    """Share of those that are known; 1 if there are none."""
    repeated_trigrams: float
    """Share of its word trigrams that occurred before in it; 0 if it has none."""
    distinct_4grams: float
    """Number of its different word 4-grams, divided by the number of all; 1 if it has none."""
    longest_run: int
    """The largest number of equal characters in a row."""


def words_of(text: str) -> list[str]:
    """Return the words of a text, in order and in lower case.

    Args:
        text: any text.
    """
    return [word.replace("’", "'") for word in find_words(text.lower())]


def known_words(chunks: Iterable[str], least: int = 1) -> set[str]:
    """Return the words that a text uses often enough to be trusted.

    Args:
        chunks: the text in pieces; a word cut by the end of a piece counts as two.
        least: how often a word has to occur.
    """
    counts: Counter[str] = Counter()
    for chunk in chunks:
        counts.update(words_of(chunk))
    return {word for word, count in counts.items() if count >= least}


def measure(texts: Iterable[str], known: Collection[str]) -> Writing:
    """Measure one written text or several.

    Args:
        texts: each is measured by itself; the figures are over all of them together.
        known: the words that count as real.

    Returns:
        The figures.
    """
    count = tested = real = trigrams = repeated = fourgrams = distinct = run = 0
    for text in texts:
        words = words_of(text)
        long = [word for word in words if len(word) >= _SHORTEST]
        count, tested, real = count + len(words), tested + len(long), real + sum(word in known for word in long)
        threes, fours = _ngrams(words, 3), _ngrams(words, 4)
        trigrams, repeated = trigrams + len(threes), repeated + len(threes) - len(set(threes))
        fourgrams, distinct = fourgrams + len(fours), distinct + len(set(fours))
        run = max([run, *(sum(1 for _ in same) for _, same in groupby(text))])
    return Writing(
        words=count,
        long_words=tested,
        real_words=real / tested if tested else 1.0,
        repeated_trigrams=repeated / trigrams if trigrams else 0.0,
        distinct_4grams=distinct / fourgrams if fourgrams else 1.0,
        longest_run=run,
    )


def longest_copy(written: str, source: str) -> str:
    """Return the longest passage of one text that stands in another, blanks and line ends counted alike.

    Args:
        written: the text whose passages are looked up, thousands of characters.
        source: the text they are looked up in.

    Returns:
        The passage; empty if not even one character is common.
    """
    written, source = " ".join(written.split()), " ".join(source.split())
    low, high, found = 0, len(written), ""
    while low < high:  # if a passage of a length is in both, so is one of every shorter length
        length = (low + high + 1) // 2
        passage = _common(written, source, length)
        if passage is None:
            high = length - 1
        else:
            low, found = length, passage
    return found


def _common(written: str, source: str, length: int) -> str | None:
    """A passage of one length that is in both texts; None if there is none."""
    own = {written[start : start + length] for start in range(len(written) - length + 1)}
    for start in range(len(source) - length + 1):
        passage = source[start : start + length]
        if passage in own:
            return passage
    return None


def _ngrams(words: list[str], length: int) -> list[tuple[str, ...]]:
    return list(zip(*(words[start:] for start in range(length)), strict=False))
