"""Drawing text: prompt ids in, fragments of text out, several texts side by side. NumPy only, no torch."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from charlstm.engine.protocol import Logits, TextModel
from charlstm.errors import UsageError
from charlstm.sampling import filters
from charlstm.sampling.config import SampleConfig, require
from charlstm.sampling.generate import check_drawable, generate, row_generators
from charlstm.sampling.guides import Guide
from charlstm.sampling.position import Position, join_rows, prefill
from charlstm.sampling.prompts import banned_ids, opening_ids
from charlstm.sampling.stopping import FinishReason, StopRules
from charlstm.tokenizers import Decoder, Ids, Tokenizer
from charlstm.tokenizers.byte import Utf8Decoder

_SPARE = 3
"""Tokens that may complete a character: in UTF-8 it has at most four bytes."""
_SPARE_GUIDED = 64
"""Tokens that may complete what a guide does not let end, such as a word."""


class Fragment(NamedTuple):
    """What one token adds to one row."""

    row: int
    text: str
    """The text that is certain now: often one character, sometimes none."""
    token: int
    """The id drawn."""
    log_probability: float
    """In nats, under the network itself: at temperature 1 and before all filters. NaN unless requested."""
    finish_reason: FinishReason | None
    """Why the row ends with this token; None while it goes on."""
    logits: Logits = np.empty(0)
    """(V,), those of the network that the token was drawn from, before all filters."""


def sample(
    model: TextModel,
    prompt_ids: Sequence[int] | Ids,
    config: SampleConfig,
    *,
    rows: int = 1,
    starts: Sequence[str] = (),
    guide: Guide | None = None,
    start: Position | None = None,
    with_log_probabilities: bool = False,
    raw: bool = False,
) -> Iterator[Fragment]:
    """Continue a prompt with ``rows`` texts side by side, each token's text as soon as it is certain.

    The fragments of a row join to the text that its ids decode to, cut where the first stop rule is met. Row k is the
    same however many rows are drawn with it, up to the rounding of the backend's matrix products. The unknown symbol is
    never drawn. A row that has ended yields no more fragments. One whose length ends inside a character, or where its
    guide does not let it end, has a few more tokens.

    Args:
        model: the network and its tokenizer.
        prompt_ids: the ids to continue; if there are none, each row begins after `prompts.opening_ids`.
        config: filters, stop rules, seed.
        rows: how many texts.
        starts: where a text without a prompt begins: `checkpoint.writing.Writing.starts`.
        guide: the rule that the texts keep, after the prompt; None allows everything.
        start: the position after ``prompt_ids``, of one row, where it is known; None reads them.
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
    return _sample(model, prompt_ids, config, rows, starts, guide, start, with_log_probabilities, raw)


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


def _sample(
    model: TextModel,
    prompt_ids: Sequence[int] | Ids,
    config: SampleConfig,
    rows: int,
    starts: Sequence[str],
    guide: Guide | None,
    start: Position | None,
    with_log_probabilities: bool,
    raw: bool,
) -> Iterator[Fragment]:
    tokenizer = model.tokenizer
    rngs = row_generators(config.seed, rows)
    if start is None:
        start = prefill(model, prompt_ids) if len(prompt_ids) else _openings(model, starts, rngs)
    spare = 0 if raw else _SPARE if guide is None else _SPARE_GUIDED
    drawing = replace(config, length=config.length + spare) if config.length else config
    draws = generate(model, start, drawing, rngs, recent=prompt_ids, banned=banned_ids(tokenizer), guide=guide)
    rules = (config.stop, config.lines, config.stop_after)
    open_rows = [_Row(row, _decoder(tokenizer, raw), StopRules(*rules)) for row in range(rows)]
    length = config.length or math.inf
    not_computed = [math.nan] * rows
    for count, draw in enumerate(draws, 1):
        nats, tokens, logits = not_computed, draw.ids.tolist(), draw.position.logits
        if with_log_probabilities:
            nats = filters.log_probabilities(logits, draw.ids).tolist()
        for row in tuple(open_rows):
            may_end = not draw.guides or draw.guides[row.number].may_end()
            number, token = row.number, tokens[row.number]
            text, finish_reason = row.push(token, length - count, spare, may_end)
            if finish_reason:
                open_rows.remove(row)
            yield Fragment(number, text, token, nats[number], finish_reason, logits[number])
        if not open_rows:
            return


def _openings(model: TextModel, starts: Sequence[str], rngs: Sequence[np.random.Generator]) -> Position:
    """The position at which each row begins without a prompt; equal ones are computed once."""
    chosen = [tuple(opening_ids(model.tokenizer, starts, rng)) for rng in rngs]
    positions = {ids: prefill(model, ids) for ids in dict.fromkeys(chosen)}
    return join_rows(model, [positions[ids] for ids in chosen])


class _Row(NamedTuple):
    """One of several texts while it is drawn."""

    number: int
    decoder: Decoder
    rules: StopRules

    def push(self, token: int, left: float, spare: int, may_end: bool) -> tuple[str, FinishReason | None]:
        """Add a token.

        Args:
            token: its id.
            left: tokens left to draw after it.
            spare: how many more may follow where the text cannot end.
            may_end: whether a guide lets it end here.

        Returns:
            The text that is now certain, and why the row ends if it does.
        """
        text = self.rules.push(self.decoder.push(token))
        complete = may_end and not self.decoder.pending
        over = left <= 0 and (complete or left <= -spare)
        if over and not self.rules.finish_reason:
            text += self.rules.push(self.decoder.flush()) + self.rules.flush()
            return text, self.rules.finish_reason or "length"
        return text, self.rules.finish_reason


def _decoder(tokenizer: Tokenizer, raw: bool) -> Decoder:
    return Utf8Decoder(tokenizer, "surrogateescape") if raw else tokenizer.decoder()
