"""Text in the canonical form that a tokenizer knows: é may be one character or an e and an accent (Unicode's NFC, NFD).

The two forms are the same text by Unicode's own definition, so nothing is lost, whichever of them a network has read.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator
from functools import cache

from charlstm.tokenizers.base import Tokenizer

_LONGEST = 64
"""Characters of a sequence that is looked at as one: no script has longer ones."""


def known_form(tokenizer: Tokenizer, text: str) -> str:
    """A text whose characters outside the alphabet are written in their other form, where that is known.

    Args:
        tokenizer: whose alphabet counts.
        text: the text; what is known of it stays as it is.
    """
    strangers = tokenizer.unknown_characters(text)
    if not strangers:
        return text

    @cache
    def form(sequence: str) -> str:
        forms = (unicodedata.normalize(name, sequence) for name in ("NFC", "NFD"))
        return next((form for form in forms if not tokenizer.unknown_characters(form)), sequence)

    pieces, done = [], 0
    for match in re.finditer("|".join(map(re.escape, strangers)), text):
        if match.start() < done:
            continue
        begin, end = _begin(text, match.start(), done), _end(text, match.end())
        pieces += [text[done:begin], form(text[begin:end])]
        done = end
    return "".join((*pieces, text[done:]))


def whole_sequences(chunks: Iterable[str]) -> Iterator[str]:
    """Yield a text in chunks that end before no accent: a character and what belongs to it stay together.

    Args:
        chunks: the text, cut anywhere.
    """
    rest = ""
    for chunk in chunks:
        text = rest + chunk
        cut = _begin(text, len(text) - 1, 0)
        rest = text[cut:]
        if cut:
            yield text[:cut]
    if rest:
        yield rest


def _begin(text: str, at: int, least: int) -> int:
    """Where the sequence begins to which a character belongs."""
    least = max(least, at - _LONGEST)
    while at > least and _continues(text[at]):
        at -= 1
    return at


def _end(text: str, at: int) -> int:
    """Where the sequence ends that goes on up to a place."""
    most = min(len(text), at + _LONGEST)
    while at < most and _continues(text[at]):
        at += 1
    return at


def _continues(character: str) -> bool:
    """Whether a character may be part of the one before it: a mark, or a vowel or final consonant of Korean."""
    if character < "\u0300":
        return False
    jamo = "\u1160" <= character <= "\u11ff" or "\ud7b0" <= character <= "\ud7ff"
    return jamo or unicodedata.category(character).startswith("M")
