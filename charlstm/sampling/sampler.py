"""One sampler for every backend: a network that steps, filters, a draw, stop rules, text. NumPy only, no torch.

Randomness enters only through a seed or generators. The recurrent state is a value: `Position` keeps it, and any
position can be gone on from any number of times.

Shapes: B rows drawn side by side, V the vocabulary.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from numbers import Integral
from typing import Literal, NamedTuple

import numpy as np

from charlstm.engine.protocol import Logits, Stepper, TextModel, TokenIds
from charlstm.errors import UsageError
from charlstm.sampling import filters
from charlstm.sampling.position import Position, advance, read
from charlstm.sampling.prompts import opening
from charlstm.sampling.stopping import Ending, StopRules
from charlstm.tokenizers import Decoder, Ids, Tokenizer
from charlstm.tokenizers.byte import Utf8Decoder

RECENT = 64
"""How many of the last ids the repetition penalty looks at."""


@dataclass(frozen=True)
class SampleConfig:
    """How text is drawn, and when it ends: at the first of length, stop text and lines that is reached.

    Not a pydantic model like the settings of a run: importing those takes half of what a first character may take.

    Raises:
        UsageError: a value outside its range.
    """

    length: int = 500
    """Tokens to draw; 0 never ends."""
    temperature: float = 0.8
    """Logits are divided by it; 0 always takes the likeliest token."""
    top_k: int = 0
    """Only the k likeliest tokens; 0 is off."""
    top_p: float = 1.0
    """Only the likeliest tokens that together reach this probability; 1 is off."""
    min_p: float = 0.0
    """Only tokens at least this share as likely as the likeliest; 0 is off."""
    repetition_penalty: float = 1.0
    """Tokens of the last 64 have their logits divided by it when positive, multiplied when negative; 1 is off."""
    stop: str | tuple[str, ...] = ()
    """Texts, or one, at which drawing ends; they are looked for in the drawn text only, and are not given out."""
    lines: int = 0
    """Line ends to draw; the last one is given out. 0 does not count them."""
    seed: int | None = None
    """The seed of the draw; None takes fresh entropy."""

    def __post_init__(self) -> None:
        if isinstance(self.stop, str):  # else each of its characters would end the text
            object.__setattr__(self, "stop", (self.stop,))
        for name in ("length", "top_k", "lines", "seed"):
            value = getattr(self, name)
            if not (isinstance(value, Integral) or (name == "seed" and value is None)):
                raise UsageError(f"{name.replace('_', '-')} = {value!r}: must be a whole number")
        ranges = {
            "length": (self.length >= 0, "0 (endless) or more"),
            "temperature": (0 <= self.temperature < math.inf, "0 (always the likeliest) or more"),
            "top-k": (self.top_k >= 0, "0 (off) or more"),
            "top-p": (0 < self.top_p <= 1, "above 0 and at most 1 (off)"),
            "min-p": (0 <= self.min_p <= 1, "between 0 (off) and 1"),
            "repetition-penalty": (0 < self.repetition_penalty < math.inf, "above 0; 1 is off"),
            "stop": (all(self.stop), "a text of at least one character"),
            "lines": (self.lines >= 0, "0 (not counted) or more"),
            "seed": (self.seed is None or self.seed >= 0, "0 or more"),
        }
        for name, (fits, rule) in ranges.items():
            if not fits:
                value = "" if name == "stop" else getattr(self, name.replace("-", "_"))
                raise UsageError(f"{name} = {value!r}: must be {rule}")


class Draw(NamedTuple):
    """One token a row."""

    ids: TokenIds
    """(B,)"""
    position: Position
    """Where they were drawn: the network has not read them yet."""


def generators(seed: int | None, rows: int, branch: tuple[int, ...] = ()) -> list[np.random.Generator]:
    """One generator a row, row k's the same however many rows there are; seed None takes fresh entropy.

    Args:
        seed: of everything drawn.
        rows: how many generators.
        branch: numbers that tell apart what is drawn with the same seed.
    """
    return [np.random.default_rng(child) for child in np.random.SeedSequence(seed, spawn_key=branch).spawn(rows)]


def filtered(logits: Logits, config: SampleConfig, recent: TokenIds, banned: Sequence[int]) -> Logits:
    """All filters that are on, in this order: ban, repetition penalty, temperature, top-k, top-p, min-p.

    Args:
        logits: (B, V) of the network.
        config: which filters are on.
        recent: the last ids of each row, (B, up to 64), in any order.
        banned: ids that are never drawn.
    """
    if banned:
        logits = filters.ban(logits, banned)
    if config.repetition_penalty != 1:
        logits = filters.repetition_penalty(logits, recent, config.repetition_penalty)
    if config.temperature != 1:
        logits = filters.temperature(logits, config.temperature)
    if 0 < config.top_k < logits.shape[1]:
        logits = filters.top_k(logits, config.top_k)
    if config.top_p < 1:
        logits = filters.top_p(logits, config.top_p)
    if config.min_p > 0:
        logits = filters.min_p(logits, config.min_p)
    return logits


def generate(
    stepper: Stepper,
    start: Position,
    config: SampleConfig,
    rows: Sequence[np.random.Generator],
    *,
    recent: Sequence[int] | Ids = (),
    banned: Sequence[int] = (),
) -> Iterator[Draw]:
    """Draw on from a position: ``config.length`` tokens a row, or without end; stop texts and lines are not seen here.

    The network reads a draw only when the next one is asked for, so stopping early wastes no step.

    Args:
        stepper: the network.
        start: a position of one row, from `read`.
        config: filters and length.
        rows: one generator a row; their number is the number of rows.
        recent: the ids before ``start``, for the repetition penalty.
        banned: ids never drawn, such as the unknown symbol.

    Raises:
        CheckpointError: the network gave a number that is not finite.
        UsageError: every token is banned.
    """
    if len(set(banned)) >= stepper.vocab_size:
        raise UsageError("every token is banned, so nothing can be drawn")
    position = start
    if len(rows) > 1:
        position = Position(start.logits.repeat(len(rows), axis=0), stepper.expand(start.state, len(rows)))
    past = np.empty((len(rows), RECENT), np.int64)  # a ring: the order of the recent ids does not matter
    filled = len(recent[-RECENT:])
    past[:, :filled] = np.asarray(recent[-RECENT:])
    remembers = config.repetition_penalty != 1  # else nobody asks, and keeping it takes time
    for count in itertools.count(1):
        ids = filters.draw(filtered(position.logits, config, past[:, :filled], banned), rows)
        yield Draw(ids, position)
        if count == config.length:
            return
        if remembers:
            past[:, filled % RECENT] = ids
            filled += 1
        position = advance(stepper, position, ids)


# ---- text -------------------------------------------------------------------------------------------------------


class Fragment(NamedTuple):
    """What one token adds to one row."""

    row: int
    text: str
    """What can be given out now: often one character, sometimes none."""
    token: int
    """The id drawn."""
    log_probability: float
    """Nats, by the network itself: at temperature 1 and before all filters. NaN unless asked for."""
    ending: Ending | Literal["length"]
    """Why the row ends with this token; empty while it goes on."""


def sample(
    model: TextModel,
    prompt_ids: Sequence[int] | Ids,
    config: SampleConfig,
    *,
    rows: int = 1,
    with_log_probabilities: bool = False,
    raw: bool = False,
) -> Iterator[Fragment]:
    """Write on after a prompt, ``rows`` texts side by side, and give each token's text out as soon as it is whole.

    Joined, a row's fragments are what the tokenizer decodes from its ids, cut where the first stop rule is met. Row k
    is the same however many rows are drawn with it, up to the rounding of the backend's matrix products. The unknown
    symbol is never drawn. A row that has ended is not given out any more.

    Args:
        model: the network and its tokenizer.
        prompt_ids: the ids to go on from; for none of them, `prompts.opening` is read instead.
        config: filters, stop rules, seed.
        rows: texts to draw.
        with_log_probabilities: whether each token's log-probability is wanted; it costs time.
        raw: whether bytes that are no UTF-8 come as surrogate escapes (PEP 383), which can be written as the bytes
            they were, instead of U+FFFD.

    Raises:
        CheckpointError: the network gave a number that is not finite.
        UsageError: the vocabulary has nothing but the unknown symbol.
    """
    tokenizer = model.tokenizer
    banned = () if tokenizer.unknown_id is None else (tokenizer.unknown_id,)
    start = read(model, prompt_ids if len(prompt_ids) else opening(tokenizer))
    draws = generate(model, start, config, generators(config.seed, rows), recent=prompt_ids, banned=banned)
    streams = [(row, _decoder(tokenizer, raw), StopRules(config.stop, config.lines)) for row in range(rows)]
    unasked = [math.nan] * rows
    for count, (ids, position) in enumerate(draws, 1):
        nats = filters.log_probabilities(position.logits, ids).tolist() if with_log_probabilities else unasked
        tokens = ids.tolist()
        for stream in tuple(streams):
            row, decoder, rules = stream
            text = rules.push(decoder.push(tokens[row]))
            ending: Ending | Literal["length"] = rules.ending
            if count == config.length and not ending:
                text += rules.push(decoder.flush()) + rules.flush()
                ending = rules.ending or "length"
            if ending:
                streams.remove(stream)
            yield Fragment(row, text, tokens[row], nats[row], ending)
        if not streams:
            return


def _decoder(tokenizer: Tokenizer, raw: bool) -> Decoder:
    return Utf8Decoder(tokenizer, "surrogateescape") if raw else tokenizer.decoder()


def preview(model: TextModel, length: int, *, seed: int) -> str:
    """``length`` characters of text from nothing, at the default temperature, always the same for the same weights."""
    text = ""
    for fragment in sample(model, (), SampleConfig(length=0, seed=seed)):
        text += fragment.text
        if len(text) >= length:
            break
    return text[:length]
