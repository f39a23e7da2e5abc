"""Reading the text after a blank, no farther than it can make a difference."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from charlstm.filling.candidates import Candidates
from charlstm.filling.readers import Reader

_HOPELESS = 30.0  # nats below the best: such a candidate is not read any further
_SETTLED = 50  # tokens in a row that all candidates predict alike, after which they always will
_DIFFERENCE = 1e-4  # nats


def read_ahead(
    reader: Reader, candidates: Candidates, tokens: Sequence[int], *, scored: bool, last: bool, count: int
) -> Candidates:
    """Read known text, as far as it is needed.

    A text is scored this far only by a causal network, whose predictions use no text to the right.

    Args:
        reader: the network.
        candidates: all of one position in the text.
        tokens: the text to read.
        scored: whether its log-probability is added to the scores.
        last: whether no blank follows.
        count: how many candidates must remain.

    Returns:
        The candidates after as much of the text as was needed.
    """
    settled = 0
    for index, token in enumerate(tokens):
        if settled == _SETTLED:
            return candidates if last else _read_as_one(reader, candidates, tokens[index:])
        candidates = _without_hopeless(reader, candidates, count)
        before = candidates.beam.nats
        candidates = candidates.read(reader, token, scored=scored)
        differs = np.ptp(candidates.beam.nats - before) > _DIFFERENCE
        settled = settled + 1 if scored and not differs else 0
    return candidates


def _read_as_one(reader: Reader, candidates: Candidates, tokens: Sequence[int]) -> Candidates:
    """Read tokens with the best candidate's state, and give that state to all."""
    left = reader.select(candidates.left, [int(candidates.beam.key.argmax())])
    for token in tokens:
        left = reader.advance(left, np.array([token]))
    return replace(candidates, left=reader.select(left, [0] * len(candidates)))


def _without_hopeless(reader: Reader, candidates: Candidates, count: int) -> Candidates:
    """Drop the candidates too far below the best to return, but keep at least ``count``."""
    key = candidates.beam.key
    lowest = min(key.max() - _HOPELESS, np.sort(key)[-count:][0])
    return candidates.select(reader, np.flatnonzero(key >= lowest))
