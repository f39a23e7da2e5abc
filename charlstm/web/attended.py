"""A network that takes turns, and may have a bias."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from charlstm.engine.bidirectional import BidirectionalEngine
from charlstm.engine.protocol import Logits, TextModel, TokenIds
from charlstm.filling.readers import MaskedReader
from charlstm.web.turns import Job


class Attended:
    """A causal network that asks, before every step, whether the request may go on.

    Args:
        model: the network.
        job: the request.
        bias: added to all logits, (V,) float64; None adds nothing.
    """

    def __init__(self, model: TextModel, job: Job, bias: NDArray[np.float64] | None = None) -> None:
        self.vocab_size, self.tokenizer = model.vocab_size, model.tokenizer
        self.freeze, self.expand, self.select, self.join = model.freeze, model.expand, model.select, model.join
        self._model, self._job, self._bias = model, job, bias

    def step(self, tokens: TokenIds, state: Any) -> tuple[Logits, Any]:
        """See `Stepper`."""
        self._job.breathe()
        logits, after = self._model.step(tokens, state)
        return (logits if self._bias is None else logits + self._bias), after


class AttendedReader(MaskedReader):
    """The same of a network that reads both ways, as the search for blanks uses it.

    Args:
        engine: the network.
        job: the request.
    """

    def __init__(self, engine: BidirectionalEngine, job: Job) -> None:
        super().__init__(engine)
        self._job = job

    def predict(self, left: Any, right: tuple[int, ...], index: int) -> Logits:
        """See `Reader`."""
        self._job.breathe()
        return super().predict(left, right, index)
