"""Candidates that grow side by side, and which of them stay: beam search, and drawing without replacement.

At temperature 0 those stay whose log-probability is highest. Above it Gumbel noise is added to each log-probability
divided by the temperature, and those stay that come out highest: a draw without replacement (Vieira 2014). So that it
holds for whole texts and not for single tokens, the noise of all texts that begin alike is drawn at once, as its
maximum, and shared out as the texts go apart: stochastic beam search (Kool, van Hoof & Welling 2019, section 3).

Letters: B candidates, C children of each.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from charlstm.engine.protocol import Logits
from charlstm.sampling.filters import COLDEST

Scores = NDArray[np.float64]
"""Log-probabilities, in nats."""


@dataclass(frozen=True)
class Beam:
    """Candidates side by side: a value."""

    nats: Scores
    """(B,) log-probability of all that was weighed so far."""
    warm: Scores
    """(B,) the same at the temperature."""
    key: Scores
    """(B,) what decides who stays: ``nats`` at temperature 0, else ``warm`` with noise."""
    temperature: float

    @classmethod
    def start(cls, temperature: float, random: np.random.Generator) -> Beam:
        """One candidate of which nothing is known."""
        zero = np.zeros(1)
        return cls(zero, zero, zero if temperature < COLDEST else random.gumbel(size=1), temperature)

    def branch(self, logits: Logits, random: np.random.Generator) -> Beam:
        """Every child of every candidate, row after row, (B * C,).

        Args:
            logits: of the children, (B, C).
            random: of the noise.
        """
        logits = logits.astype(np.float64)  # a float32 overflows at a high temperature
        nats = self.nats[:, None] + log_softmax(logits)
        if self.temperature < COLDEST:
            return Beam(nats.ravel(), nats.ravel(), nats.ravel(), self.temperature)
        warm = self.warm[:, None] + log_softmax(logits / self.temperature)
        # A Gumbel for each child, all moved so that the highest comes out where the parent's is.
        noisy = warm + random.gumbel(size=warm.shape)
        with np.errstate(divide="ignore"):  # log 0 of the highest itself
            gap = self.key[:, None] - noisy + np.log1p(-np.exp(noisy - noisy.max(1, keepdims=True)))
        key = self.key[:, None] - np.maximum(0, gap) - np.log1p(np.exp(-np.abs(gap)))
        return Beam(nats.ravel(), warm.ravel(), key.ravel(), self.temperature)

    def weigh(self, gained: Scores) -> Beam:
        """With something more weighed, (B,) nats."""
        warm = gained if self.temperature < COLDEST else gained / self.temperature
        return replace(self, nats=self.nats + gained, warm=self.warm + warm, key=self.key + warm)

    def best(self, most: int) -> NDArray[np.intp]:
        """Where the highest keys are, the highest first; never one of minus infinity."""
        order = np.argsort(-self.key, kind="stable")[:most]
        return order[self.key[order] > -math.inf]

    def select(self, rows: NDArray[np.intp]) -> Beam:
        """Some candidates, in the order given."""
        return replace(self, nats=self.nats[rows], warm=self.warm[rows], key=self.key[rows])

    @staticmethod
    def join(beams: Sequence[Beam]) -> Beam:
        """All candidates of several of one temperature."""
        nats, warm, key = zip(*((beam.nats, beam.warm, beam.key) for beam in beams), strict=True)
        return Beam(np.concatenate(nats), np.concatenate(warm), np.concatenate(key), beams[0].temperature)


def log_softmax(logits: Logits) -> Scores:
    """Log-probabilities of each row of logits (B, C), in nats."""
    wide = logits.astype(np.float64)
    shifted = wide - wide.max(axis=1, keepdims=True)
    logs: Scores = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return logs
