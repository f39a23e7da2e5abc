"""Span masking: which tokens of a text are masked, for a network that predicts each token from both sides.

Spans, as in SpanBERT (Joshi et al. 2020), rather than single characters: in a word with one letter masked there is
little left to learn. As a blank is filled from the left the rest of it is a shorter one, so every length is practised.
The task is that of Taylor 1953.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_SPAN, _LONGEST, _GAP = 4.0, 16, 12.0  # tokens: a masked span's mean and maximum, and the mean between two spans


def mask_spans(rng: np.random.Generator, rows: int, time: int) -> NDArray[np.bool_]:
    """Masked spans of a geometric length: a quarter of all tokens, at least one of them.

    Args:
        rng: of where they are.
        rows: texts side by side.
        time: tokens of each.

    Returns:
        (rows, time), true where a token is masked.
    """
    # Visible and masked stretches alternate. Twice as many as are needed, and begun anywhere in the first half.
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
