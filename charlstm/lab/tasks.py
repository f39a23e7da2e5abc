"""Synthetic tasks that test one ability each: recall after a delay, and counting. Every line starts from a zero state.

Token ids stand for characters; a target of `IGNORED` adds nothing to the loss or the score.

Letters: B lines, T characters of a line.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from charlstm.training.batches import Batch

IGNORED = -100
"""The target that torch's cross entropy ignores by default."""

Lines = NDArray[np.int64]


def _batch(lines: Lines, targets: Lines) -> Batch:
    """Lines (B, T) and the targets (B, T - 1) of all characters but the last."""
    fresh = torch.ones(len(lines), dtype=torch.bool)
    return Batch(torch.from_numpy(lines[:, :-1].copy()), torch.from_numpy(targets.copy()), fresh, 0, 0, 0)


@dataclass(frozen=True)
class DelayedRecall:
    """Lines such as ``gk!dxfah?d``: letters, ``!``, the letter to recall, ``gap`` more, ``?``, that letter again.

    It is "I spent 20 years in Spain … I speak fluent ___" in miniature. The letters before the ``!`` and in the gap are
    drawn from the same alphabet as the one to recall, so a network must read and discard them. Without those before the
    ``!`` it would need no gate, as only the first letter of a line meets an empty state. All characters are predicted,
    as in any language model; only the last can be known.
    """

    letters: int = 8
    longest: int = 64
    """The longest gap in training, in characters."""
    max_prefix: int = 8
    """Letters before the ``!``, at most."""
    batch_size: int = 32

    @property
    def vocab_size(self) -> int:
        """The letters, ``!`` and ``?``."""
        return self.letters + 2

    def lines(self, rng: np.random.Generator, gap: int, count: int) -> Lines:
        """Random lines that share one gap and one length of prefix.

        Args:
            rng: the source of randomness.
            gap: letters between the one to recall and the ``?``.
            count: number of lines.

        Returns:
            Token ids, (count, prefix + gap + 4).
        """
        prefix = int(rng.integers(self.max_prefix + 1))
        lines = rng.integers(self.letters, size=(count, prefix + gap + 4))
        lines[:, prefix] = self.letters
        lines[:, -2] = self.letters + 1
        lines[:, -1] = lines[:, prefix + 1]
        return lines

    def batches(self, seed: int) -> Iterator[Batch]:
        """Endless batches, each of one gap, drawn so that every octave of gaps is equally frequent."""
        rng = np.random.default_rng(seed)
        while True:
            gap = int((self.longest + 1) ** rng.random())
            lines = self.lines(rng, gap, self.batch_size)
            yield _batch(lines, lines[:, 1:])


@dataclass(frozen=True)
class AnBn:
    """Lines aⁿbⁿ between newlines: after the first b, every next character is determined.

    The language needs one unbounded counter. Gers & Schmidhuber 2001 trained on n = 1 … 10; Weiss, Goldberg & Yahav
    2018 explain why an LSTM can count without bound and a GRU, whose state is confined to (-1, 1), cannot.
    """

    longest: int = 10
    """The greatest n in training."""
    batch_size: int = 32
    vocab_size: int = 3
    NEWLINE, A, B = 0, 1, 2

    def line(self, n: int) -> Lines:
        """One line with both newlines, (2n + 2,)."""
        return np.repeat([self.NEWLINE, self.A, self.B, self.NEWLINE], [1, n, n, 1])

    def batches(self, seed: int) -> Iterator[Batch]:
        """Endless batches, n drawn uniformly; shorter lines are padded with ignored targets."""
        rng = np.random.default_rng(seed)
        while True:
            ns = rng.integers(1, self.longest + 1, self.batch_size)
            lines = np.zeros((self.batch_size, 2 * ns.max() + 2), np.int64)
            for row, n in zip(lines, ns, strict=True):
                row[: 2 * n + 2] = self.line(n)
            inside = np.arange(1, lines.shape[1]) <= 2 * ns[:, None] + 1
            yield _batch(lines, np.where(inside, lines[:, 1:], IGNORED))
