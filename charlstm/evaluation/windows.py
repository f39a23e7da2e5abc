"""The windows in which a text is read to be scored."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from charlstm.nn.model import CharLM

BURN_IN = 256
_WINDOW = 256


def walk(
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
    with evaluating(model), torch.inference_mode():
        if burn_in:
            places = np.maximum(before[:, None] - burn_in + np.arange(burn_in), 0)
            with autocast or nullcontext():
                _, state = model(as_tensor(text[places], device))
            # The first stream has only as much context as there is; when that is less, it starts cold.
            short = torch.from_numpy(before < burn_in).to(device)
            state = state.reset(short)
        for begin in range(0, span, _WINDOW):
            places = before[:, None] + begin + np.arange(min(_WINDOW, span - begin) + 1)
            window = as_tensor(text[np.minimum(places, len(text) - 1)], device)
            with autocast or nullcontext():
                logits, state = model(window[:, :-1], state)
            inside = torch.from_numpy(places[:, 1:] < np.minimum(before + 1 + span, len(text))[:, None]).to(device)
            take(logits.float(), window[:, 1:], inside)


class evaluating:  # noqa: N801 - reads as a phrase
    """The model in evaluation mode for a while."""

    def __init__(self, model: nn.Module) -> None:
        self._model = model
        self._mode = model.training

    def __enter__(self) -> None:
        self._model.eval()

    def __exit__(self, *_: object) -> None:
        self._model.train(self._mode)


def as_tensor(ids: NDArray[Any], device: torch.device) -> Tensor:
    """Ids of any integer type as the 64-bit ones that torch embeds."""
    return torch.from_numpy(ids.astype(np.int64)).to(device)
