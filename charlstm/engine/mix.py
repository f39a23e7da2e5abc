"""Several causal networks that write together: at every token their predictions are mixed.

Akten & Grierson (2016, arXiv 1612.04687) let several networks predict the next character and change their weights while
they write, as one plays an instrument. Here the mix is the weighted geometric mean of their probabilities, normalised:

    p(c) ∝ exp(Σ w_i log p_i(c))                a token that all know; the weights w_i add up to 1

Networks of characters may have different alphabets, and the mix has the characters of all. One that only some know is
decided by those alone, with as much weight as they have together:

    p(c) ∝ W exp(Σ w_i log p_i(c) / W)          sums over those that know c, whose weights add up to W

So a network of weight 0 has no say, nothing jumps where a weight comes near to it, and two networks without a common
character are each heard as often as their weights say.

A network that is fed a character which it does not know reads another one instead, as a prompt is read with
``unknown="map"``: the nearest single character that it knows, else its unknown symbol, else a blank.

Letters: B texts side by side, V the vocabulary of the mix.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from copy import copy
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from charlstm.engine.bidirectional import BidirectionalEngine
from charlstm.engine.protocol import AnyTokenIds, Logits, TextModel, TokenIds, as_token_ids
from charlstm.engine.softmax import Nats, log_softmax
from charlstm.errors import IncompatibleError, UsageError
from charlstm.tokenizers import CharTokenizer, Tokenizer
from charlstm.tokenizers.nearest import nearest

_NEVER = -1e30
"""The logit of a token that no network with a weight knows: finite, as every logit has to be, at any temperature."""
_KINDS = {"char": "characters", "byte": "bytes", "sentencepiece": "subwords"}


class Heard(NamedTuple):
    """What one network of a mix has come to."""

    state: Any
    """Its own state of B rows."""
    logits: Logits
    """What it said last, (B, its own vocabulary)."""


MixState: TypeAlias = tuple[Heard, ...]
"""Of every network; no weight is in it."""


class MixedEngine:
    """Several networks as one `TextModel`.

    Args:
        parts: each network with its weight, 0 or more, not all 0. Their architectures may differ; they read characters,
            or bytes, or the subwords of one and the same tokenizer.

    Raises:
        UsageError: there is no network, they cannot be mixed with each other, or the weights are out of range.
        IncompatibleError: a network is bidirectional.

    Attributes:
        tokenizer: of the mix: all characters that any of the networks knows.
        vocab_size: V.
        weights: of the networks, adding up to 1.
    """

    def __init__(self, parts: Sequence[tuple[TextModel, float]]) -> None:
        engines = [engine for engine, _ in parts]
        _check_mixable(engines)
        self.tokenizer = _union([engine.tokenizer for engine in engines])
        self.vocab_size = self.tokenizer.vocab_size
        self._parts = [_Part(engine, self.tokenizer) for engine in engines]
        self._set_weights([weight for _, weight in parts])

    def weighted(self, weights: Sequence[float]) -> MixedEngine:
        """Return the same networks with other weights: for each step, if need be.

        A state of one is a state of the other; `logits` gives what the other expects at it.

        Args:
            weights: one for each network, as in the constructor.

        Raises:
            UsageError: their number is another one, or they are out of range.
        """
        other = copy(self)
        other._set_weights(weights)
        return other

    def step(self, tokens: AnyTokenIds, state: MixState | None) -> tuple[Nats, MixState]:
        """Feed every network one token of each text.

        Args:
            tokens: ids, (B,), an array or a list.
            state: the previous state; None is the state before any text.

        Returns:
            Logits of the next token, (B, V), and the next state.

        Raises:
            UsageError: ``tokens`` is a text, or otherwise not a list of ids.
        """
        ids = tokens if isinstance(tokens, np.ndarray) else as_token_ids(tokens)
        before = [None] * len(self._parts) if state is None else [heard.state for heard in state]
        after = tuple([part.step(ids, each) for part, each in zip(self._parts, before, strict=True)])
        return self.logits(after), after

    def logits(self, state: MixState) -> Nats:
        """Return what the mix expects next, (B, V), by its own weights, whichever the state was reached with."""
        mixed = np.tile(self._together, (len(state[0].logits), 1))
        for part, shares, heard in zip(self._parts, self._shares, state, strict=True):
            mixed += shares * log_softmax(heard.logits)[:, part.own]
        return mixed

    def freeze(self, state: MixState, frozen: bool = True) -> MixState:
        """See `Stepper`."""
        return self._map(lambda engine, heard: heard._replace(state=engine.freeze(heard.state, frozen)), state)

    def expand(self, state: MixState, rows: int) -> MixState:
        """See `Stepper`."""
        return self._map(
            lambda engine, heard: Heard(engine.expand(heard.state, rows), heard.logits.repeat(rows, 0)), state
        )

    def select(self, state: MixState, rows: Sequence[int]) -> MixState:
        """See `Stepper`."""
        index = np.asarray(rows)
        return self._map(lambda engine, heard: Heard(engine.select(heard.state, rows), heard.logits[index]), state)

    def join(self, states: Sequence[MixState]) -> MixState:
        """See `Stepper`."""
        joined = []
        for part, several in zip(self._parts, zip(*states, strict=True), strict=True):
            logits = np.concatenate([heard.logits for heard in several])
            joined.append(Heard(part.engine.join([heard.state for heard in several]), logits))
        return tuple(joined)

    def _map(self, function: Callable[[TextModel, Heard], Heard], state: MixState) -> MixState:
        return tuple([function(part.engine, heard) for part, heard in zip(self._parts, state, strict=True)])

    def _set_weights(self, weights: Sequence[float]) -> None:
        self.weights = _normalised(weights, len(self._parts))
        heard = np.array(self.weights)[:, None] * np.array([part.knows for part in self._parts])
        together = heard.sum(0)  # W of each token
        self._shares = heard / np.where(together > 0, together, 1)
        self._together = np.where(together > 0, np.log(np.where(together > 0, together, 1)), _NEVER)


class _Part:
    """One network of a mix, in the tokens of the mix.

    Args:
        engine: the network.
        tokenizer: of the mix.

    Attributes:
        engine: the network.
        knows: which tokens of the mix it knows, (V,).
        own: its own ids of these tokens, (V,); any id for one that it does not know.
    """

    def __init__(self, engine: TextModel, tokenizer: Tokenizer) -> None:
        self.engine, self._tokenizer = engine, tokenizer
        ids = np.arange(tokenizer.vocab_size)
        if isinstance(tokenizer, CharTokenizer) and isinstance(engine.tokenizer, CharTokenizer):
            ids = tokenizer.ids_in(engine.tokenizer)
        self.knows: NDArray[np.bool_] = ids >= 0
        self.own = np.maximum(ids, 0)
        self._fed = ids

    def step(self, tokens: TokenIds, state: Any) -> Heard:
        """Feed the network a token of each text.

        Args:
            tokens: ids of the mix, (B,).
            state: the network's own.

        Returns:
            What it has come to.
        """
        fed = self._fed[tokens]
        if fed.min(initial=0) < 0:  # looked for only when it occurs: alphabets may have thousands of characters
            for token in set(np.asarray(tokens)[fed < 0].tolist()):
                self._fed[token] = self._stand_in(token)
            fed = self._fed[tokens]
        logits, after = self.engine.step(fed, state)
        return Heard(after, logits)

    def _stand_in(self, token: int) -> int:
        """The id that the network is fed for a token of the mix that it does not know."""
        own = self.engine.tokenizer
        assert isinstance(own, CharTokenizer)
        if token != self._tokenizer.unknown_id:
            near = nearest(self._tokenizer.decode((token,)), frozenset(own.alphabet))
            character = next((each for each in near if len(each) == 1), None)
            if character is not None:
                return own.alphabet.index(character)
        if own.unknown_id is not None:
            return own.unknown_id
        return next((own.alphabet.index(blank) for blank in " \n" if blank in own.alphabet), 0)


def _normalised(weights: Sequence[float], count: int) -> tuple[float, ...]:
    """The weights divided by their sum.

    Args:
        weights: as given.
        count: how many there have to be.

    Raises:
        UsageError: there are more or fewer, or one is out of range, or all are 0.
    """
    if len(weights) != count:
        raise UsageError(f"a mix of {count} needs {count} weights, not {len(weights)}")
    for weight in weights:
        if not 0 <= weight < math.inf:
            raise UsageError(f"the weight {weight:g} of a mix must be 0 or more, and finite")
    largest = max(weights)
    if not largest:
        raise UsageError("all weights of the mix are 0", hint="Give one network a weight above 0.")
    parts = [weight / largest for weight in weights]  # since the sum of large ones could overflow
    total = sum(parts)
    return tuple(part / total for part in parts)


def _check_mixable(engines: Sequence[TextModel]) -> None:
    """Check that networks are causal and read the same kind of tokens."""
    if not engines:
        raise UsageError("a mix needs a network")
    first = engines[0].tokenizer
    for number, engine in enumerate(engines, 1):
        if isinstance(engine, BidirectionalEngine):
            raise IncompatibleError(f"network {number} of the mix reads both ways, so it has no next token")
        other = engine.tokenizer
        if other.kind != first.kind:
            what = f"network {number} of the mix reads {_KINDS[other.kind]}, and the first one {_KINDS[first.kind]}"
            raise UsageError(what, hint="Mix networks that read the same.")
        if first.kind == "sentencepiece" and other.to_state() != first.to_state():
            what = f"network {number} of the mix has other subwords than the first one"
            raise UsageError(what, hint="Mix networks of one subword tokenizer.")


def _union(tokenizers: Sequence[Tokenizer]) -> Tokenizer:
    """The tokenizer of a mix. Different alphabets are sorted, so that the order of the networks changes nothing."""
    characters = [each for each in tokenizers if isinstance(each, CharTokenizer)]
    alphabets = {each.alphabet for each in characters}
    if not alphabets:
        return tokenizers[0]
    unknown = any(each.unknown_id is not None for each in characters)
    alphabet = alphabets.pop() if len(alphabets) == 1 else sorted(set().union(*alphabets))
    return CharTokenizer(alphabet, unknown=unknown)
