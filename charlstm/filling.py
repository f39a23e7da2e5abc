"""Filling blanks in a text, by a network that writes on or by one that reads both ways. NumPy only, no torch.

Candidates grow from the left, a token at a time, the best K kept (beam search). What stands behind a blank then weighs
them: x fills it as well as the whole text is likely with x in it ::

    log p(x | left, right) = log p(x | left) + log p(right | left x) - what is the same for every x

A network that writes on proposes blind and weighs every token to the text's end. One that reads both ways proposes with
the right side in view, and that is all, unless the length is free: as p(x | left, right, n hidden) tells nothing of n,
a few tokens of the right are hidden as well, and weighed.

With a temperature T above 0 the K are drawn without replacement, and so are the answers from what was weighed, both by
adding Gumbel noise to log p / T and taking the highest (stochastic beam search: Kool, van Hoof & Welling 2019).

Letters: B candidates side by side, V the vocabulary.
"""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from charlstm import filters
from charlstm.blanks import Blank, Blanked
from charlstm.engine import BidirectionalEngine, Engine
from charlstm.errors import UsageError
from charlstm.filters import Logits, TokenIds
from charlstm.prompts import Unknown, fit_prompt, opening
from charlstm.sampling import Position, Stepper, advance, read
from charlstm.tokenizers import Tokenizer

_Scores = NDArray[np.float64]
"""Log-probabilities, in nats."""

HIDDEN = -1
"""Stands in a layout for a token that nobody has seen yet."""

_NEAR = 16  # tokens behind a blank after which candidates of all lengths are compared
_HOPELESS = 30.0  # nats behind the best, at which what follows need not be read
_PREVIEW_EVERY = 28  # tokens from gap to gap
_LIKELY = 4  # tokens a blank of free length is taken to have while it is not its turn


@dataclass(frozen=True)
class FillConfig:
    """How blanks are filled.

    Raises:
        UsageError: a value outside its range.
    """

    count: int = 1
    """Alternatives to give, all different."""
    temperature: float = 0.0
    """0 gives the likeliest; above it alternatives are drawn, their log-probabilities divided by it."""
    candidates: int = 100
    """K, how many are weighed."""
    newlines: bool = False
    """Whether a blank may run over the end of a line."""
    seed: int | None = None
    """Of the draw; None takes fresh entropy."""

    def __post_init__(self) -> None:
        ranges = {
            "n": (self.count, self.count >= 1, "1 or more"),
            "temperature": (self.temperature, 0 <= self.temperature < math.inf, "0 (the likeliest) or more"),
            "candidates": (self.candidates, self.candidates >= 1, "1 or more"),
            "seed": (self.seed, self.seed is None or self.seed >= 0, "0 or more"),
        }
        for name, (value, fits, rule) in ranges.items():
            if not fits:
                raise UsageError(f"{name} = {value!r}: must be {rule}")

    @property
    def width(self) -> int:
        """How many candidates are kept: never fewer than are asked for."""
        return max(self.count, self.candidates)


@dataclass(frozen=True)
class Filling:
    """One way to fill all blanks of a text."""

    text: str
    """The whole text."""
    blanks: tuple[str, ...]
    """What stands in each blank."""
    probability: float
    """Its share among all candidates that were weighed, by the network itself: at temperature 1."""


class Reader(Protocol):
    """A network that knows what may stand at a place, from what stands to the left and perhaps to the right.

    ``left`` is a value of its own: B rows, each having read what stands left of the place.
    """

    def begin(self, left: Sequence[int]) -> Any:
        """Read what stands before the first blank, at least a token; gives a left of one row."""

    def layout(self, tokens: Sequence[int]) -> Any:
        """Look at all that stands from a blank on, `HIDDEN` where it is not known."""

    def predict(self, left: Any, layout: Any, place: int) -> Logits:
        """What may stand at a place of the layout that is hidden, (B, V); left has read all before it."""

    def advance(self, left: Any, ids: TokenIds) -> Any:
        """Read one token a row, ids (B,)."""

    def select(self, left: Any, rows: Sequence[int]) -> Any:
        """Some rows, in the order given, any number of times."""

    def join(self, lefts: Sequence[Any]) -> Any:
        """All rows of several, one below the other."""

    def weighs(self, blank: Blank) -> int | None:
        """How many of the tokens behind a blank have to be weighed; None is all."""


class WritesOn:
    """A network that writes on, as a `Reader`: what stands to the right it has not seen.

    Args:
        stepper: the network.
    """

    def __init__(self, stepper: Stepper) -> None:
        self._stepper = stepper

    def begin(self, left: Sequence[int]) -> Position:
        """See `Reader`."""
        return read(self._stepper, left)

    def layout(self, tokens: Sequence[int]) -> None:
        """Nothing: it is not looked at."""

    def predict(self, left: Position, layout: Any, place: int) -> Logits:
        """See `Reader`."""
        return left.logits

    def advance(self, left: Position, ids: TokenIds) -> Position:
        """See `Reader`."""
        return advance(self._stepper, left, ids)

    def select(self, left: Position, rows: Sequence[int]) -> Position:
        """See `Reader`."""
        return Position(left.logits[rows], self._stepper.select(left.state, rows))

    def join(self, lefts: Sequence[Position]) -> Position:
        """See `Reader`."""
        logits = np.concatenate([left.logits for left in lefts])
        return Position(logits, self._stepper.join([left.state for left in lefts]))

    def weighs(self, blank: Blank) -> None:
        """All: of what follows it knows nothing else."""


def fitted(tokenizer: Tokenizer, blanked: Blanked, unknown: Unknown, *, remedy: str) -> tuple[Blanked, list[str]]:
    """The text between the blanks in characters the model can read, as `prompts.fit_prompt` does it."""
    _, notes = fit_prompt(tokenizer, "".join(blanked.texts), unknown, remedy=remedy)
    texts = tuple(fit_prompt(tokenizer, text, unknown)[0] for text in blanked.texts)
    return replace(blanked, texts=texts), notes


def reader_of(engine: Engine | BidirectionalEngine) -> Reader:
    """A network of either kind, ready to fill."""
    return engine if isinstance(engine, BidirectionalEngine) else WritesOn(engine)


@dataclass(frozen=True)
class _Beam:
    """Candidates side by side."""

    left: Any
    fillings: tuple[tuple[tuple[int, ...], ...], ...]
    """Of each row the ids in each blank so far."""
    nats: _Scores
    """(B,) log-probability of all that was weighed, by the network itself."""
    warm: _Scores
    """(B,) the same at the temperature."""
    key: _Scores
    """(B,) what decides who stays: ``nats``, or ``warm`` with noise."""


def fill(reader: Reader, tokenizer: Tokenizer, blanked: Blanked, config: FillConfig) -> list[Filling]:
    """Fill the blanks of a text; the likeliest first.

    Where the text ends with a blank, a word is taken to end there.

    Args:
        reader: the network.
        tokenizer: its tokenizer; a blank is as many of its tokens.
        blanked: the text, in characters the tokenizer knows.
        config: how many alternatives, and how they are found.

    Returns:
        ``config.count`` fillings, or as many as there are.

    Raises:
        CheckpointError: the network gave a number that is not finite.
    """
    return _Search(reader, tokenizer, blanked, config).run()


def preview(reader: Reader, tokenizer: Tokenizer, ids: Sequence[int]) -> str:
    """A passage in which every so often four tokens are filled anew, in brackets; always the same for the same weights.

    Args:
        reader: the network.
        tokenizer: its tokenizer.
        ids: of the passage.
    """
    texts, gap = [], 4
    for begin in range(0, len(ids), _PREVIEW_EVERY):
        texts.append(tokenizer.decode(ids[begin + (gap if begin else 0) : begin + _PREVIEW_EVERY]))
    blanked = Blanked(tuple(texts), (Blank(gap, gap),) * (len(texts) - 1))
    if not blanked.blanks:
        return texts[0] if texts else ""
    best, *_ = fill(reader, tokenizer, blanked, FillConfig(candidates=10))
    return blanked.filled(tuple(f"[{filling}]" for filling in best.blanks))


class _Search:
    def __init__(self, reader: Reader, tokenizer: Tokenizer, blanked: Blanked, config: FillConfig) -> None:
        self._reader, self._tokenizer, self._blanked, self._config = reader, tokenizer, blanked, config
        self._texts = [tokenizer.encode(text).tolist() for text in blanked.texts]
        self._banned = [] if tokenizer.unknown_id is None else [tokenizer.unknown_id]
        if not config.newlines:
            self._banned += [token for token in range(tokenizer.vocab_size) if b"\n" in tokenizer.token_bytes(token)]
        if len(self._banned) == tokenizer.vocab_size:
            raise UsageError("there is no token that may stand in a blank")
        self._word_ends = [] if self._texts[-1] else _word_ends(tokenizer)
        self._random = np.random.default_rng(config.seed)

    def run(self) -> list[Filling]:
        left = self._reader.begin(self._texts[0] or opening(self._tokenizer))
        noise = self._random.gumbel(size=1) if self._config.temperature >= filters.COLDEST else np.zeros(1)
        beam = _Beam(left, ((),), np.zeros(1), np.zeros(1), noise)
        for number, blank in enumerate(self._blanked.blanks):
            known = self._texts[number + 1]
            weighed = self._reader.weighs(blank)
            weighed = len(known) if weighed is None else min(weighed, len(known))
            last = number == len(self._blanked.blanks) - 1
            read = weighed if last else len(known)  # behind the last blank nobody needs what is not weighed
            beams = []
            for length, grown in self._lengths(beam, blank):
                layout = self._reader.layout([HIDDEN] * (length + weighed) + known[weighed:] + self._rest(number + 1))
                for place in range(length):
                    grown = self._grow(grown, layout, place)
                for place, token in enumerate(known[: min(_NEAR, read)]):
                    grown = self._read(grown, token, layout, length + place, weighed=place < weighed)
                beams.append(self._end(grown, layout, length) if last and self._word_ends else grown)
            beam = self._joined(beams)
            beam = self._kept(beam, _highest(beam.key, self._config.width))
            for place, token in enumerate(known[_NEAR:read], _NEAR):
                # Only the unbounded weighing of `WritesOn` comes this far, and it looks at no layout.
                beam = self._read(self._hopeful(beam), token, None, 0, weighed=place < weighed)
        return self._answers(beam)

    def _rest(self, number: int) -> list[int]:
        """What stands behind the text of that number, from its blank on."""
        tokens: list[int] = []
        for blank, text in zip(self._blanked.blanks[number:], self._texts[number + 1 :], strict=True):
            tokens += [HIDDEN] * min(blank.longest, max(blank.shortest, _LIKELY)) + text
        return tokens + [HIDDEN] * bool(self._word_ends)

    def _lengths(self, beam: _Beam, blank: Blank) -> Iterator[tuple[int, _Beam]]:
        """A beam to begin with for each length, all lengths equally likely."""
        lengths = range(blank.shortest, blank.longest + 1)
        nats, warm, key = self._branch(beam, np.zeros((len(beam.nats), len(lengths))))
        fillings = tuple((*row, ()) for row in beam.fillings)
        for column, length in enumerate(lengths):
            yield length, _Beam(beam.left, fillings, nats[:, column], warm[:, column], key[:, column])

    def _grow(self, beam: _Beam, layout: Any, place: int) -> _Beam:
        """Put every token at the place in every row, and keep the best."""
        logits = filters.ban(self._reader.predict(beam.left, layout, place), self._banned)
        nats, warm, key = (part.ravel() for part in self._branch(beam, logits))
        chosen = _highest(key, self._config.width)
        rows, ids = np.divmod(chosen, logits.shape[1])
        left = self._reader.advance(self._reader.select(beam.left, rows.tolist()), ids)
        fillings = tuple(
            (*beam.fillings[row][:-1], (*beam.fillings[row][-1], token))
            for row, token in zip(rows.tolist(), ids.tolist(), strict=True)
        )
        return _Beam(left, fillings, nats[chosen], warm[chosen], key[chosen])

    def _branch(self, beam: _Beam, logits: Logits) -> tuple[_Scores, _Scores, _Scores]:
        """The scores of every row's children, each (B, children): nats, warm and key."""
        nats = beam.nats[:, None] + _log_softmax(logits)
        warmth = self._config.temperature
        if warmth < filters.COLDEST:
            return nats, nats, nats
        warm = beam.warm[:, None] + _log_softmax(logits / warmth)
        # Gumbel noise for every child, such that the highest comes out where its parent's was (Kool et al., section 3).
        noisy = warm + self._random.gumbel(size=warm.shape)
        with np.errstate(divide="ignore"):  # log 0 of the highest itself, which is then its parent's
            below = np.log1p(-np.exp(noisy - noisy.max(1, keepdims=True)))
        gap = beam.key[:, None] - noisy + below
        return nats, warm, beam.key[:, None] - np.maximum(0, gap) - np.log1p(np.exp(-np.abs(gap)))

    def _read(self, beam: _Beam, token: int, layout: Any, place: int, *, weighed: bool) -> _Beam:
        """Read a known token, and let its likelihood count if it is to be weighed."""
        if weighed:
            beam = self._weigh(beam, _log_softmax(self._reader.predict(beam.left, layout, place))[:, token])
        return replace(beam, left=self._reader.advance(beam.left, np.full(len(beam.nats), token)))

    def _end(self, beam: _Beam, layout: Any, place: int) -> _Beam:
        """Weigh that a word ends here."""
        ending = _log_softmax(self._reader.predict(beam.left, layout, place))[:, self._word_ends]
        return self._weigh(beam, np.logaddexp.reduce(ending, axis=1))

    def _weigh(self, beam: _Beam, gained: _Scores) -> _Beam:
        warm = gained if self._config.temperature < filters.COLDEST else gained / self._config.temperature
        return replace(beam, nats=beam.nats + gained, warm=beam.warm + warm, key=beam.key + warm)

    def _joined(self, beams: Sequence[_Beam]) -> _Beam:
        return _Beam(
            self._reader.join([beam.left for beam in beams]),
            tuple(filling for beam in beams for filling in beam.fillings),
            np.concatenate([beam.nats for beam in beams]),
            np.concatenate([beam.warm for beam in beams]),
            np.concatenate([beam.key for beam in beams]),
        )

    def _kept(self, beam: _Beam, rows: NDArray[np.intp]) -> _Beam:
        if len(rows) == len(beam.nats):
            return beam
        fillings = tuple(beam.fillings[row] for row in rows.tolist())
        left = self._reader.select(beam.left, rows.tolist())
        return _Beam(left, fillings, beam.nats[rows], beam.warm[rows], beam.key[rows])

    def _hopeful(self, beam: _Beam) -> _Beam:
        """Without the rows that nothing could bring back, but never fewer than are asked for."""
        lowest = min(beam.key.max() - _HOPELESS, np.sort(beam.key)[-self._config.count :][0])
        return self._kept(beam, np.flatnonzero(beam.key >= lowest))

    def _answers(self, beam: _Beam) -> list[Filling]:
        shares = np.exp(_log_softmax(beam.nats[None])[0])
        found: dict[tuple[str, ...], Filling] = {}
        for row in _highest(beam.key, len(beam.key)).tolist():
            blanks = tuple(self._tokenizer.decode(ids) for ids in beam.fillings[row])
            share = float(shares[row])
            if blanks in found:  # pieces of words can spell the same text in two ways
                share += found[blanks].probability
            elif len(found) == self._config.count:
                continue
            found[blanks] = Filling(self._blanked.filled(blanks), blanks, share)
        return sorted(found.values(), key=lambda filling: -filling.probability)


def _log_softmax(logits: Logits) -> _Scores:
    """Log-probabilities of each row, in nats."""
    shifted = logits.astype(np.float64) - logits.max(axis=1, keepdims=True)
    logs: _Scores = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return logs


def _highest(keys: _Scores, most: int) -> NDArray[np.intp]:
    """Where the highest keys are, the highest first; never one of minus infinity."""
    order = np.argsort(-keys, kind="stable")[:most]
    return order[keys[order] > -math.inf]


def _word_ends(tokenizer: Tokenizer) -> list[int]:
    """Tokens that begin with a space, a line's end or a punctuation mark."""
    texts = ((token, tokenizer.decode((token,))) for token in range(tokenizer.vocab_size))
    return [token for token, text in texts if text and (text[0].isspace() or unicodedata.category(text[0])[0] == "P")]
