"""Places where a text begins anew: after an empty line, else after a line end, else after a sentence.

A network without a prompt has to be told that something begins. The piece of text before such a place tells it, and
tells it in the text's own manner: after a stage direction comes a speaker, after a blank line a paragraph.
"""

from __future__ import annotations

import re
from typing import Any

from numpy.typing import NDArray

from charlstm.tokenizers import Tokenizer

COUNT = 8
"""How many places are remembered."""
CONTEXT = 64
"""Characters remembered before each of them."""

_MARKS = (
    re.compile(r"\n[ \t\r]*\n[\r\n]*(?=[^\r\n])"),
    re.compile(r"\n[\r\n]*(?=[^\r\n])"),
    re.compile(r"[.!?][\"'”’)\]]*\s+(?=\S)|[。！？][”’」』）]*(?=\S)"),
)
_WINDOWS, _WINDOW = 64, 4096
"""Of a long text this many windows of this many tokens are searched, evenly spread."""


def find_starts(ids: NDArray[Any], tokenizer: Tokenizer) -> tuple[str, ...]:
    """Find places in a text where something begins, evenly spread.

    Args:
        ids: the tokens of the text, (tokens,), memory-mapped or not.
        tokenizer: of these tokens.

    Returns:
        For each place the characters before it; fewer than `COUNT`, or none, if the text has no more places.
    """
    windows = [ids] if len(ids) <= _WINDOWS * _WINDOW else _spread(ids)
    texts = [tokenizer.decode(window.tolist()) for window in windows]
    for mark in _MARKS:
        found = [text[match.end() - CONTEXT : match.end()] for text in texts for match in mark.finditer(text, CONTEXT)]
        whole = [context for context in found if "\ufffd" not in context]  # half a character, or an unknown one
        if len(whole) >= COUNT or (whole and mark is _MARKS[-1]):
            return tuple(whole[number * len(whole) // COUNT] for number in range(min(COUNT, len(whole))))
    return ()


def _spread(ids: NDArray[Any]) -> list[NDArray[Any]]:
    """Windows of a long text."""
    last = len(ids) - _WINDOW
    begins = [last * number // (_WINDOWS - 1) for number in range(_WINDOWS)]
    return [ids[begin : begin + _WINDOW] for begin in begins]
