"""Texts made on the way that ask one thing of a network: to recall, or to count. Whole lines, each from a zero state.

Ids stand for characters; a target of `NOTHING` is not learned and not scored.

Letters: B lines, T characters of a line.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from charlstm.training.batches import Batch

NOTHING = -100
"""What torch's cross entropy leaves out."""

Lines = NDArray[np.int64]


def _window(lines: Lines, targets: Lines | None = None) -> Batch:
    """Lines (B, T) as a window in which each character predicts the next."""
    after = lines[:, 1:] if targets is None else targets
    fresh = torch.ones(len(lines), dtype=torch.bool)
    return Batch(torch.from_numpy(lines[:, :-1].copy()), torch.from_numpy(after.copy()), fresh, 0, 0, 0)


@dataclass(frozen=True)
class Recall:
    """Letters, a mark, the fact, ``gap`` more letters, a question mark, and the fact again: ``gk!dxfah?d``.

    In miniature what a tutorial says of "I spent 20 years in Spain … I speak fluent ___". The letters before the mark
    and in the gap are the same that facts are made of: they must be read and let go. Without those before the mark a
    network needs no gate, since the first letter of all is the only one that meets an empty state. All characters are
    learned, as by any text generator; only the last has an answer.
    """

    letters: int = 8
    longest: int = 64
    """The longest gap of the lines learned from."""
    lead: int = 8
    """Letters before the mark, at most."""
    batch_size: int = 32

    @property
    def vocab_size(self) -> int:
        """The letters and two marks."""
        return self.letters + 2

    def lines(self, rng: np.random.Generator, gap: int, count: int) -> Lines:
        """Lines with one gap and one lead, (count, lead + gap + 4)."""
        lead = int(rng.integers(self.lead + 1))
        lines = rng.integers(self.letters, size=(count, lead + gap + 4))
        lines[:, lead] = self.letters
        lines[:, -2] = self.letters + 1
        lines[:, -1] = lines[:, lead + 1]
        return lines

    def windows(self, seed: int) -> Iterator[Batch]:
        """Batches without end, each of one gap; short gaps are as frequent as long ones are, octave by octave."""
        rng = np.random.default_rng(seed)
        while True:
            gap = int((self.longest + 1) ** rng.random())
            yield _window(self.lines(rng, gap, self.batch_size))


@dataclass(frozen=True)
class Count:
    """Lines aⁿbⁿ, each behind a newline and before one: after the first b, all that follows is known.

    The language needs one counter without end. Gers & Schmidhuber 2001 trained on n = 1 … 10; Weiss, Goldberg & Yahav
    2018 explain why an LSTM can count without end and a GRU, squashed into (-1, 1), cannot.
    """

    longest: int = 10
    """The greatest n of the lines learned from."""
    batch_size: int = 32
    vocab_size: int = 3
    NEWLINE, A, B = 0, 1, 2

    def line(self, n: int) -> Lines:
        """One line, (2n + 2,)."""
        return np.repeat([self.NEWLINE, self.A, self.B, self.NEWLINE], [1, n, n, 1])

    def windows(self, seed: int) -> Iterator[Batch]:
        """Batches without end, n drawn evenly; shorter lines are filled up with what is not learned."""
        rng = np.random.default_rng(seed)
        while True:
            ns = rng.integers(1, self.longest + 1, self.batch_size)
            lines = np.zeros((self.batch_size, 2 * ns.max() + 2), np.int64)
            for row, n in zip(lines, ns, strict=True):
                row[: 2 * n + 2] = self.line(n)
            inside = np.arange(1, lines.shape[1]) <= 2 * ns[:, None] + 1
            yield _window(lines, np.where(inside, lines[:, 1:], NOTHING))
