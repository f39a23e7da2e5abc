"""What a network is trained to predict, and so how it is trained, validated and scored.

Whoever trains, validates or scores asks `objective_of` for one and does not look at the network's kind.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from charlstm.config import RunConfig
from charlstm.corpora.records import terminator_ids
from charlstm.evaluation.calibration import calibrate
from charlstm.evaluation.loss import causal_losses, evaluate
from charlstm.evaluation.masked import evaluate_masked, pseudo_losses
from charlstm.evaluation.records import measure_records
from charlstm.evaluation.score import Losses
from charlstm.evaluation.windows import STREAMS, ReadWindows, measure_windows
from charlstm.nn.masking import mask_spans
from charlstm.nn.model import CharLM
from charlstm.tokenizers import Tokenizer

Autocast = AbstractContextManager[Any]
"""The context to compute in, which sets the precision."""

_CALIBRATED = 1000
"""Tokens of validation text below which no temperature is fitted."""


class Objective(Protocol):
    """What a network is trained to predict.

    Attributes:
        has_order: whether losses add up to the length of a code, read in the text's order.
    """

    has_order: bool

    def example(self, ids: NDArray[np.int64], key: tuple[int, ...]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """What a window trains on.

        Args:
            ids: the tokens of some windows and the one after each, (B, T + 1).
            key: of the batch: what is random depends on nothing else.

        Returns:
            Inputs and targets, both (B, T).
        """

    def validate(self, model: CharLM, ids: NDArray[Any], context: NDArray[Any], autocast: Autocast) -> float:
        """The mean loss of a text in nats per token; not finite where the network's is not.

        Args:
            model: the network, on its device.
            ids: the text, (tokens,), at least one.
            context: the tokens before it, (tokens,), at least one.
            autocast: the context to compute in.
        """

    def calibrate(
        self, model: CharLM, ids: NDArray[Any], context: NDArray[Any], autocast: Autocast
    ) -> tuple[float, float]:
        """The loss as `validate` gives it, and the temperature at which it would be lowest; 1 where none is fitted.

        Args:
            model: as `validate`.
            ids: as `validate`.
            context: as `validate`.
            autocast: as `validate`.
        """

    def losses(
        self, model: CharLM, ids: NDArray[Any], context: NDArray[Any], autocast: Autocast, streams: int
    ) -> Losses:
        """The loss of every token of a text.

        Args:
            model: as `validate`.
            ids: as `validate`.
            context: as `validate`.
            autocast: as `validate`.
            streams: how many parts the text is cut into, to be read side by side.
        """


class Causal:
    """Each token from all those before it.

    Args:
        windows: how a text is read.
    """

    has_order = True

    def __init__(self, windows: ReadWindows = measure_windows) -> None:
        self._windows = windows

    def example(self, ids: NDArray[np.int64], key: tuple[int, ...]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """See `Objective`."""
        return ids[:, :-1], ids[:, 1:]

    def validate(self, model: CharLM, ids: NDArray[Any], context: NDArray[Any], autocast: Autocast) -> float:
        """See `Objective`."""
        return evaluate(model, ids, context, streams=STREAMS, autocast=autocast, windows=self._windows)

    def calibrate(
        self, model: CharLM, ids: NDArray[Any], context: NDArray[Any], autocast: Autocast
    ) -> tuple[float, float]:
        """See `Objective`."""
        if len(ids) < _CALIBRATED:
            return self.validate(model, ids, context, autocast), 1.0
        return calibrate(model, ids, context, streams=STREAMS, autocast=autocast, windows=self._windows)

    def losses(
        self, model: CharLM, ids: NDArray[Any], context: NDArray[Any], autocast: Autocast, streams: int
    ) -> Losses:
        """See `Objective`."""
        return causal_losses(model, ids, context, streams=streams, autocast=autocast, windows=self._windows)


class Records(Causal):
    """Each token of a record from those before it in the same record.

    Args:
        terminator: the tokens that end each record.

    Attributes:
        terminator: the same.
    """

    def __init__(self, terminator: tuple[int, ...]) -> None:
        super().__init__(partial(measure_records, terminator=terminator))
        self.terminator = terminator


@dataclass(frozen=True)
class Masked:
    """Masked tokens from those on both sides, of a bidirectional network.

    Attributes:
        mask_id: the id that stands where a token is masked.
        seq_len: tokens of a window: how far the network sees.
    """

    mask_id: int
    seq_len: int
    has_order = False

    def example(self, ids: NDArray[np.int64], key: tuple[int, ...]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """See `Objective`: each token is its own target, and some inputs are masked."""
        targets = ids[:, :-1]
        masked = mask_spans(np.random.default_rng((*key, 1)), *targets.shape)
        return np.where(masked, self.mask_id, targets), targets

    def validate(self, model: CharLM, ids: NDArray[Any], context: NDArray[Any], autocast: Autocast) -> float:
        """See `Objective`; the context is not read."""
        return evaluate_masked(model, ids, self.seq_len, autocast)

    def calibrate(
        self, model: CharLM, ids: NDArray[Any], context: NDArray[Any], autocast: Autocast
    ) -> tuple[float, float]:
        """See `Objective`; no temperature is fitted."""
        return self.validate(model, ids, context, autocast), 1.0

    def losses(
        self, model: CharLM, ids: NDArray[Any], context: NDArray[Any], autocast: Autocast, streams: int
    ) -> Losses:
        """See `Objective`; windows overlap, whatever the streams, and the context is not read."""
        return pseudo_losses(model, ids, self.seq_len, autocast)


def objective_of(run: RunConfig, tokenizer: Tokenizer) -> Objective:
    """What the network of a run predicts.

    Args:
        run: all settings.
        tokenizer: of its text.

    Returns:
        The objective.
    """
    if run.model.bidirectional:
        return Masked(run.model.vocab_size, run.data.seq_len)
    if run.data.lists_records:
        return Records(terminator_ids(run.data.records, tokenizer))
    return Causal()
