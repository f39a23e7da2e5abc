"""Several ways in which a text can go on, to choose one of them, and so on: a tree that is kept nowhere.

Every way is drawn anew from the seed and the numbers of the ways chosen before, and is the same each time.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

import numpy as np

from charlstm.checkpoint.writing import Writing
from charlstm.engine.protocol import TextModel
from charlstm.sampling.config import SampleConfig
from charlstm.sampling.guides import Guide
from charlstm.sampling.prompts import prompt_ids
from charlstm.sampling.sampler import Fragment, in_order, sample

MOST = 9
"""Ways to choose from."""
_LONGEST = 160
"""Tokens of a way, at most."""
_SHORTEST = 30
"""Characters after which a way ends with its sentence."""
_END = re.compile(r"[.!?…]+[\"'”’»)\]]*(?=\s|$)|[。！？][」』”’）]*|\n")


@dataclass(frozen=True)
class Way:
    """One way to go on, to the end of a sentence or line."""

    fragments: tuple[Fragment, ...]
    """What was drawn, with log-probabilities."""

    @property
    def text(self) -> str:
        """What it adds to the text."""
        return "".join(fragment.text for fragment in self.fragments)

    @property
    def bits_per_char(self) -> float:
        """Bits that a code by the network itself needs for a character of it."""
        return -sum(fragment.log_probability for fragment in self.fragments) / math.log(2) / len(self.text)


@dataclass(frozen=True)
class Branches:
    """What the ways of a text are drawn with.

    Args:
        model: the network.
        writing: how it writes.
        config: filters and seed; the end is that of `write_on`.
        rows: ways drawn side by side, at least as many as the largest number that is chosen.
        guide_after: makes the rule that a way keeps from the text before it; None allows everything.
    """

    model: TextModel
    writing: Writing
    config: SampleConfig
    rows: int
    guide_after: Callable[[str], Guide | None] = lambda text: None

    def ways(self, text: str, path: tuple[int, ...] = ()) -> list[Way]:
        """Draw the ways after a text.

        Args:
            text: all of it, in characters of the alphabet.
            path: the numbers of the ways chosen up to here, from 1.

        Returns:
            As many as there are rows.
        """
        config = replace(self.config, length=_LONGEST, stop=(), stop_after=(), lines=0)
        rows = in_order(self._drawn(text, path, config), self.rows)
        return [_way(tuple(row)) for _, row in groupby(rows, key=lambda fragment: fragment.row)]

    def text_of(self, text: str, path: Sequence[int]) -> str:
        """Return what is written along a path of choices.

        Args:
            text: before the first choice.
            path: the numbers chosen, from 1.
        """
        whole = text
        for depth, number in enumerate(path):
            whole += self.ways(whole, tuple(path[:depth]))[number - 1].text
        return whole[len(text) :]

    def write_on(self, text: str, path: tuple[int, ...], number: int) -> Iterator[Fragment]:
        """Draw one of the ways after a text, and go on with it to the end that the settings give.

        Args:
            text: all of it.
            path: the numbers chosen up to here.
            number: of the way, from 1.

        Yields:
            Its fragments, as they are drawn.
        """
        for fragment in self._drawn(text, path, self.config):
            if fragment.row == number - 1:
                yield fragment._replace(row=0)
                if fragment.finish_reason:
                    return

    def _drawn(self, text: str, path: tuple[int, ...], config: SampleConfig) -> Iterator[Fragment]:
        return sample(
            self.model,
            prompt_ids(self.model.tokenizer, text, self.writing.record),
            replace(config, seed=_seed_at(config.seed, path)),
            rows=self.rows,
            starts=self.writing.starts,
            guide=self.guide_after(text),
            with_log_probabilities=True,
        )


def _seed_at(seed: int | None, path: tuple[int, ...]) -> int | None:
    """The seed of the ways after some choices."""
    return int(np.random.SeedSequence(seed, spawn_key=path).generate_state(1, np.uint64)[0]) if path else seed


def _way(row: Sequence[Fragment]) -> Way:
    """The beginning of what was drawn, to the end of its sentence, in whole tokens."""
    end, count, length = _end_of_way("".join(fragment.text for fragment in row)), 0, 0
    while length < end:
        length += len(row[count].text)
        count += 1
    return Way(tuple(row[:count]))


def _end_of_way(text: str) -> int:
    """Where a way ends: after the first sentence or line that is long enough, or else after the last whole word."""
    ends = (match.end() for match in _END.finditer(text) if match.end() >= _SHORTEST)
    blank = max(text.rfind(" "), text.rfind("\n"))
    return next(ends, blank if blank >= _SHORTEST else len(text))
