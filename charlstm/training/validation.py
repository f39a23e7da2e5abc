"""Scores the validation text, and chooses the best weights on it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Literal

from numpy.typing import NDArray

from charlstm.evaluation.objective import Objective
from charlstm.evaluation.windows import STREAMS
from charlstm.nn.model import CharLM
from charlstm.training.optim.ema import WeightEMA
from charlstm.training.weight_variant import WeightVariant, use_weights


class _GivenUp(Exception):  # noqa: N818 - not an error
    """An evaluation was stopped before its end."""


@contextmanager
def _stoppable(model: CharLM, stop: Callable[[], bool]) -> Iterator[None]:
    """Raise `_GivenUp` from the first forward pass in this block before which ``stop`` returns True."""

    def check(*_: object) -> None:
        if stop():
            raise _GivenUp

    hook = model.register_forward_pre_hook(check)
    try:
        yield
    finally:
        hook.remove()


class Validation:
    """The validation text of a run.

    Args:
        objective: what the network predicts.
        ids: the validation tokens, (tokens,); may be empty.
        context: the training tokens before them; the last of them serve as context.
        autocast: returns the autocast context to compute in.
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

    def choose(
        self, model: CharLM, ema: WeightEMA | None, stop: Callable[[], bool] = lambda: False
    ) -> tuple[WeightVariant, float] | None:
        """Choose between the last weights and their average, each at its best temperature.

        The choice is made on the first eighth of the text.

        Args:
            model: the network.
            ema: the moving average of its weights, or None without one.
            stop: called before every window; when it returns True, the evaluation is given up.

        Returns:
            The better variant and its loss on the whole text in nats per token, which is not finite if training has
            diverged; None if the evaluation was given up.
        """
        try:
            with _stoppable(model, stop):
                return self._choose(model, ema)
        except _GivenUp:
            return None

    def _choose(self, model: CharLM, ema: WeightEMA | None) -> tuple[WeightVariant, float]:
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
