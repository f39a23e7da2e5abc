"""The scores of candidates side by side, and which candidates are kept: beam search, or a draw without replacement.

At temperature 0 the candidates with the highest log-probability are kept. Above it, Gumbel noise is added to each
log-probability divided by the temperature, and the highest sums are kept: a draw without replacement (Vieira 2014). To
make that hold for whole texts and not for single tokens, the noise of all texts with a common prefix is drawn at once,
as its maximum, and divided among them as they diverge: stochastic beam search (Kool, van Hoof & Welling 2019,
section 3).

Letters: B candidates, C children of each.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from charlstm.engine.protocol import Logits
from charlstm.engine.softmax import Nats, log_softmax
from charlstm.sampling.filters import LOWEST_TEMPERATURE


@dataclass(frozen=True)
class Beam:
    """The scores of candidates side by side: a value."""

    nats: Nats
    """(B,) log-probability of everything scored so far."""
    scaled: Nats
    """(B,) the same at the temperature."""
    key: Nats
    """(B,) decides which candidates are kept: ``nats`` at temperature 0, otherwise ``scaled`` plus noise."""
    temperature: float

    @classmethod
    def start(cls, temperature: float, rng: np.random.Generator) -> Beam:
        """Create a beam of one candidate with nothing scored.

        Args:
            temperature: 0 for the likeliest, above it for a draw.
            rng: draws the noise.

        Returns:
            The beam.
        """
        zero = np.zeros(1)
        return cls(zero, zero, zero if temperature < LOWEST_TEMPERATURE else rng.gumbel(size=1), temperature)

    def branch(self, logits: Logits, rng: np.random.Generator) -> Beam:
        """Score every child of every candidate.

        Args:
            logits: (B, C), of the children.
            rng: draws the noise.

        Returns:
            A beam of B * C candidates, row after row.
        """
        logits = logits.astype(np.float64)  # a float32 overflows at a high temperature
        nats = self.nats[:, None] + log_softmax(logits)
        if self.temperature < LOWEST_TEMPERATURE:
            return Beam(nats.ravel(), nats.ravel(), nats.ravel(), self.temperature)
        scaled = self.scaled[:, None] + log_softmax(logits / self.temperature)
        # Gumbel noise for each child, shifted so that the highest has its parent's key (Kool et al., appendix B.3).
        noisy = scaled + rng.gumbel(size=scaled.shape)
        with np.errstate(divide="ignore"):  # log 0 for the highest child itself
            gap = self.key[:, None] - noisy + np.log1p(-np.exp(noisy - noisy.max(1, keepdims=True)))
        key = self.key[:, None] - np.maximum(0, gap) - np.log1p(np.exp(-np.abs(gap)))
        return Beam(nats.ravel(), scaled.ravel(), key.ravel(), self.temperature)

    def add(self, nats: Nats) -> Beam:
        """Add the log-probability (B,) of something that follows every candidate alike, such as known text."""
        scaled = nats if self.temperature < LOWEST_TEMPERATURE else nats / self.temperature
        return replace(self, nats=self.nats + nats, scaled=self.scaled + scaled, key=self.key + scaled)

    def best(self, count: int) -> NDArray[np.intp]:
        """The indices of the ``count`` highest keys, the highest first; never one of minus infinity."""
        order = np.argsort(-self.key, kind="stable")[:count]
        return order[self.key[order] > -math.inf]

    def select(self, rows: NDArray[np.intp]) -> Beam:
        """Take some candidates, in the order given."""
        return replace(self, nats=self.nats[rows], scaled=self.scaled[rows], key=self.key[rows])

    @staticmethod
    def join(beams: Sequence[Beam]) -> Beam:
        """Concatenate the candidates of several beams of one temperature."""
        nats, scaled, key = zip(*((beam.nats, beam.scaled, beam.key) for beam in beams), strict=True)
        return Beam(np.concatenate(nats), np.concatenate(scaled), np.concatenate(key), beams[0].temperature)
