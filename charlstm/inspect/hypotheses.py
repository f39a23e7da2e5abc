"""What a unit may follow: properties of a text that can be told from the text alone, so the truth is known.

Each gives a value to every character, of what has been read up to and including it. A property of yes and no is 1 or
0; a graded one is any number, of which only the order matters.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import accumulate

import numpy as np
from numpy.typing import NDArray

from charlstm.errors import UsageError

Labels = NDArray[np.float32]


@dataclass(frozen=True)
class Hypothesis:
    """A property of a place in a text."""

    name: str
    """As it completes "this unit follows …"."""
    graded: bool
    """Whether it is a number rather than yes or no."""
    label: Callable[[str], Labels]
    """Its value at each character of a text, (characters,)."""


def own_hypothesis(pattern: str) -> Hypothesis:
    """A hypothesis of a person: whether a character is inside a match of a regular expression.

    Args:
        pattern: the expression.

    Returns:
        The hypothesis.

    Raises:
        UsageError: the expression is not valid.
    """
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise UsageError(f"{pattern!r} is no regular expression: {error}") from error

    def inside(text: str) -> Labels:
        label = np.zeros(len(text), np.float32)
        for match in compiled.finditer(text):
            label[match.start() : match.end()] = 1
        return label

    return Hypothesis(f"a match of {pattern!r}", False, inside)


def _each(function: Callable[[str], bool]) -> Callable[[str], Labels]:
    """A label that depends on the character alone."""
    return lambda text: np.fromiter(map(function, text), np.float32, len(text))


def _running(follow: Callable[[int, str], int]) -> Callable[[str], Labels]:
    """A label that is a number carried from character to character, from 0."""

    def label(text: str) -> Labels:
        values = accumulate(text, follow, initial=0)
        next(values)
        return np.fromiter(values, np.float32, len(text))

    return label


def _in_double_quotes(text: str) -> Labels:
    """After an opening mark, up to the closing one; a quotation left open ends with its paragraph."""
    label: list[int] = []
    for paragraph in re.findall(r"(?s)(?:(?!\n\n).)*\n\n|.+", text):
        label += _running(_quoted)(paragraph).astype(int).tolist()
    return np.array(label, np.float32)


def _quoted(inside: int, character: str) -> int:
    if character == '"':
        return 1 - inside
    return 1 if character in "“„«" else 0 if character in "”»" else inside


def _in_single_quotes(text: str) -> Labels:
    """Between ‘ and ’, or between ' after a blank and ' before one, on one paragraph: apostrophes are no quotes."""
    label = np.zeros(len(text), np.float32)
    for match in re.finditer(r"(?:‘|(?<![\w'])'(?=\w))((?:(?!\n\n)[^‘])*?)(?:’|'(?!\w))(?!\w)", text):
        label[match.start() : match.end() - 1] = 1
    return label


def _depth(depth: int, character: str) -> int:
    if character in "([{":
        return depth + 1
    return max(0, depth - 1) if character in ")]}" else depth


def _column(column: int, character: str) -> int:
    return 0 if character == "\n" else column + 1


def _in_word(place: int, character: str) -> int:
    return place + 1 if character.isalpha() or (place and character in "'’") else 0


def _since_sentence(text: str) -> Iterator[float]:
    since = 0
    ended = True
    for character in text:
        if character in ".!?":
            ended = True
        elif ended and character.isalpha():
            since, ended = 0, False
        else:
            since += 1
        yield since


def _indentation(text: str) -> Labels:
    label: list[int] = []
    for line in text.splitlines(keepends=True):
        blank = len(line) - len(line.lstrip(" \t"))
        label += (min(place + 1, blank) for place in range(len(line)))
    return np.array(label, np.float32)


def _speaker_lines(text: str) -> Labels:
    """In a line of capitals that ends in a colon, such as a play's ``FIRST CITIZEN:``, up to the colon."""
    label = np.zeros(len(text), np.float32)
    for match in re.finditer(r"^[^a-z\n]*[A-Z][^a-z\n]*:$", text, re.MULTILINE):
        label[match.start() : match.end()] = 1
    return label


HYPOTHESES = (
    Hypothesis("inside double quotes", False, _in_double_quotes),
    Hypothesis("inside single quotes", False, _in_single_quotes),
    Hypothesis("inside brackets", False, lambda text: np.minimum(_running(_depth)(text), 1)),
    Hypothesis("characters since the line began", True, _running(_column)),
    Hypothesis("past the 60th character of a line", False, lambda text: (_running(_column)(text) > 60).astype("f4")),
    Hypothesis("characters since the word began", True, _running(_in_word)),
    Hypothesis("first letter of a word", False, lambda text: (_running(_in_word)(text) == 1).astype("f4")),
    Hypothesis(
        "characters since the sentence began", True, lambda text: np.fromiter(_since_sentence(text), "f4", len(text))
    ),
    Hypothesis("capital letter", False, _each(str.isupper)),
    Hypothesis("inside a number", False, _each(str.isdigit)),
    Hypothesis("vowel", False, _each(lambda character: character.lower() in "aeiouàâäéèêëîïôöùûüáíóúæœ")),
    Hypothesis("indentation of the line", True, _indentation),
    Hypothesis("line that names a speaker", False, _speaker_lines),
    Hypothesis("between words", False, _each(str.isspace)),
)
"""Named by what a unit would follow; of 14, most have been reported for networks that read text (Karpathy, Johnson &
Fei-Fei 2015, section 4.1; Strobelt et al. 2018)."""
