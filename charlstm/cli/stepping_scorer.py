"""A text scored by what writes, one token after the other, with a progress bar."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from charlstm.cli.views.progress import progress_bar
from charlstm.evaluation.score import EncodedText, Losses, Method, Score, ScoreSummary, score_tokens, summarize
from charlstm.evaluation.stepping import stepped_losses
from charlstm.sampling.prompts import bos_ids

if TYPE_CHECKING:
    from charlstm.cli.load_model import Writer


class SteppingScorer:
    """A network, or several together, and a text.

    Args:
        loaded: the network, or networks.
        text: encoded with their tokenizer.
    """

    def __init__(self, loaded: Writer, text: EncodedText) -> None:
        self._loaded, self._text = loaded, text
        self._method = Method(precision=loaded.precision)

    @property
    def description(self) -> str:
        """One line: the network, and how it scored."""
        return f"{self._loaded.name}: in order, in {self._method.precision}" + " (exact)" * self._method.exact

    def trained(self, *, by_token: bool) -> Score | ScoreSummary:
        """The score; ``by_token`` stores the loss of each token."""
        model = self._loaded.model
        with progress_bar("scoring", "tokens") as progress:
            losses = _counted(
                stepped_losses(model, self._text.ids, np.array(bos_ids(model.tokenizer))),
                lambda done: progress(done, len(self._text.ids)),
            )
            if by_token:
                return score_tokens(losses, self._text, model.tokenizer, self._method)
            return summarize(losses, self._text, self._method)


def _counted(losses: Losses, progress: Callable[[int], object]) -> Losses:
    """The same losses; ``progress`` is called with the number of those that are done."""
    done = 0
    for positions, values in losses:
        yield positions, values
        done += len(positions)
        progress(done)
