"""Drawing a text under a rule by particles, so that it is not led up the garden path.

A guide alone removes what may not come next. So the network writes as if there were no rule until it meets it, and then
goes on with whatever is left, however unlikely that is: it has the probabilities of each token right and that of the
text wrong. Of N texts drawn side by side those are kept for which the rule left the network most to choose from
(sequential Monte Carlo; Lew et al. 2023, "Sequential Monte Carlo Steering of Large Language Models") ::

    w = product over its tokens of the share of the network's probability that the rule allowed      weight of a text

Where the weights are so unequal that they count for fewer than N / 2 texts, (Σ w)² / Σ w² < N / 2, as many texts as
before are taken from among them, each about as often as its weight says, and the weights are equal again. At the end
one is taken by weight. The more particles, the nearer is its distribution to that of the network among the texts that
keep the rule.

What all particles have in common is certain, and is handed on at once.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from charlstm.sampling.fragments import Fragment, Row
from charlstm.sampling.generate import Rows

Weights = NDArray[np.float64]


@dataclass
class _Particle:
    """One of the texts."""

    row: Row
    fragments: list[Fragment] = field(default_factory=list)
    """What is not handed on yet."""
    is_open: bool = True

    def push(self, token: int, *, may_end: bool, over: bool) -> None:
        """Go on with a token."""
        fragment = self.row.push(token, math.nan, may_end=may_end, over=over)
        self.fragments.append(fragment)
        self.is_open = not fragment.finish_reason

    def copy(self) -> _Particle:
        """The same text in a row of its own."""
        return _Particle(self.row.copy(), [*self.fragments], self.is_open)


def draw_by_particles(
    rows: Rows,
    new_row: Callable[[], Row],
    count: int,
    rng: np.random.Generator,
    *,
    end_after: int | None,
) -> Iterator[Fragment]:
    """Draw one text.

    Args:
        rows: the particles, before their first token.
        new_row: makes the row that the text becomes.
        count: N, how many particles.
        rng: the text's generator.
        end_after: as in `generate.generate`.

    Yields:
        The fragments of the text, as soon as they are certain, without what the network thought of them.
    """
    rngs = rng.spawn(count)
    particles = [_Particle(new_row()) for _ in range(count)]
    weights = np.zeros(count)  # as logarithms
    for tokens in itertools.count():
        if end_after is not None and tokens >= end_after:
            rows.head_for_the_end()
        weights += np.where([each.is_open for each in particles], rows.allowed_share(), 0.0)
        if _effective(weights) < count / 2:
            chosen = _resample(weights, rng)
            rows.select(chosen)
            particles, weights = _select(particles, chosen), np.zeros(count)
            yield from _take_agreed(particles)
        if not _draw(rows, particles, rngs):
            break
    taken = rng.choice(count, p=_normalised(weights))
    yield from particles[taken].fragments


def _draw(rows: Rows, particles: list[_Particle], rngs: list[np.random.Generator]) -> bool:
    """Draw a token for every particle; return whether one is still open."""
    draw = rows.draw(rngs)
    tokens = draw.ids.tolist()
    for number, each in enumerate(particles):
        if each.is_open:
            each.push(tokens[number], may_end=draw.guides[number].may_end(), over=draw.over[number])
    rows.feed(draw.ids)
    return any(each.is_open for each in particles)


def _select(particles: list[_Particle], chosen: list[int]) -> list[_Particle]:
    """The particles chosen; one that is chosen again is copied."""
    used: set[int] = set()
    selected = []
    for number in chosen:
        selected.append(particles[number].copy() if number in used else particles[number])
        used.add(number)
    return selected


def _take_agreed(particles: list[_Particle]) -> list[Fragment]:
    """Take away from all texts what they have in common."""
    texts = [[fragment.token for fragment in each.fragments] for each in particles]
    low, high = min(texts), max(texts)
    agreed = next((place for place, (a, b) in enumerate(zip(low, high, strict=False)) if a != b), len(low))
    taken = particles[0].fragments[:agreed]
    for each in particles:
        del each.fragments[:agreed]
    return taken


def _normalised(weights: Weights) -> Weights:
    """The weights themselves, from their logarithms, so that they add up to 1."""
    shares = np.exp(weights - weights.max())
    normalised: Weights = shares / shares.sum()
    return normalised


def _effective(weights: Weights) -> float:
    """The number of equal weights that are worth as much."""
    return float(1 / np.square(_normalised(weights)).sum())


def _resample(weights: Weights, rng: np.random.Generator) -> list[int]:
    """Take as many as there are, each about as often as its weight says (systematic resampling; Kitagawa 1996)."""
    places = (rng.random() + np.arange(len(weights))) / len(weights)
    chosen: list[int] = np.searchsorted(_normalised(weights).cumsum()[:-1], places, side="right").tolist()
    return chosen
