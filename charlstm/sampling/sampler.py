"""Drawing text: prompt ids in, fragments of text out, several texts side by side. NumPy only, no torch."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial

import numpy as np

from charlstm.engine.protocol import TextModel
from charlstm.errors import UsageError
from charlstm.sampling import filters
from charlstm.sampling.config import SampleConfig
from charlstm.sampling.couplets import LINES, Couplets
from charlstm.sampling.fragments import Fragment as Fragment
from charlstm.sampling.fragments import Row
from charlstm.sampling.generate import Rows, check_drawable, generate, row_generators
from charlstm.sampling.guides import Guide
from charlstm.sampling.particles import draw_by_particles
from charlstm.sampling.position import Position, advance, freeze, join_rows, prefill
from charlstm.sampling.prompts import banned_ids, opening_ids
from charlstm.sampling.rules.rhymes import Rhymes
from charlstm.schemas import require
from charlstm.tokenizers import Ids

_SPARE = 64
"""Tokens in which a text comes by itself to where its guide lets it end, or else it is led there."""


def sample(
    model: TextModel,
    prompt_ids: Sequence[int] | Ids,
    config: SampleConfig,
    *,
    rows: int = 1,
    starts: Sequence[str] = (),
    guide: Guide | None = None,
    start: Position | None = None,
    particles: int = 1,
    rhymes: Rhymes | None = None,
    with_log_probabilities: bool = False,
    raw: bool = False,
) -> Iterator[Fragment]:
    """Continue a prompt with ``rows`` texts side by side, each token's text as soon as it is certain.

    The fragments of a row join to the text that its ids decode to, cut where the first stop rule is met. Row k is the
    same however many rows are drawn with it, up to the rounding of the backend's matrix products. The unknown symbol is
    never drawn. A row that has ended yields no more fragments. One whose length ends inside a character, or where its
    guide does not let it end, has some more tokens; one ends before its length where its guide allows no more.

    Args:
        model: the network and its tokenizer.
        prompt_ids: the ids to continue; if there are none, each row begins after `prompts.opening_ids`.
        config: filters, stop rules, seed.
        rows: how many texts.
        starts: where a text without a prompt begins: `checkpoint.writing.Writing.starts`.
        guide: the rule that the texts keep, after the prompt; None allows everything.
        start: the position after ``prompt_ids``, of one row, where it is known; None reads them.
        particles: with a guide, the number of texts of which each row becomes one, by `particles`; the rows are then
            drawn one after the other.
        rhymes: words that rhyme, to write in pairs of lines, by `couplets`, with ``particles`` lines to choose from, or
            32; then the rows are drawn one after the other, too. The network is one of characters.
        with_log_probabilities: whether to compute each token's log-probability, which costs time.
        raw: whether bytes that are not UTF-8 become surrogate escapes (PEP 383), which can be written as the original
            bytes, instead of U+FFFD.

    Returns:
        An iterator of fragments. Advancing it raises a `CheckpointError` if a logit is not finite.

    Raises:
        UsageError: ``rows`` is below 1, a prompt id is outside the vocabulary, or the vocabulary holds nothing but the
            unknown symbol.
    """
    require("rows", rows, rows >= 1, "1 or more")
    check_drawable(model.vocab_size, banned_ids(model.tokenizer))
    for token in (int(np.min(prompt_ids)), int(np.max(prompt_ids))) if len(prompt_ids) else ():
        if not 0 <= token < model.vocab_size:
            raise UsageError(f"token id {token} is not in the vocabulary of {model.vocab_size:,} tokens")
    new_rows = [partial(Row, row, model.tokenizer, config, raw=raw) for row in range(rows)]
    if rhymes is not None:
        couplets = Couplets(model, rhymes, config, particles if particles > 1 else LINES)
        return _in_couplets(couplets, model, prompt_ids, config, new_rows, starts, guide, start)
    if guide is None or particles == 1:
        return _side_by_side(model, prompt_ids, config, new_rows, starts, guide, start, with_log_probabilities)
    return _by_particles(model, prompt_ids, config, new_rows, starts, guide, start, particles, with_log_probabilities)


def in_order(fragments: Iterable[Fragment], rows: int) -> Iterator[Fragment]:
    """Reorder texts drawn side by side: the first row at once, each other row when all before it are complete.

    Args:
        fragments: as they are drawn.
        rows: the number of texts.

    Yields:
        The same fragments, row after row.
    """
    waiting: list[list[Fragment]] = [[] for _ in range(rows)]
    current = 0
    for fragment in fragments:
        waiting[fragment.row].append(fragment)
        while current < rows and waiting[current]:
            ready, waiting[current] = waiting[current], []
            yield from ready
            if not ready[-1].finish_reason:
                break
            current += 1


def preview(model: TextModel, length: int, config: SampleConfig, starts: Sequence[str] = ()) -> str:
    """Draw text without a prompt; always the same for the same weights.

    Args:
        model: the network and its tokenizer.
        length: characters of text.
        config: filters and seed; its length is not used.
        starts: as in `sample`.

    Returns:
        The text.
    """
    text = ""
    for fragment in sample(model, (), replace(config, length=0), starts=starts):
        text += fragment.text
        if len(text) >= length:
            break
    return text[:length]


def _side_by_side(
    model: TextModel,
    prompt_ids: Sequence[int] | Ids,
    config: SampleConfig,
    new_rows: Sequence[Callable[[], Row]],
    starts: Sequence[str],
    guide: Guide | None,
    start: Position | None,
    with_log_probabilities: bool,
) -> Iterator[Fragment]:
    rngs = row_generators(config.seed, len(new_rows))
    draws = generate(
        model, start or _start(model, prompt_ids, starts, rngs), replace(config, length=0), rngs,
        recent=prompt_ids, banned=banned_ids(model.tokenizer), guide=guide, end_after=_end_after(config),
    )  # fmt: skip
    open_rows = [new_row() for new_row in new_rows]
    not_computed = [math.nan] * len(new_rows)
    for draw in draws:
        nats, tokens, logits = not_computed, draw.ids.tolist(), draw.position.logits
        if with_log_probabilities:
            nats = filters.log_probabilities(logits, draw.ids).tolist()
        for row in tuple(open_rows):
            number = row.number
            may_end, over = (draw.guides[number].may_end(), draw.over[number]) if draw.guides else (True, False)
            fragment = row.push(tokens[number], nats[number], may_end=may_end, over=over)
            if fragment.finish_reason:
                open_rows.remove(row)
            yield fragment._replace(logits=logits[number])
        if not open_rows:
            return


def _by_particles(
    model: TextModel,
    prompt_ids: Sequence[int] | Ids,
    config: SampleConfig,
    new_rows: Sequence[Callable[[], Row]],
    starts: Sequence[str],
    guide: Guide,
    start: Position | None,
    particles: int,
    with_log_probabilities: bool,
) -> Iterator[Fragment]:
    for new_row, rng in zip(new_rows, row_generators(config.seed, len(new_rows)), strict=True):
        begin, banned = start or _start(model, prompt_ids, starts, [rng]), banned_ids(model.tokenizer)
        rows = Rows(model, begin, config, particles, recent=prompt_ids, banned=banned, guide=guide)
        fragments = draw_by_particles(rows, new_row, particles, rng, end_after=_end_after(config))
        yield from _read_again(model, begin, fragments) if with_log_probabilities else fragments


def _read_again(model: TextModel, position: Position, fragments: Iterable[Fragment]) -> Iterator[Fragment]:
    """Add to a text's fragments what the network thinks of them: cheaper than to compute that for all particles."""
    position = freeze(model, position)
    for fragment in fragments:
        ids, logits = np.array([fragment.token]), position.logits
        (nats,) = filters.log_probabilities(logits, ids).tolist()
        yield fragment._replace(log_probability=nats, logits=logits[0])
        if not fragment.finish_reason:
            position = advance(model, position, ids)


def _in_couplets(
    couplets: Couplets,
    model: TextModel,
    prompt_ids: Sequence[int] | Ids,
    config: SampleConfig,
    new_rows: Sequence[Callable[[], Row]],
    starts: Sequence[str],
    guide: Guide | None,
    start: Position | None,
) -> Iterator[Fragment]:
    column = len(model.tokenizer.decode(prompt_ids).rpartition("\n")[2])
    for new_row, rng in zip(new_rows, row_generators(config.seed, len(new_rows)), strict=True):
        begin = start or _start(model, prompt_ids, starts, [rng])
        yield from couplets.write(begin, new_row(), rng, recent=prompt_ids, column=column, guide=guide)


def _end_after(config: SampleConfig) -> int | None:
    """The tokens after which a guide leads a text to its end."""
    return config.length + _SPARE if config.length else None


def _start(
    model: TextModel, prompt_ids: Sequence[int] | Ids, starts: Sequence[str], rngs: Sequence[np.random.Generator]
) -> Position:
    """The position at which each row begins: after the prompt, or where such texts begin."""
    return prefill(model, prompt_ids) if len(prompt_ids) else _openings(model, starts, rngs)


def _openings(model: TextModel, starts: Sequence[str], rngs: Sequence[np.random.Generator]) -> Position:
    """The position at which each row begins without a prompt; equal ones are computed once."""
    chosen = [tuple(opening_ids(model.tokenizer, starts, rng)) for rng in rngs]
    positions = {ids: prefill(model, ids) for ids in dict.fromkeys(chosen)}
    return join_rows(model, [positions[ids] for ids in chosen])
