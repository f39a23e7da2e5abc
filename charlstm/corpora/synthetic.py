"""Endless text of known entropy, the loss that no model can go below, for tests and lessons.

A source is named ``synthetic:KIND,NAME=NUMBER,...``, such as ``synthetic:markov,order=2,size=100000``, with commas
because a shell leaves them alone. ``size`` is in characters; the same name always gives the same text.

Every source is a stationary process up to a random phase, so its entropy rate is the mean over time of the entropy of
the next character given the whole past (Cover & Thomas 2006, section 4.2); each docstring derives it.
"""

from __future__ import annotations

import math
import string
from bisect import bisect
from collections.abc import Iterator
from dataclasses import dataclass, fields
from difflib import get_close_matches
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from charlstm.errors import NotFoundError, UsageError

PREFIX = "synthetic:"
_CHUNK = 1 << 16
_BRACKETS = ("()", "[]", "{}", "<>")


class Synthetic(Protocol):
    """A random process that generates characters."""

    def entropy_rate(self) -> float:
        """The true entropy, in nats per character."""

    def characters(self) -> Iterator[str]:
        """Yield the text in pieces, endlessly; always the same."""


@dataclass(frozen=True)
class Markov:
    """Each character depends on the ``order`` preceding ones, by a random table.

    The rows of the table are drawn uniformly from the simplex. Of the past only the last ``order`` characters, the
    context, matter, so with π the stationary distribution of contexts

        H = Σ_context π(context) · H(row of context).

    All table entries are positive, so π is unique, and power iteration converges to it at a geometric rate.
    """

    order: int = 2
    alphabet: int = 4
    seed: int = 1

    def __post_init__(self) -> None:
        _check_range("order", self.order, 1, 12)
        _check_range("alphabet", self.alphabet, 2, 26)
        if self.alphabet**self.order > 1 << 16:
            raise UsageError(f"alphabet={self.alphabet} to the power of order={self.order} is more than 65536 contexts")

    def table(self) -> NDArray[np.float64]:
        """The probability of each next character, (contexts, alphabet); the last digit of a context came last."""
        rng = np.random.default_rng((self.seed, 0))
        return rng.dirichlet(np.ones(self.alphabet), self.alphabet**self.order)

    def entropy_rate(self) -> float:
        """The true entropy, in nats per character."""
        table = self.table()
        entropy = -np.sum(table * np.log(table, out=np.zeros_like(table), where=table > 0), axis=1)
        contexts = np.full(len(table), 1 / len(table))
        for _ in range(10_000):
            joint = (contexts[:, None] * table).reshape(self.alphabet, -1)
            following = joint.sum(0)  # the oldest character leaves the context
            moved = np.abs(following - contexts).sum()
            contexts = following
            if moved < 1e-14:
                break
        return float(contexts @ entropy)

    def characters(self) -> Iterator[str]:
        """Yield the text in pieces, endlessly; always the same."""
        rng = np.random.default_rng((self.seed, 1))
        thresholds = np.cumsum(self.table(), axis=1)[:, :-1].tolist()
        letters, size, context = string.ascii_lowercase, len(thresholds), 0
        while True:
            drawn = []
            for draw in rng.random(_CHUNK).tolist():
                letter = bisect(thresholds[context], draw)
                context = (context * self.alphabet + letter) % size
                drawn.append(letters[letter])
            yield "".join(drawn)


@dataclass(frozen=True)
class Counting:
    """Blocks aⁿbⁿ: as many b as a, n drawn uniformly from 1 to ``longest`` for each block.

    A block begins where a follows b, so the text and the sequence of n determine each other. Blocks are independent: by
    the renewal theorem each contributes ln(longest) nats and 2·E[n] = longest + 1 characters,

        H = ln(longest) / (longest + 1).
    """

    longest: int = 10
    seed: int = 1

    def __post_init__(self) -> None:
        _check_range("longest", self.longest, 1, 10_000)

    def entropy_rate(self) -> float:
        """The true entropy, in nats per character."""
        return math.log(self.longest) / (self.longest + 1)

    def characters(self) -> Iterator[str]:
        """Yield the text in pieces, endlessly; always the same."""
        rng = np.random.default_rng(self.seed)
        while True:
            blocks = rng.integers(1, self.longest + 1, max(1, _CHUNK // (self.longest + 1)))
            yield "".join(["a" * n + "b" * n for n in blocks.tolist()])


@dataclass(frozen=True)
class Dyck:
    """Brackets that close in the right order, of ``kinds`` kinds, never more than ``depth`` open.

    With none open, one opens; with ``depth`` open, the last closes; in between, a fair coin decides. The kind that
    opens is drawn uniformly, the kind that closes is known. So given the past the next character has the entropy
    ln(kinds), 0, or ln 2 + ½·ln(kinds). The number of open brackets walks on 0 … depth and is reflected at both ends.
    Balance of the flows between neighbours (π₀ = ½π₁, and πᵢ = πᵢ₊₁ between) gives the ends half the weight of the
    others: 1/(2·depth) each, and 1/depth for each of the depth - 1 in between. The mean over time is

        H = (½·ln(kinds) + (depth - 1)·(ln 2 + ½·ln(kinds))) / depth.
    """

    kinds: int = 2
    depth: int = 8
    seed: int = 1

    def __post_init__(self) -> None:
        _check_range("kinds", self.kinds, 1, len(_BRACKETS))
        _check_range("depth", self.depth, 1, 10_000)

    def entropy_rate(self) -> float:
        """The true entropy, in nats per character."""
        half = math.log(self.kinds) / 2
        return (half + (self.depth - 1) * (math.log(2) + half)) / self.depth

    def characters(self) -> Iterator[str]:
        """Yield the text in pieces, endlessly; always the same."""
        rng = np.random.default_rng(self.seed)
        unclosed: list[int] = []
        while True:
            drawn = []
            kinds = rng.integers(self.kinds, size=_CHUNK).tolist()
            for kind, opens in zip(kinds, (rng.random(_CHUNK) < 0.5).tolist(), strict=True):
                if not unclosed or (opens and len(unclosed) < self.depth):
                    unclosed.append(kind)
                    drawn.append(_BRACKETS[kind][0])
                else:
                    drawn.append(_BRACKETS[unclosed.pop()][1])
            yield "".join(drawn)


@dataclass(frozen=True)
class Recall:
    """Lines that end with the letter they began with, ``gap`` random digits later.

    A line is a letter drawn uniformly from ``letters``, ``gap`` digits drawn uniformly from 0 and 1, the letter again,
    and a newline. The position in the line is known from the past, so the mean over a line of gap + 3 characters is

        H = (ln(letters) + gap·ln 2) / (gap + 3).

    A model that forgets over the gap loses another ln(letters) / (gap + 3).
    """

    gap: int = 20
    letters: int = 8
    seed: int = 1

    def __post_init__(self) -> None:
        _check_range("gap", self.gap, 0, 10_000)
        _check_range("letters", self.letters, 1, 26)

    def entropy_rate(self) -> float:
        """The true entropy, in nats per character."""
        return (math.log(self.letters) + self.gap * math.log(2)) / (self.gap + 3)

    def characters(self) -> Iterator[str]:
        """Yield the text in pieces, endlessly; always the same."""
        rng = np.random.default_rng(self.seed)
        rows = max(1, _CHUNK // (self.gap + 3))
        while True:
            lines = np.full((rows, self.gap + 3), ord("\n"), np.uint8)
            lines[:, 1:-2] = rng.integers(ord("0"), ord("2"), (rows, self.gap))
            lines[:, 0] = lines[:, -2] = rng.integers(ord("a"), ord("a") + self.letters, rows)
            yield lines.tobytes().decode("ascii")


KINDS: dict[str, type[Any]] = {"markov": Markov, "anbn": Counting, "dyck": Dyck, "recall": Recall}
SIZE = 100_000
"""Characters, unless ``size`` is given."""


def parse(name: str) -> tuple[str, Synthetic, int]:
    """Parse the name of a source.

    Args:
        name: ``synthetic:KIND`` or ``synthetic:KIND,NAME=NUMBER,...``.

    Returns:
        The kind, the source and the size in characters.

    Raises:
        NotFoundError: there is no such kind.
        UsageError: an unknown setting, or a number out of range.
    """
    kind, *settings = name.removeprefix(PREFIX).split(",")
    if kind not in KINDS:
        close = get_close_matches(kind, KINDS) or list(KINDS)
        names = ", ".join(PREFIX + known for known in close)
        raise NotFoundError("no such synthetic source", where=name, hint=f"Available: {names}.")
    known = [field.name for field in fields(KINDS[kind])]
    numbers = {"size": SIZE}
    for setting in settings:
        key, _, value = setting.partition("=")
        if key not in [*known, "size"] or not (value.isascii() and value.isdigit() and len(value) < 16):
            example = ", ".join(f"{each}=NUMBER" for each in (*known, "size"))
            raise UsageError(f"{setting!r} is not one of its settings", where=name, hint=f"Settings: {example}.")
        numbers[key] = int(value)
    size = numbers.pop("size")
    try:
        _check_range("size", size, 1, 10**12)
        return kind, KINDS[kind](**numbers), size
    except UsageError as fault:
        raise UsageError(fault.what, where=name) from None


def generate(source: Synthetic, size: int) -> Iterator[str]:
    """Yield the start of a source's text, in pieces.

    Args:
        source: the process.
        size: characters.
    """
    remaining = size
    for piece in source.characters():
        yield piece[:remaining]
        remaining -= len(piece)
        if remaining <= 0:
            return


def _check_range(name: str, number: int, low: int, high: int) -> None:
    if not low <= number <= high:
        raise UsageError(f"{name}={number} must be between {low} and {high}")
