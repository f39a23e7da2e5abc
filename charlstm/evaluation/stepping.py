"""The loss of a text by whatever steps: one token after the other, exactly, such as by several networks together."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from charlstm.engine.protocol import Stepper
from charlstm.engine.softmax import log_softmax

_PIECE = 1024
"""Losses that are passed on at a time."""


def stepped_losses(
    stepper: Stepper, ids: NDArray[Any], context: NDArray[Any]
) -> Iterator[tuple[NDArray[np.intp], NDArray[np.float32]]]:
    """The loss of each token given those before it.

    Args:
        stepper: the network.
        ids: the text, (tokens,), at least one; it may be memory-mapped.
        context: the tokens before the text, (tokens,), at least one: the last predicts the first of the text.

    Yields:
        Positions and the losses there, in nats, in order. A loss that is not finite is passed on as it is.
    """
    state = None
    for token in context:
        logits, state = stepper.step(np.array([token]), state)
    for begin in range(0, len(ids), _PIECE):
        piece = np.asarray(ids[begin : begin + _PIECE])
        nats = np.empty(len(piece), np.float32)
        for place, token in enumerate(piece.tolist()):
            nats[place] = -log_softmax(logits)[0, token]
            logits, state = stepper.step(np.array([token]), state)
        yield np.arange(begin, begin + len(piece)), nats
