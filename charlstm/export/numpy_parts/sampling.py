"""From logits to a token."""

from __future__ import annotations

import math
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from charlstm.export.numpy_parts.arrays import Array
from charlstm.export.numpy_parts.settings import (
    LONGEST_RUN,
    MIN_P,
    NO_REPEAT,
    TEMPERATURE,
    TOP_P,
    UNKNOWN_ID,
    VOCAB_SIZE,
)

Tokens: TypeAlias = NDArray[np.int64]
WINDOW = 4096  # tokens back to the farthest passage that is known to be said again


def repeat_penalties(text: Tokens, allowed: int) -> Array:
    """By how much going on with a passage that was said before becomes less likely.

    With run_d the number of tokens that the end of the text has in common with what stands d tokens before::

        the token that followed there: run_d - allowed + 1      where run_d ≥ allowed; the largest counts

    Args:
        text: the ids so far.
        allowed: tokens that may be said again.

    Returns:
        What to subtract from each logit, (V,).
    """
    last = len(text) - 1
    ends = np.arange(max(0, last - WINDOW), last)  # of earlier passages
    runs, length = np.zeros(len(text), np.int64), 0
    while len(ends):
        ends = ends[ends >= length]
        ends = ends[text[ends - length] == text[last - length]]
        length += 1
        runs[ends] = length
    (again,) = np.nonzero(runs >= allowed)
    penalties = np.zeros(VOCAB_SIZE)
    np.maximum.at(penalties, text[again + 1], runs[again] - allowed + 1)
    return penalties


def keep_top_p(logits: Array, top_p: float) -> Array:
    """Keep the fewest likeliest tokens whose probabilities add up to ``top_p``; the others get -inf.

    Args:
        logits: (V,).
        top_p: above 0 and at most 1.

    Returns:
        The logits, (V,).
    """
    order = np.argsort(-logits, kind="stable")
    ranked = logits[order]
    total = np.exp(ranked - ranked[0]).cumsum()
    filtered = logits.copy()
    filtered[order[1:][total[:-1] >= top_p * total[-1]]] = -np.inf
    return filtered


def keep_min_p(logits: Array, min_p: float) -> Array:
    """Keep tokens at least ``min_p`` times as likely as the likeliest; the others get -inf.

    Args:
        logits: (V,).
        min_p: above 0 and at most 1.

    Returns:
        The logits, (V,).

    Raises:
        ValueError: it is above 1, so that nothing would be left.
    """
    if min_p > 1:
        raise ValueError("min_p is 1 at most")
    return np.where(logits < logits.max() + math.log(min_p), -np.inf, logits)


def draw(logits: Array, rng: np.random.Generator) -> int:
    """Draw a token from the softmax of its logits.

    With Gumbel noise added to the logits, each token is the largest as often as it is likely (Yellott 1977).

    Args:
        logits: (V,).
        rng: makes the noise.

    Returns:
        Its id.
    """
    return int((logits + rng.gumbel(size=len(logits))).argmax())


def choose(
    logits: Array,
    text: Tokens,
    rng: np.random.Generator,
    *,
    temperature: float = TEMPERATURE,
    top_p: float = TOP_P,
    min_p: float = MIN_P,
    no_repeat: int = NO_REPEAT,
    longest_run: int = LONGEST_RUN,
) -> int:
    """Choose the next token: what is unlikely, or would repeat the text, is left out, and one of the rest is drawn.

    Args:
        logits: of the network, (V,); they are changed.
        text: the ids so far.
        rng: makes chance.
        temperature: low is careful, high is wild; 0 always takes the likeliest token.
        top_p: keep only the fewest likeliest tokens whose probabilities add up to this; 1 is off.
        min_p: keep only tokens at least this many times as likely as the likeliest; 0 is off.
        no_repeat: tokens of a passage that may be said again; 0 is off.
        longest_run: equal tokens in a row, at most; 0 is off.

    Returns:
        Its id.
    """
    if no_repeat > 0:
        logits -= repeat_penalties(text, no_repeat)
    end = text[-longest_run:]
    if longest_run and len(end) == longest_run and (end == end[0]).all():
        logits[end[0]] = -np.inf
    if UNKNOWN_ID is not None:
        logits[UNKNOWN_ID] = -np.inf
    if top_p < 1:
        logits = keep_top_p(logits, top_p)
    if min_p > 0:
        logits = keep_min_p(logits, min_p)
    if temperature < 1e-100:
        return int(logits.argmax())
    return draw(logits / temperature, rng)
