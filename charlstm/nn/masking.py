"""Which tokens of a text are hidden, for a network that reads both sides and says what stood there (Taylor 1953).

Spans, as in SpanBERT (Joshi et al. 2020), and not single characters: in a word with one letter hidden there is little
left to learn. As a blank is filled from the left its rest is a shorter one, so every length is practised.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_SPAN, _LONGEST, _GAP = 4.0, 16, 12.0  # tokens: a hidden span's mean, its most, and the mean between two


def hide(rng: np.random.Generator, rows: int, time: int) -> NDArray[np.bool_]:
    """Hidden spans of a geometric length, a quarter of all tokens, at least one of them: (rows, time)."""
    # Seen and hidden stretches take turns. Twice as many as are needed, and begun anywhere in the first half.
    count = 4 + 4 * int(time / (_SPAN + _GAP))
    stretches = np.empty((rows, 2 * count), np.int64)
    stretches[:, ::2] = rng.geometric(1 / _GAP, (rows, count))
    stretches[:, 1::2] = np.minimum(rng.geometric(1 / _SPAN, (rows, count)), _LONGEST)
    hidden = np.zeros((rows, time), np.bool_)
    for row, lengths in zip(hidden, stretches, strict=True):
        line = np.repeat(np.arange(len(lengths)) % 2 == 1, lengths)
        begin = int(rng.integers(max(1, len(line) - time)))
        row[:] = np.resize(line[begin : begin + time], time)
    if not hidden.any():
        hidden[rng.integers(rows), rng.integers(time)] = True
    return hidden
