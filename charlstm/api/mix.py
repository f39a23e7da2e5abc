"""Several networks that write together."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from pathlib import Path

import numpy as np

from charlstm.api.arguments import require_text, suggest_names
from charlstm.api.load import load
from charlstm.api.model import Model
from charlstm.api.reading import ranked
from charlstm.api.text_writer import TextWriter
from charlstm.checkpoint.store import ROOT
from charlstm.checkpoint.writing import Writing
from charlstm.engine.mix import MixedEngine
from charlstm.evaluation.score import EncodedText, Method, Score, score_tokens
from charlstm.evaluation.stepping import stepped_losses
from charlstm.sampling.position import prefill
from charlstm.sampling.prompts import Unknown, bos_ids, prompt_ids
from charlstm.sampling.rules.from_settings import Rules, RuleSettings
from charlstm.schemas import require, require_number, require_whole


@suggest_names
def mix(*models: Model | str | Path, weights: Sequence[float] | None = None, root: str | Path = ROOT) -> Mix:
    """Let several networks write together: at every token their predictions are mixed, each as its weight says.

    Args:
        models: the networks, or whatever `load` takes for one: at least one.
        weights: one for each, 0 or more, not all 0; None gives all the same.
        root: the folder of runs.

    Returns:
        The mix.

    Raises:
        NotFoundError: there is no such model.
        CheckpointError: a file cannot be used, or a network is bidirectional.
        UsageError: they cannot be mixed with each other, or the weights are out of range.
    """
    loaded = [model if isinstance(model, Model) else load(model, root=root) for model in models]
    return Mix(loaded, [1.0] * len(loaded) if weights is None else weights)


class Mix(TextWriter):
    """Several networks that write together. Threads may share it: nothing in it changes.

    Args:
        models: the networks, at least one.
        weights: one for each, 0 or more, not all 0.

    Attributes:
        models: the networks.
        engine: all of them as one, to step it yourself.
        tokenizer: text to ids of the mix, and back.
    """

    def __init__(self, models: Sequence[Model], weights: Sequence[float]) -> None:
        self.models = tuple(models)
        self.engine = MixedEngine([(model.writer, 1.0) for model in models]).weighted(_checked(weights))
        self.tokenizer = self.engine.tokenizer

    def __repr__(self) -> str:
        parts = (f"{weight:.3g} {model.config.name}" for model, weight in zip(self.models, self.weights, strict=True))
        return f"<charlstm.Mix: {' + '.join(parts)}>"

    @property
    def writer(self) -> MixedEngine:
        """All of them as one, `engine`."""
        return self.engine

    @property
    def weights(self) -> tuple[float, ...]:
        """The weight of each network; they add up to 1."""
        return self.engine.weights

    def weighted(self, *weights: float) -> Mix:
        """The same networks with other weights.

        Args:
            weights: one for each network.

        Raises:
            UsageError: there are more or fewer, or they are out of range.
        """
        other = copy(self)
        other.engine = self.engine.weighted(_checked(weights))
        return other

    @property
    def writing(self) -> Writing:
        """How they write unless told otherwise: as the one with the largest weight does."""
        several = [model.checkpoint.writing for model in self.models]
        return Writing.mixed(list(zip(several, self.weights, strict=True)))

    @suggest_names
    def next(self, text: str = "", *, top: int = 5, unknown: Unknown = "error") -> list[tuple[str, float]]:
        """See `Model.next`."""
        require_whole("top", top)
        require("top", top, top >= 1, "1 or more")
        ids = prompt_ids(self.tokenizer, self._known(text, unknown, "text"), self.writing.record)
        position = prefill(self.engine, ids if len(ids) else bos_ids(self.tokenizer))
        return list(ranked(position.logits[0], self.tokenizer)[:top])

    @suggest_names
    def score(self, text: str) -> Score:
        """Score a text token by token, the first as the first of any text.

        Args:
            text: at least one character, all of them known to one of the networks. It is read in order, a few
                thousand characters a second.

        Returns:
            The loss of each token, and the figures that follow from them.

        Raises:
            UnknownCharacter: the text has a character that no network knows.
            UsageError: the text is empty.
        """
        require_text("text", text)
        encoded = EncodedText.of(text, self.tokenizer)
        losses = stepped_losses(self.engine, encoded.ids, np.array(bos_ids(self.tokenizer)))
        return score_tokens(losses, encoded, self.tokenizer, Method())

    def _rules(self, settings: RuleSettings, source: str | tuple[str, ...]) -> Rules:
        several = [model.checkpoint.words for model in self.models]
        words = set().union(*several) if all(several) else ()
        return Rules(settings, self.tokenizer, own_words=words, record=self.writing.record)


def _checked(weights: Sequence[float]) -> Sequence[float]:
    require("weights", weights, isinstance(weights, (Sequence, np.ndarray)), "a number for each network, in a list")
    for weight in weights:
        require_number("weights", weight)
    return weights
