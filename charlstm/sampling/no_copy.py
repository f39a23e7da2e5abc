"""A guide that never copies: no L tokens in a row, at least one of them drawn, stand in the training text.

With m the length of the longest end of the text so far that stands in the training text, a token is a copy if it makes
m reach L. Such a token is not allowed; and neither is one after which the text could not go on for ever without a copy.
So it never gets stuck, and nothing that was written has to be taken back, also together with another guide, such as
that of known words.

Whether a text can go on is searched for depth first. The search ends where a text comes round to itself, and nearly
always at once, where a text is safe: some token x stands at most r times in a row in the training text, so that after
r + 1 times x no passage of it goes on, and x can be written for ever. Each token makes m grow by one at most, hence ::

    m + (tokens until the other guide lets x be written for ever) ≤ L - 2 - r         a safe text

Every m is exact (`sampling.passages`), but for short ones, of which a bound is safe by itself.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from charlstm.errors import UsageError
from charlstm.sampling.guides import Guide
from charlstm.sampling.passages import Passages, longest_runs
from charlstm.sampling.prompts import banned_ids
from charlstm.tokenizers import Ids, Tokenizer

LEAST = 20
"""L, at least: shorter passages are the language's and not the author's."""
_MOST_REMEMBERED = 10_000
"""Positions whose answers are remembered."""
_NEVER = 1 << 40
_MOST_STATES = 100_000
"""States of the other guide in which a way out is looked for."""

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
        other: another guide that the texts keep, where they begin; its states can be hashed and compared.

    Raises:
        UsageError: a token is not a character or a byte.
    """

    def __init__(self, ids: Ids | NDArray[Any], length: int, tokenizer: Tokenizer, other: Guide | None = None) -> None:
        check_tokenizer(tokenizer)
        self.length, self.vocab_size = length, tokenizer.vocab_size
        self._drawable = np.ones(self.vocab_size, bool)
        self._drawable[list(banned_ids(tokenizer))] = False
        self._runs = longest_runs(ids, self.vocab_size)
        self._needs: dict[Guide, NDArray[np.int64]] = {}
        self._need: dict[Guide, int] = {}
        self._known: dict[_State, bool] = {}
        """Whether the text can go on for ever in each state that was searched."""
        self._reached: dict[_Tail, NDArray[np.int64]] = {}
        self._calm = self._calm_tokens(other)
        self._safe = max(0, length - 2 - int(self._runs[self._calm].min(initial=_NEVER)))
        """The largest m of a safe text; 0 if none is."""
        self._passages = Passages(ids, max(1, min(length // 2, self._safe or length)))

    def after(self, tokens: Sequence[int] | Ids, other: Guide | None = None) -> NoCopyGuide:
        """The guide after a text, which may be a copy itself.

        Args:
            tokens: the text.
            other: the other guide after it.

        Returns:
            The guide.

        Raises:
            UsageError: it cannot go on for ever without a copy.
        """
        tail = tuple(int(token) for token in tokens[max(0, len(tokens) - self.length + 1) :])
        if not self._can_go_on(tail, other):
            what = f"no text can follow here for ever that keeps to `no_copy={self.length}`"
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
        return allowed

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
            return free, reached <= self._safe
        return free & other.allowed(), reached + self._needs_after(other) <= self._safe

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
        """Whether a text can go on for ever."""
        begin = (tail, other)
        if len(self._known) >= _MOST_REMEMBERED:
            self._known.clear()
        path: dict[_State, Iterator[_State]] = {}
        following: Iterator[_State] = iter((begin,))
        while True:
            state = next(following, None)
            if state is None:  # everything after the last state of the path was searched in vain
                if not path:
                    return False
                last, _ = path.popitem()
                self._known[last] = False
                following = path[next(reversed(path))] if path else iter(())
            elif state in path or self._known.get(state) or self._is_beside_safety(state):
                self._known.update(dict.fromkeys((*path, state), True))
                return True
            elif state not in self._known:
                following = path[state] = self._following(state)

    def _is_beside_safety(self, state: _State) -> bool:
        free, safe = self._free_and_safe(*state)
        return bool((free & safe).any())

    def _following(self, state: _State) -> Iterator[_State]:
        free, _ = self._free_and_safe(*state)
        return (self._step(*state, token) for token in np.flatnonzero(free).tolist())

    # ---- the other guide ----------------------------------------------------------------------------------------

    def _calm_tokens(self, other: Guide | None) -> NDArray[np.intp]:
        """Of the tokens that may be written for ever, those of the shortest runs in the training text; perhaps none."""
        candidates = np.flatnonzero(self._drawable)
        if other is not None:
            endless = (
                [token for token in candidates.tolist() if _is_endless(state, token)]
                for state, _ in self._nearest_first(other)
            )
            candidates = np.array(next(filter(None, endless), []), np.intp)
        runs = self._runs[candidates]
        calm: NDArray[np.intp] = candidates[runs == runs.min(initial=_NEVER)]
        return calm

    def _needs_after(self, other: Guide) -> NDArray[np.int64]:
        """After each token, the tokens until x may be written for ever, (V,)."""
        if other not in self._needs:
            needs = np.full(self.vocab_size, _NEVER)
            for token in np.flatnonzero(other.allowed() & self._drawable).tolist():
                needs[token] = self._tokens_until_calm(other.advance(token))
            self._needs[other] = needs
        return self._needs[other]

    def _tokens_until_calm(self, other: Guide) -> int:
        if other not in self._need:
            calm = self._calm.tolist()
            ways = (steps for state, steps in self._nearest_first(other) if any(_is_endless(state, x) for x in calm))
            self._need[other] = next(ways, _NEVER)
        return self._need[other]

    def _nearest_first(self, guide: Guide) -> Iterator[tuple[Guide, int]]:
        """The states that a guide can come to, each with the number of tokens until then, the nearest first."""
        waiting, seen = deque([(guide, 0)]), {guide}
        while waiting and len(seen) < _MOST_STATES:
            state, steps = waiting.popleft()
            yield state, steps
            for token in np.flatnonzero(state.allowed() & self._drawable).tolist():
                following = state.advance(token)
                if following not in seen:
                    seen.add(following)
                    waiting.append((following, steps + 1))


def _is_endless(guide: Guide, token: int) -> bool:
    """Whether a token may be written for ever: once written it is allowed again, and changes nothing.

    Only where a text may end is it looked for: that is cheap to ask, and to miss such a place costs no more than time.
    """
    if not (guide.may_end() and guide.allowed()[token]):
        return False
    after = guide.advance(token)
    return bool(after.allowed()[token]) and after.advance(token) == after


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

    def may_end(self) -> bool:
        """See `guides.Guide`."""
        return self.other is None or self.other.may_end()

    def advance(self, token: int) -> NoCopyGuide:
        """See `guides.Guide`."""
        other = None if self.other is None else self.other.advance(token)
        return NoCopyGuide(self.rule, self.rule.shortened(self.tail, token), other)
