"""A text of records, each scored as the first of any text: from the zero state, after the end of another record."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from charlstm.corpora.records import record_ends
from charlstm.evaluation.windows import Measure, as_tensor, evaluation_mode, window_length
from charlstm.nn.model import CharLM

_ROWS = 64
"""Records read side by side."""


def measure_records(
    model: CharLM,
    ids: NDArray[Any],
    context: NDArray[Any],
    measure: Measure,
    *,
    terminator: Sequence[int],
    streams: int = 1,
    autocast: AbstractContextManager[Any] | None = None,
) -> Iterator[tuple[NDArray[np.intp], Tensor]]:
    """Run a causal network over a text of records and measure every window's logits.

    Records of similar length are read side by side. The first token of each is predicted from the last of a terminator.

    Args:
        model: as `windows.measure_windows`.
        ids: the text, (tokens,), at least one; it may be memory-mapped.
        context: not read: every record is the first of any text.
        measure: as `windows.measure_windows`.
        terminator: the tokens that end each record.
        streams: without effect: each record is read by itself, whatever stands beside it.
        autocast: as `windows.measure_windows`.

    Yields:
        The positions in ``ids`` of the window's scored tokens, record after record, and their measure.
    """
    ends = record_ends(ids, terminator)
    begins = np.append(0, ends[:-1])
    by_length = np.argsort(begins - ends, kind="stable")  # the longest first
    device = next(model.parameters()).device
    length = window_length(_ROWS, model.architecture)
    with evaluation_mode(model):
        for first in range(0, len(ends), _ROWS):
            rows = by_length[first : first + _ROWS]
            starts, sizes = begins[rows, None], (ends - begins)[rows, None]
            state = None
            for begin in range(0, int(sizes[0, 0]), length):
                places = np.arange(begin, min(begin + length, int(sizes[0, 0])))
                positions, scored = starts + places, places < sizes
                known = np.minimum(positions, starts + sizes - 1)
                inputs = np.where(places == 0, terminator[-1], ids[np.maximum(known - 1, 0)])
                with torch.inference_mode():
                    with autocast or nullcontext():
                        logits, state = model(as_tensor(inputs, device), state)
                    measured = measure(
                        logits.float(), as_tensor(ids[known], device), torch.from_numpy(scored).to(device)
                    )
                    del logits
                yield positions[scored], measured
