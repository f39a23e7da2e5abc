"""The loss of a whole text: every token counts, the state is carried from the first to the last.

Letters: S streams, T time, V vocabulary.

Read strictly in order (one stream) this is the text's exact likelihood. It can also be cut into parallel streams, each
warmed up on the tokens before it: the same tokens are scored, each with at least ``burn_in`` tokens of context,
in a fraction of the time. On tiny Shakespeare the two differ in the fourth decimal; with recall, which parallel streams
have less to recall in, in order is better by 0.006.

What reads both ways has no likelihood of a text; it is scored by how well it knows each token from those around it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from charlstm.cloze import hide
from charlstm.nn.model import CharLM, reset_rows

BURN_IN = 256
_WINDOW = 256
_ROWS = 32  # windows of a cloze read at once


def evaluate(
    model: CharLM,
    ids: NDArray[Any],
    context: NDArray[Any],
    *,
    streams: int = 1,
    autocast: AbstractContextManager[Any] | None = None,
) -> float:
    """The mean loss over every token of a text, in nats per token.

    Args:
        model: the network; its mode (training or not) is the same afterwards.
        ids: the text, (tokens,), at least one.
        context: what stands before the text, (tokens,), at least one: it predicts the first token.
        streams: parallel streams the text is cut into; 1 is exact.
        autocast: the context in which to compute; None is the weights' own precision.
    """
    totals: list[Tensor] = []

    def take(logits: Tensor, targets: Tensor, inside: Tensor) -> None:
        totals.append(_losses(logits, targets)[inside].sum())

    _walk(model, ids, context, streams, autocast, take)
    return float(_total(totals)) / len(ids)


def calibrate(
    model: CharLM,
    ids: NDArray[Any],
    context: NDArray[Any],
    *,
    streams: int = 1,
    autocast: AbstractContextManager[Any] | None = None,
) -> tuple[float, float]:
    """The mean loss as `evaluate` has it, and the temperature at which it would be lowest.

    A network that has read its text several times is surer than it may be. With z the logits, y the token that came and
    β = 1 / temperature, the mean loss is convex in β, and from 1 one step of Newton's comes close to its lowest::

        L(β) = mean of log Σ exp(β z) - β z_y
        L'(1) = mean of E[z] - z_y,  L''(1) = mean of Var[z]        z distributed by softmax(z)
        β = 1 - L'(1) / L''(1), between 1/2 and 2

    Args: those of `evaluate`.

    Source: temperature scaling, Guo et al. 2017, "On calibration of modern neural networks".
    """
    sums: list[Tensor] = []

    def take(logits: Tensor, targets: Tensor, inside: Tensor) -> None:
        z, y = logits[inside], targets[inside]
        shares = z.softmax(-1)
        mean = (shares * z).sum(-1)
        slope = mean - z.gather(-1, y[:, None])[:, 0]
        curve = (shares * (z - mean[:, None]).square()).sum(-1)
        sums.append(torch.stack([functional.cross_entropy(z, y, reduction="sum"), slope.sum(), curve.sum()]))

    _walk(model, ids, context, streams, autocast, take)
    loss, slope, curve = _total(sums).tolist()
    beta = 1 - slope / curve if curve > 0 else 1.0
    return loss / len(ids), 1 / min(2.0, max(0.5, beta))


def surprise(
    model: CharLM, ids: NDArray[Any], context: NDArray[Any], *, progress: Callable[[int], object] = lambda more: None
) -> NDArray[np.float32]:
    """The loss of each token of a text read in order, in nats, (tokens,).

    Args:
        model: the network.
        ids: the text, (tokens,), at least one.
        context: what stands before it, at least one token.
        progress: called now and then with the number of tokens done since the last call.
    """
    parts: list[NDArray[np.float32]] = []

    def take(logits: Tensor, targets: Tensor, inside: Tensor) -> None:
        parts.append(_losses(logits, targets)[inside].cpu().numpy())
        progress(len(parts[-1]))

    _walk(model, ids, context, 1, None, take)
    return np.concatenate(parts)


def evaluate_cloze(
    model: CharLM, ids: NDArray[Any], seq_len: int, autocast: AbstractContextManager[Any] | None = None
) -> float:
    """The mean loss of a bidirectional network over every token of a text with gaps as in training, in nats per token.

    Args:
        model: the network.
        ids: the text, (tokens,), at least one.
        seq_len: tokens it sees at once.
        autocast: as `evaluate`.
    """
    hidden = hide(np.random.default_rng(0), 1, len(ids))[0]  # always the same gaps
    return float(_losses_both_sides(model, ids, hidden, seq_len, autocast).mean(dtype=np.float64))


def surprise_both_sides(
    model: CharLM, ids: NDArray[Any], seq_len: int, *, progress: Callable[[int], object] = lambda more: None
) -> NDArray[np.float32]:
    """The loss of each token to a bidirectional network that sees all others, in nats, (tokens,).

    Args:
        model: the network.
        ids: the text, (tokens,), at least one.
        seq_len: tokens it sees at once.
        progress: called now and then with the number of tokens done since the last call.
    """
    return _losses_both_sides(model, ids, np.zeros(len(ids), np.bool_), seq_len, None, progress)


def _total(sums: list[Tensor]) -> Tensor:
    """What windows sum up to, on the CPU: Apple's GPUs have no float64."""
    return torch.stack(sums).cpu().double().sum(0)


def _losses_both_sides(
    model: CharLM,
    ids: NDArray[Any],
    hidden: NDArray[np.bool_],
    seq_len: int,
    autocast: AbstractContextManager[Any] | None,
    progress: Callable[[int], object] = lambda more: None,
) -> NDArray[np.float32]:
    """The loss of each token. Windows overlap by half: a token is scored where it stands in the middle of one."""
    length = min(seq_len, len(ids))
    margin = length // 4
    stride = length - 2 * margin
    count = max(1, -(-(len(ids) - 2 * margin) // stride))
    begins = np.minimum(np.arange(count) * stride, len(ids) - length)
    device = next(model.parameters()).device
    losses = np.empty(len(ids), np.float32)
    with _evaluating(model), torch.inference_mode():
        for first in range(0, count, _ROWS):
            last = min(first + _ROWS, count)
            places = begins[first:last, None] + np.arange(length)
            targets = _tensor(ids[places], device)
            inputs = targets.masked_fill(torch.from_numpy(hidden[places]).to(device), model.config.vocab_size)
            with autocast or nullcontext():
                logits, _ = model(inputs)
            found = _losses(logits.float(), targets).cpu().numpy()
            # These windows answer for the tokens from the first one's middle on; the text's ends belong to the ends.
            begin, end = first * stride + margin if first else 0, last * stride + margin if last < count else len(ids)
            tokens = np.arange(begin, end)
            owners = np.clip((tokens - margin) // stride, first, last - 1)
            losses[tokens] = found[owners - first, tokens - begins[owners]]
            progress(len(tokens))
    return losses


def bits_per_char(nats_per_token: float, tokens: int, characters: int) -> float:
    """Nats per token as bits per character of the text the tokens stand for."""
    return nats_per_token * tokens / max(1, characters) / math.log(2)


def _walk(
    model: CharLM,
    ids: NDArray[Any],
    context: NDArray[Any],
    streams: int,
    autocast: AbstractContextManager[Any] | None,
    take: Callable[[Tensor, Tensor, Tensor], None],
) -> None:
    """Give ``take`` the logits (S, T, V) and targets (S, T) of each window, and which of them are of the text."""
    # A stream shorter than its own warm-up would be mostly warm-up.
    streams = max(1, min(streams, len(ids) // BURN_IN))
    span = -(-len(ids) // streams)
    burn_in = 0 if streams == 1 and len(context) == 1 else BURN_IN
    text = np.concatenate((context[-burn_in - 1 :], ids))
    lead = len(text) - len(ids)
    # Stream k scores ids[k·span : (k+1)·span]; the place of the token before its first, in `text`:
    before = lead - 1 + span * np.arange(streams)
    device = next(model.parameters()).device
    state = None
    with _evaluating(model), torch.inference_mode():
        if burn_in:
            places = np.maximum(before[:, None] - burn_in + np.arange(burn_in), 0)
            with autocast or nullcontext():
                _, state = model(_tensor(text[places], device))
            # The first stream has only as much context as there is; when that is less, it starts cold.
            short = torch.from_numpy(before < burn_in).to(device)
            state = reset_rows(state, short)
        for begin in range(0, span, _WINDOW):
            places = before[:, None] + begin + np.arange(min(_WINDOW, span - begin) + 1)
            window = _tensor(text[np.minimum(places, len(text) - 1)], device)
            with autocast or nullcontext():
                logits, state = model(window[:, :-1], state)
            inside = torch.from_numpy(places[:, 1:] < np.minimum(before + 1 + span, len(text))[:, None]).to(device)
            take(logits.float(), window[:, 1:], inside)


def _losses(logits: Tensor, targets: Tensor) -> Tensor:
    """Of each token, (S, T)."""
    return functional.cross_entropy(logits.transpose(1, 2), targets, reduction="none")


class _evaluating:  # noqa: N801 - reads as a phrase
    """The model in evaluation mode for a while."""

    def __init__(self, model: nn.Module) -> None:
        self._model = model
        self._mode = model.training

    def __enter__(self) -> None:
        self._model.eval()

    def __exit__(self, *_: object) -> None:
        self._model.train(self._mode)


def _tensor(ids: NDArray[Any], device: torch.device) -> Tensor:
    return torch.from_numpy(ids.astype(np.int64)).to(device)
