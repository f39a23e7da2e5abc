"""A guide that never copies: no L tokens in a row, at least one of them drawn, stand in the training text.

With m the length of the longest end of the text so far that stands in the training text, a token is a copy if it makes
m reach L. Such a token is not allowed; and neither is one after which the text could not go on for ever without a copy,
or beside another guide not to where that lets it end. So it never gets stuck, and nothing that was written has to be
taken back.

Whether a text can go on is searched for depth first. The search ends where a text comes round to itself, and nearly
always at once, where a text is safe. Each token makes m grow by one at most, hence ::

    m + n < L                                                                         a safe text

where n is the number of tokens until m is known to be small, or of no importance. Alone: some token stands at most r
times in a row in the training text, so that after n = r + 1 times that token no passage of it goes on, and it can be
written for ever. Beside another guide: a way to its end is known (`rules.ways`), and n is the length of that way; or of
a passage at its beginning that does not stand in the training text, if the rest is safe after it.

Every m is exact (`sampling.passages`), but for short ones, of which a bound is safe by itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from charlstm.errors import UsageError
from charlstm.sampling.guides import NEVER, Guide
from charlstm.sampling.passages import Passages, longest_runs
from charlstm.sampling.prompts import banned_ids
from charlstm.sampling.rules.ways import Ways
from charlstm.tokenizers import Ids, Tokenizer

LEAST = 20
"""L, at least: shorter passages are the language's and not the author's."""
_MOST_REMEMBERED = 10_000
"""Positions whose answers are remembered."""
_MOST_SEARCHED = 20_000
"""Positions in which one search looks for a way on."""

_Tail = tuple[int, ...]
"""The last L - 1 tokens of a text."""
_State: TypeAlias = "tuple[_Tail, Guide | None]"


def check_tokenizer(tokenizer: Tokenizer) -> None:
    """Check that a network can keep to the rule: its tokens have to be characters or bytes.

    Raises:
        UsageError: they are pieces of words.
    """
    if tokenizer.kind not in ("char", "byte"):
        what = "a network of pieces of words cannot keep to `no_copy`, which counts characters"
        raise UsageError(what, hint="Train one with `tokenizer='char'`.")


class CopyRule:
    """The rule for one training text and one length, and what was found out while it was kept.

    Args:
        ids: the training text, (tokens,), memory-mapped or not.
        length: L, at least 2.
        tokenizer: of the text, one of characters or of bytes.

    Raises:
        UsageError: a token is not a character or a byte.
    """

    def __init__(self, ids: Ids | NDArray[Any], length: int, tokenizer: Tokenizer) -> None:
        check_tokenizer(tokenizer)
        self.length, self.vocab_size = length, tokenizer.vocab_size
        self._drawable = np.ones(self.vocab_size, bool)
        self._drawable[list(banned_ids(tokenizer))] = False
        runs = longest_runs(ids, self.vocab_size)
        self._alone = 1 + int(runs[self._drawable].min(initial=NEVER))
        """The tokens until no passage goes on, without another guide."""
        self._ways = Ways(np.argsort(runs, kind="stable"))  # those that make no passage of the training text
        self._need: dict[Guide, int] = {}
        self._needs: dict[Guide, NDArray[np.int64]] = {}
        self._steps: dict[Guide, NDArray[np.int64]] = {}
        self._known: dict[_State, bool] = {}
        """Whether the text can go on in each state that was searched."""
        self._reached: dict[_Tail, NDArray[np.int64]] = {}
        self._passages = Passages(ids, max(1, min((length - 1) // 2, max(0, length - 1 - self._alone) or length)))

    def after(self, tokens: Sequence[int] | Ids, other: Guide | None = None) -> NoCopyGuide:
        """The guide after a text, which may be a copy itself.

        Args:
            tokens: the text.
            other: the other guide after it.

        Returns:
            The guide.

        Raises:
            UsageError: it cannot go on without a copy.
        """
        tail = tuple(int(token) for token in tokens[max(0, len(tokens) - self.length + 1) :])
        if not self._can_go_on(tail, other):
            others = "" if other is None else " and to the other rules"
            what = f"no text can follow here that keeps to `no_copy={self.length}`{others}"
            raise UsageError(what, hint="Allow longer copies.")
        return NoCopyGuide(self, tail, other)

    def allowed(self, tail: _Tail, other: Guide | None) -> NDArray[np.bool_]:
        """Which tokens may follow a text.

        Args:
            tail: the last L - 1 tokens of the text.
            other: the other guide after it.

        Returns:
            (V,); at least one, unless `after` would raise here.
        """
        free, safe = self._free_and_safe(tail, other)
        allowed = free & safe
        for token in np.flatnonzero(free & ~safe).tolist():
            allowed[token] = self._can_go_on(*self._step(tail, other, token))
        return allowed if other is None else self._without_early_ends(allowed, tail, other)

    def distances(self, tail: _Tail, other: Guide | None) -> NDArray[np.int64]:
        """How far the end is after each token, also one that leads nowhere, as `guides.Guide` has it, (V,).

        Args:
            tail: the last L - 1 tokens of the text.
            other: the other guide after it.
        """
        free, _ = self._free_and_safe(tail, other)
        return np.where(free, 0 if other is None else self._steps_after(other), NEVER)

    def shortened(self, tail: _Tail, token: int) -> _Tail:
        """The last L - 1 tokens after one more.

        Args:
            tail: those before.
            token: the one more.
        """
        return (*tail, token)[1 - self.length :]

    def _step(self, tail: _Tail, other: Guide | None, token: int) -> tuple[_Tail, Guide | None]:
        return self.shortened(tail, token), other and other.advance(token)

    def _free_and_safe(self, tail: _Tail, other: Guide | None) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Which tokens are no copy and allowed by the other guide, and after which the text is safe, both (V,)."""
        reached = self._reach(tail)
        free = (reached < self.length) & self._drawable
        if other is None:
            return free, reached + self._alone < self.length
        needs = self._needs_after(other)
        return free & (needs < NEVER), reached + needs < self.length

    def _reach(self, tail: _Tail) -> NDArray[np.int64]:
        """The m after each token, (V,), exact above the index's shortest passage; else it is that of a bound."""
        shortest = self._passages.shortest
        if len(tail) < shortest:
            return np.full(self.vocab_size, len(tail) + 1)
        if tail not in self._reached:
            if len(self._reached) >= _MOST_REMEMBERED:
                self._reached.clear()
            ends, lengths = self._passages.find(tail)
            inside = ends < len(self._passages.ids)
            reached = np.full(self.vocab_size, shortest)
            np.maximum.at(reached, self._passages.ids[ends[inside]], lengths[inside] + 1)
            self._reached[tail] = reached
        return self._reached[tail]

    def _can_go_on(self, tail: _Tail, other: Guide | None) -> bool:
        """Whether a text can go on: alone for ever, beside another guide as the head of this module says."""
        begin = (tail, other)
        if len(self._known) >= _MOST_REMEMBERED:
            self._known.clear()
        path: dict[_State, Iterator[_State]] = {}
        in_vain: dict[_State, bool] = {}
        following: Iterator[_State] = iter((begin,))
        while len(in_vain) < _MOST_SEARCHED:
            state = next(following, None)
            if state is None:  # everything after the last state of the path was searched in vain
                if not path:
                    break
                last, _ = path.popitem()
                in_vain[last] = False
                following = path[next(reversed(path))] if path else iter(())
            elif (state in path and other is None) or self._known.get(state) or self._is_beside_safety(state):
                self._known.update(dict.fromkeys((*path, state), True))
                return True
            elif not (state in path or state in in_vain or state in self._known):
                following = path[state] = self._following(state)
        self._known.update(in_vain if not path else {begin: False})
        return False

    def _is_beside_safety(self, state: _State) -> bool:
        free, safe = self._free_and_safe(*state)
        other = state[1]
        return bool((free & safe).any()) or (other is not None and other.may_end())

    def _following(self, state: _State) -> Iterator[_State]:
        free, _ = self._free_and_safe(*state)
        tokens = np.flatnonzero(free)
        if state[1] is not None:
            tokens = tokens[np.argsort(self.distances(*state)[tokens], kind="stable")]
        return (self._step(*state, token) for token in tokens.tolist())

    # ---- beside another guide ---------------------------------------------------------------------------------------

    def _without_early_ends(self, allowed: NDArray[np.bool_], tail: _Tail, other: Guide) -> NDArray[np.bool_]:
        """Remove the tokens after which only copies can follow and the text would have to end, unless all are such."""
        lasting = allowed.copy()
        for token in np.flatnonzero(allowed & (self._reach(tail) == self.length - 1)).tolist():
            after = self._step(tail, other, token)
            free, _ = self._free_and_safe(*after)
            lasting[token] = free.any() or not other.advance(token).allowed().any()
        return lasting if lasting.any() else allowed

    def _needs_after(self, other: Guide) -> NDArray[np.int64]:
        """The n after each token that the other guide allows, (V,)."""
        if other not in self._needs:
            if len(self._needs) >= _MOST_REMEMBERED:
                self._needs.clear()
            needs = np.full(self.vocab_size, NEVER)
            for token in np.flatnonzero(other.allowed()).tolist():
                needs[token] = self._need_of(other.advance(token))
            self._needs[other] = needs
        return self._needs[other]

    def _steps_after(self, other: Guide) -> NDArray[np.int64]:
        """The tokens of the way that is known after each token that the other guide allows, (V,).

        The first token of the way from here is the nearest, but for those after which the text may end at once: so what
        follows it from a safe text on comes to its end.
        """
        if other not in self._steps:
            if len(self._steps) >= _MOST_REMEMBERED:
                self._steps.clear()
            steps, first = np.full(self.vocab_size, NEVER), self._ways.first(other)
            for token in np.flatnonzero(other.allowed()).tolist():
                known = self._ways.steps(other.advance(token))
                steps[token] = NEVER if known is None else known
            if first is not None:
                others = (steps > 0) & (np.arange(self.vocab_size) != first)
                steps[others] = np.maximum(steps[others], steps[first] + 1)
            self._steps[other] = steps
        return self._steps[other]

    def _need_of(self, other: Guide) -> int:
        """The n of a state of the other guide; `NEVER` if no way leads to its end."""
        if other not in self._need:
            if len(self._need) >= _MOST_REMEMBERED:
                self._need.clear()
            self._need.update(self._needs_on_the_way(other))
        return self._need[other]

    def _needs_on_the_way(self, other: Guide) -> dict[Guide, int]:
        """The n of each state on a way to the other guide's end."""
        if self._ways.steps(other) is None:
            return {other: NEVER}
        states, tokens = [other], list[int]()
        while (token := self._ways.first(states[-1])) is not None:
            tokens.append(token)
            states.append(states[-1].advance(token))
        needs, size = [0], self._passages.shortest  # from the end backwards
        for place in range(len(tokens) - 1, -1, -1):
            need, passage = needs[-1] + 1, tokens[place : place + size]
            if need > size and size + needs[-size] <= self.length and not len(self._passages.find(passage)[0]):
                need = size
            needs.append(need)
        return dict(zip(reversed(states), needs, strict=True))


@dataclass(frozen=True)
class NoCopyGuide:
    """The rule of this module, after a text, and another guide beside it."""

    rule: CopyRule
    tail: _Tail
    """The last L - 1 tokens of the text."""
    other: Guide | None = None

    def allowed(self) -> NDArray[np.bool_]:
        """See `guides.Guide`."""
        return self.rule.allowed(self.tail, self.other)

    def distances(self) -> NDArray[np.int64]:
        """See `guides.Guide`."""
        return self.rule.distances(self.tail, self.other)

    def may_end(self) -> bool:
        """See `guides.Guide`."""
        return self.other is None or self.other.may_end()

    def advance(self, token: int) -> NoCopyGuide:
        """See `guides.Guide`."""
        other = None if self.other is None else self.other.advance(token)
        return NoCopyGuide(self.rule, self.rule.shortened(self.tail, token), other)
