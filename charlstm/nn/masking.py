"""Span masking: chooses the tokens that a bidirectional network has to predict.

Spans, as in SpanBERT (Joshi et al. 2020), rather than single characters: a word with one letter masked leaves little to
learn. A blank is filled from the left, so the unfilled rest is a shorter blank: the network needs every length. The
task is that of Taylor 1953.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_SPAN, _LONGEST, _GAP = 4.0, 16, 12.0  # in tokens: mean and maximum of a span, mean distance between spans


def mask_spans(rng: np.random.Generator, rows: int, time: int) -> NDArray[np.bool_]:
    """Choose masked spans of geometric length: a quarter of all tokens on average, and at least one token.

    Args:
        rng: the random generator.
        rows: B.
        time: T.

    Returns:
        (B, T), true where a token is masked.
    """
    # Visible and masked stretches alternate. Twice as many as needed are drawn, so that a row can start at random.
    count = 4 + 4 * int(time / (_SPAN + _GAP))
    stretches = np.empty((rows, 2 * count), np.int64)
    stretches[:, ::2] = rng.geometric(1 / _GAP, (rows, count))
    stretches[:, 1::2] = np.minimum(rng.geometric(1 / _SPAN, (rows, count)), _LONGEST)
    masked = np.zeros((rows, time), np.bool_)
    for row, lengths in zip(masked, stretches, strict=True):
        line = np.repeat(np.arange(len(lengths)) % 2 == 1, lengths)
        begin = int(rng.integers(max(1, len(line) - time)))
        row[:] = np.resize(line[begin : begin + time], time)
    if not masked.any():
        masked[rng.integers(rows), rng.integers(time)] = True
    return masked
