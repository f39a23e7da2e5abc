"""The rules that drawn text keeps."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import lru_cache

from charlstm.sampling.guides import Guide
from charlstm.sampling.rules.from_settings import Rules, RuleSettings
from charlstm.web.asks import Draws
from charlstm.web.models import Network
from charlstm.web.turns import Job

_KEPT = 8
"""Rules that are ready for the next request: an expression is compiled once, a training text read once."""


def rule_book() -> Callable[[Network, Draws, str, Job], Guide | None]:
    """The function that gives the guide of a request after its text, None without a rule; it remembers some rules."""
    ready, lock = lru_cache(_KEPT)(_rules), threading.Lock()

    def guide_of(network: Network, asked: Draws, text: str, job: Job) -> Guide | None:
        given = {name: getattr(asked, name) for name in ("match", "starts", "max_line", "words", "no_copy")}
        settings = RuleSettings(**{name: value for name, value in given.items() if value is not None})
        if not settings.given:
            return None
        record = network.writing.record
        begun = text.rpartition(record)[2] if record else text
        with job.holding(lock):
            return ready(network, settings).after(begun)

    return guide_of


def _rules(network: Network, settings: RuleSettings) -> Rules:
    record, ids = network.writing.record, network.training_ids
    return Rules(settings, network.model.tokenizer, own_words=network.words, record=record, training_ids=ids)
