"""Scores the validation text, and chooses the best weights on it."""

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

_MIN_CALIBRATION_TOKENS = 1000
"""With fewer tokens of validation text no temperature is fitted."""


class Validation:
    """The validation text of a run.

    Args:
        run: all settings.
        ids: the validation tokens, (tokens,); may be empty.
        context: the training tokens before them; the last of them serve as context.
        autocast: returns the autocast context to compute in.
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
        """Choose between the last weights and their average, each at its best temperature.

        The choice is made on the first eighth of the text.

        Args:
            model: the network.
            ema: the moving average of its weights, or None without one.

        Returns:
            The better variant and its loss on the whole text in nats per token, which is not finite if training has
            diverged.
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
        """Return the loss and the best temperature on some tokens; 1 if they are too few to fit a temperature."""
        if self._run.model.bidirectional or len(ids) < _MIN_CALIBRATION_TOKENS:
            return self._loss(model, ids), 1.0
        return calibrate(model, ids, self._context, streams=STREAMS, autocast=self._autocast())

    def _loss(self, model: CharLM, ids: NDArray[np.integer[Any]]) -> float:
        if self._run.model.bidirectional:
            return evaluate_masked(model, ids, self._run.data.seq_len, self._autocast())
        return evaluate(model, ids, self._context, streams=STREAMS, autocast=self._autocast())
