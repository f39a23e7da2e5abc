"""Drawing whole records: names, tweets, recipes, each from the state before any text, no two of them alike."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from charlstm.checkpoint.known import KnownRecords
from charlstm.checkpoint.writing import Writing
from charlstm.engine.protocol import TextModel
from charlstm.sampling.config import SampleConfig
from charlstm.sampling.guides import Guide
from charlstm.sampling.prompts import prompt_ids
from charlstm.sampling.sampler import Fragment, in_order, sample
from charlstm.schemas import require, require_flag, require_whole

ROWS = 64
"""Records drawn side by side, at most."""
_TRIES = 20
"""Draws for each record wanted; a network may know fewer than are wanted."""


class Drawn(NamedTuple):
    """One whole record."""

    text: str
    """With its prompt, without its end."""
    is_new: bool
    """Whether it does not stand in the text that the network has read."""
    fragments: tuple[Fragment, ...]
    """What was drawn of it, token by token."""


def draw_records(
    model: TextModel,
    writing: Writing,
    known: KnownRecords,
    config: SampleConfig,
    count: int,
    *,
    prompt: str = "",
    new_only: bool = False,
    guide: Guide | None = None,
    particles: int = 1,
    with_log_probabilities: bool = False,
) -> Iterator[Drawn]:
    """Draw different records, each as soon as it and those before it are whole.

    What reaches the length without an end is left out: the length is that of the longest record to be drawn.

    Args:
        model: a network of records.
        writing: how it writes.
        known: the records it has read.
        config: filters, length and seed; a length of 0 is twice that of the longest record it has read.
        count: how many.
        prompt: how each begins, in characters of the alphabet.
        new_only: whether to leave out those that it has read.
        guide: the rule that all keep, after the prompt.
        particles: as in `sampler.sample`.
        with_log_probabilities: as in `sampler.sample`.

    Yields:
        At most ``count`` records; fewer if twenty draws for each were not enough.

    Raises:
        UsageError: ``count`` is below 1; and what `sampler.sample` raises.
    """
    require_whole("count", count)
    require("count", count, count >= 1, "1 or more")
    require_flag("new", new_only)
    ids = prompt_ids(model.tokenizer, prompt, writing.record)
    config = replace(config, length=config.length or 2 * max(1, writing.longest_record))
    if config.temperature == 0 or config.top_k == 1:
        count = 1  # all would be the same
    seeds = np.random.SeedSequence(config.seed)
    seen: set[str] = set()
    found = tries = 0
    while found < count and tries < _TRIES * count:
        rows = min(count, ROWS)
        seed = config.seed if not tries else int(seeds.spawn(1)[0].generate_state(1, np.uint64)[0])
        tries += rows
        fragments = sample(
            model,
            ids,
            replace(config, seed=seed),
            rows=rows,
            guide=guide,
            particles=particles,
            with_log_probabilities=with_log_probabilities,
        )
        for record in _whole(in_order(fragments, rows)):
            text = prompt + "".join(fragment.text for fragment in record)
            is_new = text not in known
            if text in seen or not text.strip() or (new_only and not is_new):
                continue
            seen.add(text)
            yield Drawn(text, is_new, record)
            found += 1
            if found == count:
                return


def _whole(fragments: Iterator[Fragment]) -> Iterator[tuple[Fragment, ...]]:
    """The rows that have an end, each as one."""
    row: list[Fragment] = []
    for fragment in fragments:
        row.append(fragment)
        if fragment.finish_reason:
            if fragment.finish_reason != "length":
                yield tuple(row)
            row = []
