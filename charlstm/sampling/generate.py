"""Drawing token ids from any network that steps. NumPy only, no torch.

Randomness enters only through the generators passed in. The recurrent state is a value: a `Position` holds it, and any
number of continuations can start from one position.

Shapes: B rows drawn side by side, V the vocabulary.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from charlstm.engine.protocol import Stepper, TokenIds
from charlstm.errors import UsageError
from charlstm.sampling import filters
from charlstm.sampling.config import SampleConfig
from charlstm.sampling.guides import Guide, keep_allowed
from charlstm.sampling.position import Position, advance, freeze, repeat_row
from charlstm.sampling.repeats import Repeats
from charlstm.tokenizers import Ids

PENALTY_WINDOW = 64
"""How many of the last tokens the repetition penalty applies to."""


class Draw(NamedTuple):
    """One token per row."""

    ids: TokenIds
    """(B,)"""
    position: Position
    """The position they were drawn at: the network has not been fed them yet."""
    guides: tuple[Guide, ...] = ()
    """The guide of each row after its token; empty without guides."""


def row_generators(seed: int | None, rows: int, branch: tuple[int, ...] = ()) -> list[np.random.Generator]:
    """Create one random generator per row; row k's is the same however many rows there are.

    Args:
        seed: the seed; None takes fresh entropy.
        rows: how many generators.
        branch: numbers that distinguish independent draws with one seed.

    Returns:
        The generators, one for each row.
    """
    return [np.random.default_rng(child) for child in np.random.SeedSequence(seed, spawn_key=branch).spawn(rows)]


def generate(
    stepper: Stepper,
    start: Position,
    config: SampleConfig,
    rngs: Sequence[np.random.Generator],
    *,
    recent: Sequence[int] | Ids = (),
    banned: Sequence[int] = (),
    guide: Guide | None = None,
) -> Iterator[Draw]:
    """Draw tokens from a position on, ``config.length`` per row; stop texts and lines play no part here.

    The network is fed a draw only when the next one is requested, so stopping early wastes no step. What is drawn does
    not enter the match memory: a network that finds its own text there goes in circles.

    Args:
        stepper: the network.
        start: a position of one row, from `prefill`, or of one row per text.
        config: filters and length.
        rngs: one generator per row; their number is B.
        recent: the ids before ``start``, for the repetition penalty.
        banned: ids that are never drawn, such as the unknown symbol.
        guide: the rule that all rows keep, after the text before ``start``; None allows everything.

    Returns:
        An iterator of draws; endless if ``config.length`` is 0. Advancing it raises a `CheckpointError` if a logit is
        not finite.

    Raises:
        UsageError: every token is banned.
    """
    check_drawable(stepper.vocab_size, banned)
    return _generate(stepper, start, config, rngs, recent, banned, guide)


def check_drawable(vocab_size: int, banned: Sequence[int]) -> None:
    """Check that there is a token left to draw.

    Args:
        vocab_size: V.
        banned: ids that are never drawn.

    Raises:
        UsageError: there is none.
    """
    if len(set(banned)) >= vocab_size:
        raise UsageError("every token is banned, so nothing can be drawn")


def _generate(
    stepper: Stepper,
    start: Position,
    config: SampleConfig,
    rngs: Sequence[np.random.Generator],
    recent: Sequence[int] | Ids,
    banned: Sequence[int],
    guide: Guide | None,
) -> Iterator[Draw]:
    guides = () if guide is None else (guide,) * len(rngs)
    position = repeat_row(stepper, freeze(stepper, start), len(rngs))
    window = np.empty((len(rngs), PENALTY_WINDOW), np.int64)  # a ring buffer: the order of the ids does not matter
    filled = len(recent[-PENALTY_WINDOW:])
    window[:, :filled] = np.asarray(recent[-PENALTY_WINDOW:])
    penalised = config.repetition_penalty != 1  # otherwise the window is not needed, and keeping it takes time
    repeats = Repeats(len(rngs), recent) if config.no_repeat or config.longest_run else None
    for count in itertools.count(1):
        logits = keep_allowed(position.logits, guides) if guides else position.logits
        if config.no_repeat and repeats:
            logits = repeats.penalised(logits, config.no_repeat)
        if config.longest_run and repeats:
            logits = repeats.without_longer_runs(logits, config.longest_run)
        ids = filters.draw(filters.apply_filters(logits, config, window[:, :filled], banned), rngs)
        guides = tuple([each.advance(token) for each, token in zip(guides, ids.tolist(), strict=False)])
        yield Draw(ids, position, guides)
        if count == config.length:
            return
        if penalised:
            window[:, filled % PENALTY_WINDOW] = ids
            filled += 1
        if repeats is not None:
            repeats.push(ids)
        position = advance(stepper, position, ids)
