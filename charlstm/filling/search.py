"""The search for what stands in the blanks of a text."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from charlstm.errors import UsageError
from charlstm.filling.beam import Beam, log_softmax
from charlstm.filling.blanks import Blank, Blanked
from charlstm.filling.config import FillConfig
from charlstm.filling.readers import HIDDEN, Reader
from charlstm.sampling import filters
from charlstm.sampling.prompts import opening
from charlstm.tokenizers import Tokenizer

_NEAR = 16  # tokens behind a blank after which candidates of all lengths are compared
_HOPELESS = 30.0  # nats behind the best, at which what follows need not be read
_SETTLED = 50  # tokens in a row that all candidates expect alike, after which they always will
_DIFFERS = 1e-4  # nats
_LIKELY = 4  # tokens a blank of free length is taken to have while it is not its turn


@dataclass(frozen=True)
class _Candidates:
    """Ways to fill the first blanks, side by side."""

    left: Any
    """What the reader makes of each, and of all that stands left of the place."""
    fillings: tuple[tuple[tuple[int, ...], ...], ...]
    """Of each the ids in each blank so far."""
    beam: Beam


class Search:
    """A search for what stands in the blanks of one text.

    Args:
        reader: the network, as a search asks it.
        tokenizer: of the network.
        blanked: the text and its blanks.
        config: how many candidates, how they are drawn, how many are wanted.
    """

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
        weighed = self._reader.weighs(blank.free)
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
