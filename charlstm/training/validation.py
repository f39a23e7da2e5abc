"""Scores the validation text, and chooses the best weights on it."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Literal, NamedTuple

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


_FEWEST = 4096
"""Tokens that are scored even if there is no time."""


class Choice(NamedTuple):
    """The better of two variants of the weights."""

    variant: WeightVariant
    loss: float
    """On as many tokens, in nats per token; not finite if training has diverged."""
    tokens: int
    """Tokens of the validation text that were scored."""


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
        self,
        model: CharLM,
        ema: WeightEMA | None,
        stop: Callable[[], bool] = lambda: False,
        *,
        tokens: int = 0,
        seconds: float = math.inf,
    ) -> Choice | None:
        """Choose between the last weights and their average, each at its best temperature.

        The choice is made on the first eighth of the text; the time that takes tells how much can be scored.

        Args:
            model: the network.
            ema: the moving average of its weights, or None without one.
            stop: called before every window; when it returns True, the evaluation is given up.
            tokens: how much of the text to score, from its beginning; 0 is as much as there is time for.
            seconds: the time for that.

        Returns:
            The better variant; None if the evaluation was given up.
        """
        try:
            with _stoppable(model, stop):
                return self._choose(model, ema, tokens, seconds)
        except _GivenUp:
            return None

    def _choose(self, model: CharLM, ema: WeightEMA | None, tokens: int, seconds: float) -> Choice:
        begin = time.perf_counter()
        sample = self.ids[: max(1, (tokens or len(self.ids)) // 8)]
        kinds: tuple[Literal["last", "ema"], ...] = ("last",) if ema is None else ("ema", "last")
        scored = []
        for kind in kinds:
            with use_weights(WeightVariant(kind), model, ema):
                loss, temperature = self._objective.calibrate(model, sample, self._context, self._autocast())
            scored.append((loss if math.isfinite(loss) else math.inf, WeightVariant(kind, temperature)))
        best = min(scored, key=lambda pair: pair[0])[1]
        if not tokens:
            rate = len(kinds) * len(sample) / max(time.perf_counter() - begin, 1e-6)
            tokens = min(len(self.ids), max(_FEWEST, int(min(rate * seconds, len(self.ids)))))
        with use_weights(best, model, ema):
            loss = self._objective.validate(model, self.ids[:tokens], self._context, self._autocast())
        return Choice(best, loss, tokens)
