"""Drawing token ids from any network that steps. NumPy only, no torch.

Randomness enters only through the generators passed in. The recurrent state is a value: a `Position` holds it, and any
number of continuations can start from one position.

Shapes: B rows drawn side by side, V the vocabulary.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from charlstm.engine.protocol import Logits, Stepper, TokenIds
from charlstm.errors import UsageError
from charlstm.sampling import filters
from charlstm.sampling.config import SampleConfig
from charlstm.sampling.guides import Guide, keep_allowed
from charlstm.sampling.position import Position, advance, freeze, repeat_row
from charlstm.sampling.repeats import Repeats
from charlstm.sampling.rules.ways import Ways
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
    over: tuple[bool, ...] = ()
    """Whether a row is over with its token, since its guide allows none after it; empty without guides."""


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
    end_after: int | None = None,
) -> Iterator[Draw]:
    """Draw tokens from a position on, ``config.length`` per row; stop texts and lines play no part here.

    The network is fed a draw only when the next one is requested, so stopping early wastes no step. What is drawn does
    not enter the match memory: a network that finds its own text there goes in circles. A row that is over goes on with
    tokens that mean nothing.

    Args:
        stepper: the network.
        start: a position of one row, from `prefill`, or of one row per text.
        config: filters and length.
        rngs: one generator per row; their number is B.
        recent: the ids before ``start``, for the repetition penalty.
        banned: ids that are never drawn, such as the unknown symbol.
        guide: the rule that all rows keep, after the text before ``start``; None allows everything.
        end_after: tokens after which the guide allows only those that lead nearer to an end; None is never.

    Returns:
        An iterator of draws; endless if ``config.length`` is 0. Advancing it raises a `CheckpointError` if a logit is
        not finite.

    Raises:
        UsageError: every token is banned.
    """
    check_drawable(stepper.vocab_size, banned)
    rows = Rows(stepper, start, config, len(rngs), recent=recent, banned=banned, guide=guide)
    return _generate(rows, config.length, rngs, end_after)


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


def _generate(rows: Rows, length: int, rngs: Sequence[np.random.Generator], end_after: int | None) -> Iterator[Draw]:
    for count in itertools.count(1):
        if end_after is not None and count > end_after:
            rows.head_for_the_end()
        draw = rows.draw(rngs)
        yield draw
        if count == length:
            return
        rows.feed(draw.ids)


class Rows:
    """Texts that are drawn side by side, and all that decides about the next token of each.

    Args:
        stepper: the network.
        start: as in `generate`, as are all that follow but ``count``.
        config: see there.
        count: B, how many.
        recent: see there.
        banned: see there.
        guide: see there.
    """

    def __init__(
        self,
        stepper: Stepper,
        start: Position,
        config: SampleConfig,
        count: int,
        *,
        recent: Sequence[int] | Ids = (),
        banned: Sequence[int] = (),
        guide: Guide | None = None,
    ) -> None:
        self._stepper, self._config, self._banned = stepper, config, banned
        self._position = repeat_row(stepper, freeze(stepper, start), count)
        self._guides = () if guide is None else (guide,) * count
        self._allowed = _for_each(self._guides, lambda each: each.allowed())
        """The tokens that each guide allows."""
        self._ways = Ways()
        self._window = np.empty((count, PENALTY_WINDOW), np.int64)  # a ring buffer: the order of ids does not matter
        self._filled = len(recent[-PENALTY_WINDOW:])
        self._window[:, : self._filled] = np.asarray(recent[-PENALTY_WINDOW:])
        self._repeats = Repeats(count, recent) if config.no_repeat or config.longest_run else None

    def head_for_the_end(self) -> None:
        """Allow in the next draw only what leads nearer to an end."""
        self._allowed = _for_each(self._guides, self._ways.nearer)

    def draw(self, rngs: Sequence[np.random.Generator], avoided: int | None = None) -> Draw:
        """Draw one token per row; the network is not fed it yet.

        Args:
            rngs: one generator per row.
            avoided: an id that is drawn only in rows in which no other may be.

        Returns:
            What was drawn.
        """
        ids = filters.draw(self._filtered(self._position.logits, avoided), rngs)
        if self._guides:
            tokens = zip(self._guides, self._allowed, ids.tolist(), strict=True)
            self._guides = tuple([each.advance(token) if some.any() else each for each, some, token in tokens])
            self._allowed = _for_each(self._guides, lambda each: each.allowed())
        return Draw(ids, self._position, self._guides, tuple([not allowed.any() for allowed in self._allowed]))

    def feed(self, ids: TokenIds) -> None:
        """Let the network and the filters read one token per row, (B,)."""
        if self._config.repetition_penalty != 1:  # otherwise the window is not needed, and keeping it takes time
            self._window[:, self._filled % PENALTY_WINDOW] = ids
            self._filled += 1
        if self._repeats is not None:
            self._repeats.push(ids)
        self._position = advance(self._stepper, self._position, ids)

    def select(self, rows: Sequence[int]) -> None:
        """Go on with some of the rows.

        Args:
            rows: their numbers, as many as there are rows, in any order and with repetitions.
        """
        index = list(rows)
        state = self._stepper.select(self._position.state, index)
        self._position = Position(self._position.logits[index], state)
        self._guides = tuple([self._guides[row] for row in index])
        self._allowed = [self._allowed[row] for row in index]
        self._window = self._window[index]
        if self._repeats is not None:
            self._repeats.select(index)

    def allowed_share(self) -> NDArray[np.float64]:
        """The share of the network's probability that the guides allow in the next draw, (B,), as a logarithm.

        It is the probability at the temperature of the settings, before the filters that cut off.
        """
        temperature = self._config.temperature
        logits = filters.ban(self._position.logits, self._banned)
        if temperature >= filters.LOWEST_TEMPERATURE:
            logits = filters.temperature(logits, temperature)
        every = np.logaddexp.reduce(logits, axis=1)
        share: NDArray[np.float64] = np.logaddexp.reduce(keep_allowed(logits, np.stack(self._allowed)), axis=1) - every
        return share

    def _filtered(self, logits: Logits, avoided: int | None) -> Logits:
        config, recent = self._config, self._window[:, : self._filled]
        if self._guides:
            logits = keep_allowed(logits, np.stack(self._allowed))
        if avoided is not None:
            others = filters.ban(logits, (avoided,))
            logits = np.where(np.isfinite(others).any(axis=1, keepdims=True), others, logits)
        if config.no_repeat and self._repeats:
            logits = self._repeats.penalised(logits, config.no_repeat)
        if config.longest_run and self._repeats:
            logits = self._repeats.without_longer_runs(logits, config.longest_run)
        return filters.apply_filters(logits, config, recent, self._banned)


def _for_each(guides: Sequence[Guide], mask: Callable[[Guide], NDArray[np.bool_]]) -> list[NDArray[np.bool_]]:
    """The mask of each guide, (V,), computed once for equal ones."""
    masks = {guide: mask(guide) for guide in set(guides)}
    return [masks[guide] for guide in guides]
