"""Filling blanks in a text, by a network that writes on or by one that reads both ways. NumPy only, no torch.

Candidates grow from the left, a token at a time, the best K kept (beam search). What stands behind a blank then weighs
them: x fills it as well as the whole text is likely with x in it ::

    log p(x | left, right) = log p(x | left) + log p(right | left x) - what is the same for every x

A network that writes on proposes blind and weighs every token to the text's end. One that reads both ways proposes with
the right side in view, and that is all, unless the length is free: as p(x | left, right, n hidden) tells nothing of n,
a few tokens of the right are hidden as well, and weighed.

With a temperature above 0 the K are drawn without replacement, and the answers from what was weighed: see `beam`.

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
from charlstm.beam import Beam, log_softmax
from charlstm.blanks import Blank, Blanked, parse, place_of
from charlstm.engine import BidirectionalEngine, Engine
from charlstm.errors import UnknownCharacter, UsageError
from charlstm.filters import Logits, TokenIds
from charlstm.prompts import Unknown, fit_prompt, opening
from charlstm.sampling import Position, Stepper, advance, read
from charlstm.tokenizers import Tokenizer

HIDDEN = -1
"""Stands in a layout for a token that nobody has seen yet."""

_NEAR = 16  # tokens behind a blank after which candidates of all lengths are compared
_HOPELESS = 30.0  # nats behind the best, at which what follows need not be read
_SETTLED = 50  # tokens in a row that all candidates expect alike, after which they always will
_DIFFERS = 1e-4  # nats
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


def reader_of(engine: Engine | BidirectionalEngine) -> Reader:
    """A network of either kind, ready to fill."""
    return engine if isinstance(engine, BidirectionalEngine) else WritesOn(engine)


def fitted(
    tokenizer: Tokenizer, text: str, unknown: Unknown = "error", *, remedy: str = 'unknown="{}"'
) -> tuple[Blanked, Blanked, list[str]]:
    """A text with its blanks as it was typed, the same in characters the model can read, and a line about each change.

    Args:
        tokenizer: the model's.
        text: with blanks as `blanks.parse` reads them.
        unknown: what is read for a character the model does not know, as `prompts.fit_prompt`.
        remedy: as `prompts.fit_prompt`.

    Raises:
        UnknownCharacter: a character the model does not know.
        UsageError: no blank, or one that cannot be.
    """
    typed = parse(text)
    try:
        _, notes = fit_prompt(tokenizer, "".join(typed.texts), unknown, remedy=remedy)
    except UnknownCharacter as fault:  # its place is that in what was typed, the blanks among it
        place = place_of(text, fault.character)
        raise UnknownCharacter(fault.character, place, where="text", hint=fault.hint) from None
    texts = tuple(fit_prompt(tokenizer, part, unknown)[0] for part in typed.texts)
    return typed, replace(typed, texts=texts), notes


def fill(
    reader: Reader, tokenizer: Tokenizer, blanked: Blanked, config: FillConfig, *, shown: Blanked | None = None
) -> list[Filling]:
    """Fill blanks, the likeliest answer first.

    Where the text ends with a blank, a word is taken to end there.

    Args:
        reader: the network.
        tokenizer: its tokenizer; a blank is as many of its tokens.
        blanked: the text, in characters the tokenizer knows.
        config: how many answers, and how they are found.
        shown: the text as it is to stand in the answers, if that is not how it is read.

    Returns:
        ``config.count`` fillings, or as many as there are.

    Raises:
        CheckpointError: the network gave a number that is not finite.
        UsageError: there is no token that may stand in a blank.
    """
    answers = _Search(reader, tokenizer, blanked, config).run()
    return [Filling((shown or blanked).filled(blanks), blanks, share) for blanks, share in answers]


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


@dataclass(frozen=True)
class _Candidates:
    """Ways to fill the first blanks, side by side."""

    left: Any
    """What the reader makes of each, and of all that stands left of the place."""
    fillings: tuple[tuple[tuple[int, ...], ...], ...]
    """Of each the ids in each blank so far."""
    beam: Beam


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

    def run(self) -> list[tuple[tuple[str, ...], float]]:
        """What stands in the blanks, and its share among all candidates; the likeliest first."""
        left = self._reader.begin(self._texts[0] or opening(self._tokenizer))
        candidates = _Candidates(left, ((),), Beam.start(self._config.temperature, self._random))
        for number in range(len(self._blanked.blanks)):
            candidates = self._fill(candidates, number)
        return self._answers(candidates)

    def _fill(self, candidates: _Candidates, number: int) -> _Candidates:
        """Fill the blank of that number, and read the text behind it as far as that is needed."""
        blank, known = self._blanked.blanks[number], self._texts[number + 1]
        last = number == len(self._blanked.blanks) - 1
        weighed = self._reader.weighs(blank)
        weighed = len(known) if weighed is None else min(weighed, len(known))
        needed = weighed if last else len(known)
        lengths = []
        for length, grown in self._lengths(candidates, blank):
            layout = self._reader.layout([HIDDEN] * (length + weighed) + known[weighed:] + self._rest(number + 1))
            for place in range(length):
                grown = self._grow(grown, layout, place)
            for place, token in enumerate(known[: min(_NEAR, needed)]):
                grown = self._read(grown, token, layout, length + place, weighed=place < weighed)
            lengths.append(self._end(grown, layout, length) if last and self._word_ends else grown)
        candidates = self._joined(lengths)
        candidates = self._kept(candidates, candidates.beam.best(self._config.width))
        return self._read_on(candidates, known[_NEAR:needed], weighed=weighed > _NEAR, last=last)

    def _read_on(self, candidates: _Candidates, known: Sequence[int], *, weighed: bool, last: bool) -> _Candidates:
        """Read what stands farther behind a blank, and no more of it than could still make a difference.

        Whoever weighs as much as this looks at no layout: it is all that `WritesOn` knows of the right side.
        """
        settled = 0
        for place, token in enumerate(known):
            if settled == _SETTLED:  # all have come to expect the same, so that one can read on for all
                return candidates if last else self._read_as_one(candidates, known[place:])
            candidates = self._hopeful(candidates)
            before = candidates.beam.nats
            candidates = self._read(candidates, token, None, 0, weighed=weighed)
            differs = np.ptp(candidates.beam.nats - before) > _DIFFERS
            settled = settled + 1 if weighed and not differs else 0
        return candidates

    def _read_as_one(self, candidates: _Candidates, known: Sequence[int]) -> _Candidates:
        left = self._reader.select(candidates.left, [int(candidates.beam.key.argmax())])
        for token in known:
            left = self._reader.advance(left, np.array([token]))
        return replace(candidates, left=self._reader.select(left, [0] * len(candidates.fillings)))

    def _rest(self, number: int) -> list[int]:
        """What stands behind the text of that number, from its blank on."""
        tokens: list[int] = []
        for blank, text in zip(self._blanked.blanks[number:], self._texts[number + 1 :], strict=True):
            tokens += [HIDDEN] * min(blank.longest, max(blank.shortest, _LIKELY)) + text
        return tokens + [HIDDEN] * bool(self._word_ends)

    def _lengths(self, candidates: _Candidates, blank: Blank) -> Iterator[tuple[int, _Candidates]]:
        """What to begin with for each length of a blank, all lengths equally likely."""
        lengths = range(blank.shortest, blank.longest + 1)
        rows = len(candidates.fillings)
        children = candidates.beam.branch(np.zeros((rows, len(lengths))), self._random)
        fillings = tuple((*filling, ()) for filling in candidates.fillings)
        for column, length in enumerate(lengths):
            places = np.arange(rows) * len(lengths) + column
            yield length, _Candidates(candidates.left, fillings, children.select(places))

    def _grow(self, candidates: _Candidates, layout: Any, place: int) -> _Candidates:
        """Put every token at the place in every candidate, and keep the best."""
        logits = filters.ban(self._reader.predict(candidates.left, layout, place), self._banned)
        children = candidates.beam.branch(logits, self._random)
        chosen = children.best(self._config.width)
        rows, ids = np.divmod(chosen, logits.shape[1])
        left = self._reader.advance(self._reader.select(candidates.left, rows.tolist()), ids)
        fillings = tuple(
            (*candidates.fillings[row][:-1], (*candidates.fillings[row][-1], token))
            for row, token in zip(rows.tolist(), ids.tolist(), strict=True)
        )
        return _Candidates(left, fillings, children.select(chosen))

    def _read(self, candidates: _Candidates, token: int, layout: Any, place: int, *, weighed: bool) -> _Candidates:
        """Read a known token, and let its likelihood count if it is to be weighed."""
        beam = candidates.beam
        if weighed:
            beam = beam.weigh(log_softmax(self._reader.predict(candidates.left, layout, place))[:, token])
        left = self._reader.advance(candidates.left, np.full(len(beam.key), token))
        return _Candidates(left, candidates.fillings, beam)

    def _end(self, candidates: _Candidates, layout: Any, place: int) -> _Candidates:
        """Weigh that a word ends here."""
        ending = log_softmax(self._reader.predict(candidates.left, layout, place))[:, self._word_ends]
        return replace(candidates, beam=candidates.beam.weigh(np.logaddexp.reduce(ending, axis=1)))

    def _joined(self, parts: Sequence[_Candidates]) -> _Candidates:
        left = self._reader.join([part.left for part in parts])
        fillings = tuple(filling for part in parts for filling in part.fillings)
        return _Candidates(left, fillings, Beam.join([part.beam for part in parts]))

    def _kept(self, candidates: _Candidates, rows: NDArray[np.intp]) -> _Candidates:
        if len(rows) == len(candidates.fillings):
            return candidates
        fillings = tuple(candidates.fillings[row] for row in rows.tolist())
        left = self._reader.select(candidates.left, rows.tolist())
        return _Candidates(left, fillings, candidates.beam.select(rows))

    def _hopeful(self, candidates: _Candidates) -> _Candidates:
        """Without those that nothing could bring back, but never fewer than are asked for."""
        key = candidates.beam.key
        lowest = min(key.max() - _HOPELESS, np.sort(key)[-self._config.count :][0])
        return self._kept(candidates, np.flatnonzero(key >= lowest))

    def _answers(self, candidates: _Candidates) -> list[tuple[tuple[str, ...], float]]:
        shares = np.exp(log_softmax(candidates.beam.nats[None])[0])
        found: dict[tuple[str, ...], float] = {}  # the best first
        for row in candidates.beam.best(len(shares)).tolist():
            blanks = tuple(self._tokenizer.decode(ids) for ids in candidates.fillings[row])
            # Parts of words can spell the same text in two ways.
            found[blanks] = found.get(blanks, 0.0) + float(shares[row])
        if self._tokenizer.kind != "char":  # bytes need not be characters; whole ones are wanted if there are any
            found = {blanks: share for blanks, share in found.items() if "\ufffd" not in "".join(blanks)} or found
        chosen = list(found.items())[: self._config.count]
        return sorted(chosen, key=lambda answer: -answer[1])


def _word_ends(tokenizer: Tokenizer) -> list[int]:
    """Tokens that begin with a space, a line's end or a punctuation mark."""
    texts = ((token, tokenizer.decode((token,))) for token in range(tokenizer.vocab_size))
    return [token for token, text in texts if text and (text[0].isspace() or unicodedata.category(text[0])[0] == "P")]
