"""Scoring the validation text, and choosing the weights that do best on it."""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, Literal

from numpy.typing import NDArray

from charlstm.evaluation.objective import Objective
from charlstm.evaluation.windows import STREAMS
from charlstm.nn.model import CharLM
from charlstm.training.optim.ema import WeightEMA
from charlstm.training.weight_variant import WeightVariant, use_weights


class Validation:
    """The validation text of a run.

    Args:
        objective: what the network predicts.
        ids: the validation tokens, (tokens,); may be empty.
        context: the training tokens before them, of which the last are read as context.
        autocast: gives the context in which to compute.
    """

    def __init__(
        self,
        objective: Objective,
        ids: NDArray[Any],
        context: NDArray[Any],
        autocast: Callable[[], AbstractContextManager[Any]],
    ) -> None:
        self._objective, self.ids, self._autocast = objective, ids, autocast
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
                loss, temperature = self._objective.calibrate(model, sample, self._context, self._autocast())
            scored.append((loss if math.isfinite(loss) else math.inf, WeightVariant(kind, temperature)))
        best = min(scored, key=lambda pair: pair[0])[1]
        with use_weights(best, model, ema):
            return best, self._objective.validate(model, self.ids, self._context, self._autocast())
