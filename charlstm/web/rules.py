"""The rules that drawn text keeps."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

from charlstm.sampling.guides import Guide
from charlstm.sampling.rules.from_settings import Rules, RuleSettings
from charlstm.sampling.rules.rhymes import Rhymes
from charlstm.web.asks import Draws
from charlstm.web.models import Network
from charlstm.web.turns import Job

_KEPT = 8
"""Rules that are ready for the next request: an expression is compiled once, a training text read once."""
RULES = ("match", "starts", "max_line", "words", "no_copy", "rhyme", "particles")
"""Fields of a request."""


class Kept(NamedTuple):
    """The rules of a request, after its text, as `sampling.sampler.sample` takes them."""

    guide: Guide | None = None
    rhymes: Rhymes | None = None
    particles: int = 1

    @property
    def in_bursts(self) -> bool:
        """Whether many tokens come at once and then none for a while, so that each is to be sent as it comes."""
        return self.rhymes is not None or self.particles > 1


def settings_of(asked: Draws) -> RuleSettings:
    """The rules that a request asks for.

    Args:
        asked: the request.

    Raises:
        UsageError: one is out of range.
    """
    given = {name: getattr(asked, name) for name in RULES}
    return RuleSettings(**{name: value for name, value in given.items() if value is not None})


RuleBook = Callable[[Network, Draws, str, Job], Kept]


def rule_book() -> RuleBook:
    """The function that gives the rules of a request after its text; it remembers some."""
    ready, lock = lru_cache(_KEPT)(_rules), threading.Lock()

    def rules_of(network: Network, asked: Draws, text: str, job: Job) -> Kept:
        settings = settings_of(asked)
        if not settings.given:
            return Kept()
        record = network.writing.record
        begun = text.rpartition(record)[2] if record else text
        with job.holding(lock):
            rules = ready(network, settings)
            return Kept(rules.after(begun), rules.rhymes, rules.particles)

    return rules_of


def _rules(network: Network, settings: RuleSettings) -> Rules:
    record, ids = network.writing.record, network.training_ids
    return Rules(settings, network.model.tokenizer, own_words=network.words, record=record, training_ids=ids)
