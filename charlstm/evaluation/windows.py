"""How a text is cut into windows to be scored, in memory that depends on neither its length nor the vocabulary's size.

Letters: S streams, T time, V vocabulary.

One stream reads the text in order: its losses add up to the text's exact negative log-likelihood. Several parallel
streams each score a contiguous part, after reading the `BURN_IN` tokens before it: a fraction of the time for nearly
the same losses. On tiny Shakespeare the mean differs in the fourth decimal; with a match memory, which has less to
match in a part, one stream is better by 0.006 nats.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from charlstm.nn.model import CharLM
from charlstm.nn.state import State

STREAMS = 32
"""Parallel streams of an evaluation that need not be exact."""
BURN_IN = 256
"""Tokens that a parallel stream reads before the first one it scores."""
LOGITS_BYTES = 64 << 20
"""Most that the fp32 logits of a window take, unless a single time step takes more."""

_LONGEST = 256  # tokens of a window; a power of two, as are all shorter ones, so that the burn-in is whole windows
_COPIES = 5  # of the logits at the peak: in bf16, in fp32, those scored, and what calibration computes from them

Measure = Callable[[Tensor, Tensor, Tensor], Tensor]
"""Logits (S, T, V), targets (S, T), and which of them to score (S, T) → whatever is wanted of the window."""


def measure_windows(
    model: CharLM,
    ids: NDArray[Any],
    context: NDArray[Any],
    measure: Measure,
    *,
    streams: int = 1,
    autocast: AbstractContextManager[Any] | None = None,
) -> Iterator[tuple[NDArray[np.intp], Tensor]]:
    """Run a causal network over a text and measure every window's logits.

    The logits are gone before a window is yielded, so never more than one window of them is in memory.

    Args:
        model: the network; it is in evaluation mode until the last window is done.
        ids: the text, (tokens,), at least one; it may be memory-mapped.
        context: the tokens before the text, at least one: the last predicts the first of the text.
        measure: called with each window's fp32 logits.
        streams: parallel streams, at most one for every `BURN_IN` tokens; 1 is exact.
        autocast: the context to compute in; None is the precision of the weights.

    Yields:
        The positions in ``ids`` of the window's scored tokens, stream after stream, and their measure.
    """
    streams = max(1, min(streams, len(ids) // BURN_IN))
    span = -(-len(ids) // streams)
    burn_in = 0 if streams == 1 and len(context) == 1 else BURN_IN
    context = context[-burn_in - 1 :]
    starts = span * np.arange(streams)[:, None]  # stream k scores ids[k * span : (k + 1) * span]
    length = window_length(streams, model.architecture.vocab_size)
    device = next(model.parameters()).device
    state: State | None = None
    with evaluation_mode(model):
        for begin in range(-burn_in, span, length):
            positions = starts + begin + np.arange(min(length, span - begin))
            inputs = _tokens(ids, context, positions - 1, device)
            with torch.inference_mode():
                if begin == 0 and state is not None:
                    # The first stream has no more than the context before it; where that is short, it starts cold.
                    state = state.reset(torch.from_numpy(starts[:, 0] + len(context) <= burn_in).to(device))
                with autocast or nullcontext():
                    logits, state = model(inputs, state)
                if begin < 0:
                    continue
                scored = positions < np.minimum(starts + span, len(ids))
                targets = _tokens(ids, context, positions, device)
                measured = measure(logits.float(), targets, torch.from_numpy(scored).to(device))
                del logits
            yield positions[scored], measured


def window_length(streams: int, vocab_size: int) -> int:
    """Time steps of a window: a power of two of at most 256, such that the logits fit into `LOGITS_BYTES`.

    Args:
        streams: S.
        vocab_size: V.
    """
    fitting = LOGITS_BYTES // (4 * streams * vocab_size)
    return min(_LONGEST, 1 << max(0, fitting.bit_length() - 1))


def evaluation_bytes(vocab_size: int) -> int:
    """The most memory that the logits of an evaluation in `STREAMS` streams take with all that is computed from them.

    It grows with the vocabulary up to 320 MB, and above 524,288 tokens again. The hidden states of a window are not
    counted: training holds more of them.

    Args:
        vocab_size: V.
    """
    return _COPIES * 4 * STREAMS * window_length(STREAMS, vocab_size) * vocab_size


@contextmanager
def evaluation_mode(model: nn.Module) -> Iterator[None]:
    """Switch dropout off, and back afterwards if it was on."""
    training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(training)


def as_tensor(ids: NDArray[Any], device: torch.device) -> Tensor:
    """Convert token ids of any integer type to an int64 tensor, which torch can embed.

    Args:
        ids: token ids, of any shape.
        device: the device of the tensor.

    Returns:
        The ids, int64, of the same shape.
    """
    return torch.from_numpy(ids.astype(np.int64)).to(device)


def _tokens(ids: NDArray[Any], context: NDArray[Any], positions: NDArray[np.intp], device: torch.device) -> Tensor:
    """The tokens at positions of the text, negative ones in the context; those beyond either end are never scored."""
    before = context[np.clip(positions + len(context), 0, len(context) - 1)]
    return as_tensor(np.where(positions < 0, before, ids[np.clip(positions, 0, len(ids) - 1)]), device)
