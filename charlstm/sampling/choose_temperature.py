"""The temperature at which a network writes best: the highest at which its words are as real as those of its text.

Hot writing is varied and has misspelt words; cold writing is right and dull. A held-out part of the text tells how many
of its words are known at best: names and rare words are not. What is written has to come close to that.
"""

from __future__ import annotations

from collections.abc import Callable, Collection

from charlstm.checkpoint.writing import Writing
from charlstm.engine.protocol import TextModel
from charlstm.inspect.writing import measure
from charlstm.sampling.config import settings_for
from charlstm.sampling.sampler import sample

TEMPERATURES = (0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
"""To choose from."""
_CLOSE = 0.98
"""The share of known words in what is written, divided by that in the held-out text."""
_ROWS, _LENGTH = 8, 400
"""Texts drawn at a temperature, and the tokens of each."""
_FEWEST_WORDS = 100
"""Words of the held-out text, at least: in a language that does not separate words there are none to count."""


def choose_temperature(
    model: TextModel, writing: Writing, known: Collection[str], unseen: str, *, seed: int, stop: Callable[[], bool]
) -> float | None:
    """Choose between temperatures, by halving: the share of known words falls with the temperature.

    Args:
        model: the network.
        writing: how it writes; its temperature is not used.
        known: words, in lower case.
        unseen: a text of the same kind that it has not learnt.
        seed: of what is drawn.
        stop: called for every token; when it returns True, nothing more is tried.

    Returns:
        The temperature; None if words cannot tell, or it was stopped before one was tried.
    """
    own = measure([unseen], known)
    if own.words < _FEWEST_WORDS:
        return None
    low, high, tried = 0, len(TEMPERATURES) - 1, False
    while low < high:
        middle = (low + high + 1) // 2
        texts = [""] * _ROWS
        config = settings_for(writing.replace(temperature=TEMPERATURES[middle]), length=_LENGTH, seed=seed)
        for fragment in sample(model, (), config, rows=_ROWS, starts=writing.starts):
            texts[fragment.row] += fragment.text
            if stop():
                return TEMPERATURES[low] if tried else None
        if measure(texts, known).real_words >= _CLOSE * own.real_words:
            low = middle
        else:
            high = middle - 1
        tried = True
    return TEMPERATURES[low]
