"""The words of a text, in any alphabet that separates them.

A word is a run of letters and the marks on them, with single apostrophes between letters: ``don't``, ``Ὅμηρος``,
``हिन्दी``. Hyphens, digits and everything else separate words.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterator
from typing import Any

from numpy.typing import NDArray

from charlstm.tokenizers import Tokenizer

APOSTROPHES = "'’"

_MOST_READ = 1 << 23
"""Of a longer text only so many tokens are read, in pieces that are evenly spread."""
_PIECE = 1 << 17
_MOST_WORDS = 50_000
_LONGEST = 40
"""Letters of a word, at most: longer runs are no words, and a language of such runs does not separate words."""


def is_letter(character: str) -> bool:
    """Whether a character is part of a word: a letter, or a mark on one."""
    return unicodedata.category(character)[0] in "LM"


def find_words(text: str) -> list[str]:
    """Return the words of a text in order, as they are written.

    Args:
        text: any text.
    """
    letters = "".join(sorted(character for character in set(text) if is_letter(character)))
    if not letters:
        return []
    run = f"[{re.escape(letters)}]+"
    return re.findall(f"{run}(?:[{APOSTROPHES}]{run})*", text)


def common_words(ids: NDArray[Any], tokenizer: Tokenizer) -> tuple[str, ...]:
    """Return the words of a text that a network can have learnt as words.

    Args:
        ids: the tokens of the text, (tokens,), memory-mapped or not.
        tokenizer: of these tokens.

    Returns:
        Its most frequent words, at most 50,000, sorted; of a text that was read in part, those that occur twice.
    """
    counts: Counter[str] = Counter()
    for piece in _pieces(ids):
        counts.update(find_words(tokenizer.decode(piece.tolist())))
    least = 1 if len(ids) <= _MOST_READ else 2
    words = (word for word, count in counts.most_common(_MOST_WORDS) if count >= least)
    return tuple(sorted(word for word in words if len(word) <= _LONGEST and "\ufffd" not in word))


def _pieces(ids: NDArray[Any]) -> Iterator[NDArray[Any]]:
    """Pieces of a text, all of it or evenly spread; a word at a border counts as two, which is seldom."""
    pieces = -(-len(ids) // _PIECE)
    every = max(1.0, len(ids) / _MOST_READ)
    for number in range(int(pieces / every)):
        begin = int(number * every) * _PIECE
        yield ids[begin : begin + _PIECE]
