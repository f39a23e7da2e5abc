"""Scoring the validation text, and choosing the weights that do best on it."""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from charlstm.config import RunConfig
from charlstm.evaluation.calibration import calibrate
from charlstm.evaluation.loss import evaluate
from charlstm.evaluation.masked import evaluate_masked
from charlstm.evaluation.windows import STREAMS
from charlstm.nn.model import CharLM
from charlstm.training.optim.ema import WeightEMA
from charlstm.training.weight_variant import WeightVariant, use_weights

_CALIBRATED = 1000
"""Tokens of validation text below which no temperature is fitted."""


class Validation:
    """The validation text of a run.

    Args:
        run: all settings.
        ids: the validation tokens, (tokens,); may be empty.
        context: the training tokens before them, of which the last are read as context.
        autocast: gives the context in which to compute.
    """

    def __init__(
        self,
        run: RunConfig,
        ids: NDArray[Any],
        context: NDArray[Any],
        autocast: Callable[[], AbstractContextManager[Any]],
    ) -> None:
        self._run, self.ids, self._autocast = run, ids, autocast
        self._context = context[-STREAMS * 16 :]

    def choose(self, model: CharLM, ema: WeightEMA | None) -> tuple[WeightVariant, float]:
        """The better of last and averaged weights, at the temperature that fits them, and their loss.

        The first eighth of the text chooses; the loss is that of the whole text, in nats per token. It is not finite if
        training has diverged.

        Args:
            model: the network.
            ema: the averages of its weights, if there are any.
        """
        sample = self.ids[: max(1, len(self.ids) // 8)]
        kinds: tuple[Literal["last", "ema"], ...] = ("last",) if ema is None else ("ema", "last")
        scored = []
        for kind in kinds:
            with use_weights(WeightVariant(kind), model, ema):
                loss, temperature = self._calibrate(model, sample)
            scored.append((loss if math.isfinite(loss) else math.inf, WeightVariant(kind, temperature)))
        best = min(scored, key=lambda pair: pair[0])[1]
        with use_weights(best, model, ema):
            return best, self._loss(model, self.ids)

    def _calibrate(self, model: CharLM, ids: NDArray[Any]) -> tuple[float, float]:
        """The loss of a few tokens, and the temperature that fits them if they are enough to tell."""
        if self._run.model.bidirectional or len(ids) < _CALIBRATED:
            return self._loss(model, ids), 1.0
        return calibrate(model, ids, self._context, streams=STREAMS, autocast=self._autocast())

    def _loss(self, model: CharLM, ids: NDArray[np.integer[Any]]) -> float:
        if self._run.model.bidirectional:
            return evaluate_masked(model, ids, self._run.data.seq_len, self._autocast())
        return evaluate(model, ids, self._context, streams=STREAMS, autocast=self._autocast())
