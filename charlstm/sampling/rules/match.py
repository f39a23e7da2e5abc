r"""A guide that lets a text be written only so that all of it matches a regular expression.

The expression becomes an automaton over the network's tokens. A token is whatever run of bytes it stands for: a state
and a token lead to the state after all of its bytes. Then every state that leads to no end is removed, backwards from
those in which the text may end. So there are no dead ends, and no token is forbidden that some matching text has.

The language may be infinite; it must not need too many states. Letters: S states, V the vocabulary.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from charlstm.errors import UnknownCharacter, UsageError
from charlstm.sampling.rules.automaton import ByteAutomaton, determine
from charlstm.sampling.rules.both import Both, pruned
from charlstm.sampling.rules.syntax import Characters, Choice, Ranges, Repeat, Sequence, Tree, literal, merged, parse
from charlstm.tokenizers import Tokenizer
from charlstm.tokenizers.nearest import nearest

_MOST_ENTRIES = 20_000_000
"""States times tokens."""
_AT_ONCE = 1 << 20


class Automaton:
    """The automaton of a regular expression over a network's tokens; a text begins in state 0.

    Args:
        pattern: the expression.
        tokenizer: the network's.
        end: what stands after a text that matches, such as the end of a record.
        name: of the setting that it comes from, for messages.

    Raises:
        UnknownCharacter: the text would need a character that the network does not know.
        UsageError: the expression is not regular, no text or only the empty one matches, or it has too many states.

    Attributes:
        next: (S, V), the state after each token; -1 where it is not allowed.
        distance: (S + 1,), the fewest tokens until the text may end; 0 where it may, `NEVER` in the last one.
    """

    def __init__(self, pattern: str, tokenizer: Tokenizer, *, end: str = "", name: str = "match") -> None:
        tree = Sequence((parse(pattern), literal(end)))
        alphabet = _Alphabet(tokenizer)
        blocked = _blocked(tree, alphabet)
        if blocked is not None:
            raise _cannot_be(pattern, blocked, alphabet)
        following, final = _over_tokens(determine(tree, alphabet.known, name), tokenizer, name)
        self.next, self.distance = pruned(following, final)
        if not (self.next[0] >= 0).any():
            raise UsageError(f"no text but the empty one matches `{name}`")


class _Alphabet:
    """The characters that a network can write.

    Args:
        tokenizer: the network's.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        self.points: list[int] | None = None
        """Sorted code points; None if every character can be written in bytes."""
        if tokenizer.kind == "char":
            tokens = (token for token in range(tokenizer.vocab_size) if token != tokenizer.unknown_id)
            self.points = sorted(ord(tokenizer.decode((token,))) for token in tokens)

    def known(self, ranges: Ranges) -> Ranges:
        """The part of some ranges that can be written."""
        if self.points is None:
            return ranges
        parts = (
            self.points[bisect_left(self.points, first) : bisect_right(self.points, last)] for first, last in ranges
        )
        return merged((point, point) for part in parts for point in part)


def _blocked(tree: Tree, alphabet: _Alphabet) -> Characters | None:
    """The first character of an expression that cannot be written, if no text can match without it."""
    match tree:
        case Characters():
            return None if alphabet.known(tree.ranges) else tree
        case Repeat():
            return _blocked(tree.part, alphabet) if tree.least else None
        case Choice():
            ways = [_blocked(way, alphabet) for way in tree.ways]
            stuck = [way for way in ways if way is not None]
            return min(stuck, key=lambda each: each.begin) if len(stuck) == len(ways) else None
    return next((blocked for part in tree.parts if (blocked := _blocked(part, alphabet)) is not None), None)


def _cannot_be(pattern: str, blocked: Characters, alphabet: _Alphabet) -> UsageError:
    if len(blocked.ranges) == 1 and blocked.ranges[0][0] == blocked.ranges[0][1]:
        character = chr(blocked.ranges[0][0])
        near = next(nearest(character, {chr(point) for point in alphabet.points or ()}), None)
        hint = "" if near is None else f"The nearest known is {near!r}."
        return UnknownCharacter(character, blocked.begin, where="match", hint=hint)
    shown = pattern[blocked.begin : blocked.end]
    what = f"no character of {shown}, at position {blocked.begin}, is in the alphabet"
    return UsageError(what, where="match")


def _over_tokens(
    automaton: ByteAutomaton, tokenizer: Tokenizer, name: str
) -> tuple[NDArray[np.int32], NDArray[np.bool_]]:
    """The states that tokens lead to, (S, V), -1 for none; and in which the text may end, (S,)."""
    texts = [tokenizer.token_bytes(token) for token in range(tokenizer.vocab_size)]
    usable = np.array([text != b"" and token != tokenizer.unknown_id for token, text in enumerate(texts)])
    none, longest = len(automaton.final), max(map(len, texts))
    # One more state, from which nothing leads back, and one more byte, which changes nothing and fills tokens up.
    table = np.full((none + 1, 257), none, np.int32)
    table[:none, :256], table[:, 256] = automaton.next, np.arange(none + 1)
    padded = np.full((len(texts), longest), 256)
    for token, text in enumerate(texts):
        padded[token, : len(text)] = list(text)

    number = np.full(none + 1, -1, np.int32)  # of each state that tokens lead to
    number[0] = 0
    found, rows = [0], list[NDArray[np.int32]]()
    step = max(1, _AT_ONCE // len(texts))
    while len(rows) < len(found):
        if len(found) * len(texts) > _MOST_ENTRIES:
            what = f"`{name}` needs more than {_MOST_ENTRIES // len(texts):,} states with {len(texts):,} tokens"
            raise UsageError(what, hint="Let it repeat less, or less often.")
        begin = np.array(found[len(rows) : len(rows) + step], np.int32)
        states: NDArray[np.int32] = np.repeat(begin[:, None], len(texts), axis=1)
        for place in range(longest):
            states = table[states, padded[:, place]]
        states[:, ~usable] = none
        new = [state for state in np.unique(states).tolist() if state != none and number[state] < 0]
        number[new] = np.arange(len(found), len(found) + len(new))
        found += new
        rows += list(number[states])
    return np.array(rows), automaton.final[found]


@dataclass(frozen=True)
class MatchGuide:
    """The rule of this module, after a text."""

    automaton: Automaton | Both
    state: int = 0

    def allowed(self) -> NDArray[np.bool_]:
        """See `guides.Guide`."""
        allowed: NDArray[np.bool_] = self.automaton.next[self.state] >= 0
        return allowed

    def distances(self) -> NDArray[np.int64]:
        """See `guides.Guide`."""
        distances: NDArray[np.int64] = self.automaton.distance[self.automaton.next[self.state]]
        return distances

    def may_end(self) -> bool:
        """See `guides.Guide`."""
        return int(self.automaton.distance[self.state]) == 0

    def advance(self, token: int) -> MatchGuide:
        """See `guides.Guide`."""
        return MatchGuide(self.automaton, int(self.automaton.next[self.state, token]))
