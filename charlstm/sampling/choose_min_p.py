"""How much of its distribution a network writes with: as much as leaves its words as real as those of its text.

A network never quite rules out what is wrong, and of a thousand letters drawn from all that it thinks possible, a few
are. Min-p removes what is unlikely beside the likeliest, so it leaves the distribution alone where several letters may
follow, and takes the misspelt ones where one must. At equally many real words that is more varied than a low
temperature (``docs/decisions/writing.md``). A held-out part of the text tells how many of its words are known at best:
names and rare words are not.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection

from charlstm.checkpoint.writing import Writing
from charlstm.corpora.words import APOSTROPHES, is_letter
from charlstm.engine.protocol import TextModel
from charlstm.evaluation.writing import measure
from charlstm.sampling.config import settings_for
from charlstm.sampling.sampler import sample

MIN_P = (0.3, 0.2, 0.15, 0.1, 0.07, 0.05, 0.03, 0.02)
"""To choose from: the less, the more varied."""
_REAL = 0.98
"""The share of known words to come to is that of the held-out text, but not more than this: a short one may have no
unknown word at all. What is less by no more than a standard error is as good."""
LEAST_BEGUN = 0.97
"""The least share to come to for a network that began from a trained one. It knows the words of that one too, so little
of what it writes should be unknown, however many names the held-out text has, or however few words in all."""
_ROWS, _LENGTH = 8, 400
"""Texts drawn with one value, and the tokens of each."""
_FEWEST_WORDS = 100
"""Words of the held-out text, at least: in a language that does not separate words there are none to count."""


def choose_min_p(
    model: TextModel,
    writing: Writing,
    known: Collection[str],
    unseen: str,
    *,
    seed: int,
    stop: Callable[[], bool],
    least: float = 0.0,
) -> float | None:
    """Choose min-p by halving: the share of known words rises with it.

    Args:
        model: the network.
        writing: how it writes; its min-p is not used.
        known: words, in lower case.
        unseen: a text of the same kind that it has not learnt.
        seed: of what is drawn.
        stop: called for every token; when it returns True, nothing more is tried.
        least: the share of known words to come to, at least, whatever that of the held-out text is.

    Returns:
        Min-p, the middle of what is left if it was stopped before one was enough; None if words cannot tell, or it was
        stopped before one value was tried.
    """
    own = measure([unseen], known)
    if own.words < _FEWEST_WORDS:
        return None
    target = max(min(own.real_words, _REAL), least)
    low, high, tried = 0, len(MIN_P) - 1, False
    while low < high:
        middle = (low + high + 1) // 2
        texts = [""] * _ROWS
        config = settings_for(writing.replace(min_p=MIN_P[middle]), length=_LENGTH, seed=seed)
        for fragment in sample(model, (), config, rows=_ROWS, starts=writing.starts):
            texts[fragment.row] += fragment.text
            if stop():
                return MIN_P[low or middle] if tried else None
        written = measure(map(_whole_words, texts), known)
        error = math.sqrt(target * (1 - target) / max(1, written.long_words))
        if written.real_words >= target - error:
            low = middle
        else:
            high = middle - 1
        tried = True
    return MIN_P[low]


def _whole_words(text: str) -> str:
    """A text without its last word, which its length may have cut."""
    end = len(text)
    while end and (is_letter(text[end - 1]) or text[end - 1] in APOSTROPHES):
        end -= 1
    return text[:end]
