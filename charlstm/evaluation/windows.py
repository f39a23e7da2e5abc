"""How a text is cut into windows to be scored, in memory that depends on neither its length nor the vocabulary's size.

Letters: S streams, T time, V vocabulary.

One stream reads the text in order: its losses add up to the text's exact negative log-likelihood. Several parallel
streams each score a contiguous part, after reading the `BURN_IN` tokens before it: a fraction of the time for nearly
the same losses. What a match memory would hold there is known without the network, so each stream begins with it. On
tiny Shakespeare the mean differs in the fourth decimal.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from charlstm.nn.architecture import Architecture
from charlstm.nn.model import CharLM
from charlstm.nn.state import State

STREAMS = 32
"""Parallel streams of an evaluation that need not be exact."""
BURN_IN = 256
"""Tokens that a parallel stream reads before the first one it scores."""
LARGEST_ARRAY = 64 << 20
"""Most bytes that the fp32 logits of a window take, or its gates, unless a single time step takes more."""

_LONGEST = 256  # tokens of a window; a power of two, as are all shorter ones, so that the burn-in is whole windows
_REACHES = 16  # of a match memory: of what is older, next to nothing is left in it

Measure = Callable[[Tensor, Tensor, Tensor], Tensor]
"""Logits (S, T, V), targets (S, T), and which of them to score (S, T) → whatever is wanted of the window."""
ReadWindows = Callable[..., Iterator[tuple[NDArray[np.intp], Tensor]]]
"""How a text is read, window by window: `measure_windows`, or another function with its arguments and results."""


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
    starts = span * np.arange(streams)[:, None]  # stream k scores ids[k * span : (k + 1) * span]
    length = window_length(streams, model.architecture)
    device = next(model.parameters()).device
    state = _remembered(model, ids, context, starts[:, 0] - burn_in - 1, device) if burn_in else None
    context = context[-burn_in - 1 :]
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


def window_length(streams: int, architecture: Architecture) -> int:
    """Time steps of a window: a power of two of at most 256, such that its largest array fits into `LARGEST_ARRAY`.

    Args:
        streams: S.
        architecture: of the network.
    """
    fitting = LARGEST_ARRAY // (4 * streams * max(architecture.vocab_size, 4 * architecture.hidden_size))
    return min(_LONGEST, 1 << max(0, fitting.bit_length() - 1))


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


def _remembered(
    model: CharLM, ids: NDArray[Any], context: NDArray[Any], places: NDArray[np.intp], device: torch.device
) -> State:
    """The states with which streams begin to read at places of the text: match memories know what is before them."""
    states, state, done = [], model.empty_state(1), -len(context)
    for place in places.tolist():
        begin = max(done, place - _REACHES * model.architecture.reach)
        if begin < place:
            state = model.remember(_tokens(ids, context, np.arange(begin, place)[None], device), state)
        states.append(state)
        done = max(done, place)
    return states[0].join(*states[1:])


def _tokens(ids: NDArray[Any], context: NDArray[Any], positions: NDArray[np.intp], device: torch.device) -> Tensor:
    """The tokens at positions of the text, negative ones in the context; those beyond either end are never scored."""
    before = context[np.clip(positions + len(context), 0, len(context) - 1)]
    return as_tensor(np.where(positions < 0, before, ids[np.clip(positions, 0, len(ids) - 1)]), device)
