r"""Drawing text in pairs of lines that rhyme.

A rule alone would let the second line go astray until a word that rhymes comes by. So each line is put together from
its end: some lines are drawn side by side, and each place in them is weighed where a line could end, by the network's
own probability of ending it there, with that word ::

    first line       w = p(end | the line so far, up to the end of a word that others rhyme with)
    second line      w = p(word that rhymes, end | the line so far, up to the beginning of a word)

One is drawn by weight. What stands before it was drawn from the network, so this is a draw from the network's
distribution among the lines that end like that (importance resampling; Rubin 1987), the better the more lines there are
to choose from. The words that rhyme are tried letter by letter, the likeliest ones side by side.

A line may end without a mark, and a pair within a sentence, which counts for less: so lines are phrases, also where
those of the training text are of a page and not of verse. A pair is handed on when both of its lines are found, so no
line has to be taken back.
"""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from operator import itemgetter

import numpy as np
from numpy.typing import NDArray

from charlstm.engine.protocol import TextModel
from charlstm.errors import UsageError
from charlstm.sampling import filters
from charlstm.sampling.config import SampleConfig
from charlstm.sampling.fragments import Fragment, Row
from charlstm.sampling.generate import Rows
from charlstm.sampling.guides import Guide
from charlstm.sampling.position import Position, advance, freeze, join_rows, select_row
from charlstm.sampling.prompts import banned_ids
from charlstm.sampling.repeats import WINDOW
from charlstm.sampling.rules.rhymes import Rhymes, last_word
from charlstm.tokenizers import Ids

LINES = 32
"""Lines to choose from."""
_SHORTEST, _LONGEST = 24, 60
"""Characters of a first line; the second one has about as many as the first."""
_LEAST_SHARE, _MOST_SHARE = 0.75, 1.3
_FEWEST = 4
"""Words that rhyme with the first line, unless no line has as many."""
_BEST = 64
"""Places that are looked at side by side."""
_HOPELESS = 12.0
"""Nats behind the best place from which on one is not looked at: together they would win once in thousands of lines."""
_MARKS, _SENTENCE = ",.;:!?", ".!?"
"""What may stand between a line's last word and its end."""
_WITHOUT_MARK, _GOES_ON = -8.0, -2.0
"""What is added to the logarithm of the weight of a line that ends without a mark; of a second one that ends within a
sentence."""
_TRIES = 10


@dataclass(frozen=True)
class _Place:
    """A line so far, and all that is needed to go on with it."""

    tokens: tuple[int, ...]
    text: str
    position: Position
    row: int
    """Of the position."""
    scores: NDArray[np.float64]
    """The logarithm of the probability of each token after it, (V,)."""
    guide: Guide | None
    nats: float = 0.0
    """The logarithm of its weight."""

    def allows(self, token: int) -> bool:
        """Whether the rules allow a token here."""
        return self.guide is None or bool(self.guide.allowed()[token])


class Couplets:
    """Draws lines for one network.

    Args:
        model: the network, one of characters, with a newline among them.
        rhymes: the words that can rhyme.
        config: filters and temperature.
        lines: how many lines there are to choose from.
    """

    def __init__(self, model: TextModel, rhymes: Rhymes, config: SampleConfig, lines: int = LINES) -> None:
        self._model, self._rhymes, self._config, self._lines = model, rhymes, config, lines
        self._marks = [mark for mark in _MARKS if not model.tokenizer.unknown_characters(mark)]
        self._token_of = cache(lambda character: int(model.tokenizer.encode(character)[0]))
        self._newline = self._token_of("\n")

    def write(
        self,
        start: Position,
        row: Row,
        rng: np.random.Generator,
        *,
        recent: Sequence[int] | Ids = (),
        column: int = 0,
        guide: Guide | None = None,
    ) -> Iterator[Fragment]:
        """Draw one text, which ends with a pair of lines, or where its stop rules say.

        Args:
            start: the position after what stands before it, of one row.
            row: the row that the text becomes.
            rng: the text's generator.
            recent: the ids before it.
            column: the characters of the line that it begins in.
            guide: the rules that it keeps.

        Yields:
            The fragments of the text, pair by pair. Advancing it raises a `UsageError` if no pair is found.
        """
        position, tokens = freeze(self._model, start), [int(token) for token in recent[-WINDOW:]]
        while True:
            pair = self._pair(position, guide, tokens, column, rng)
            for number, token in enumerate(pair, 1):
                ids, logits = np.array([token]), position.logits[0]
                nats = float(filters.log_probabilities(position.logits, ids)[0])
                position = advance(self._model, position, ids)
                guide = guide and guide.advance(token)
                may_end = number == len(pair) and (guide is None or guide.may_end())
                fragment = row.push(token, nats, may_end=may_end, over=_is_over(guide))
                yield fragment._replace(logits=logits)
                if fragment.finish_reason:
                    return
            tokens, column = [*tokens, *pair][-WINDOW:], 0

    def _pair(
        self, start: Position, guide: Guide | None, recent: Sequence[int], column: int, rng: np.random.Generator
    ) -> tuple[int, ...]:
        """The tokens of a pair of lines; or of the first one, if the rules end the text with it."""
        begin = _Place((), "", start, 0, self._scores(start)[0], guide)
        for _ in range(_TRIES):
            first = self._choose(self._first_lines(begin, recent, column, rng), rng)
            if first is None:
                continue
            end = self._after(first)
            if _is_over(end.guide):
                return first.tokens
            words = self._rhymes.of(last_word(first.text.rstrip("\n" + _MARKS)))
            size = column + len(first.text) - 1
            second = self._choose(self._second_lines(end, (*recent, *first.tokens), size, words, rng), rng)
            if second is not None:
                return first.tokens + second.tokens
        hint = "Try another seed, a longer `max_line`, or fewer rules."
        raise UsageError(f"no pair of lines that rhyme was found in {_TRIES} tries", hint=hint)

    def _first_lines(self, begin: _Place, recent: Sequence[int], column: int, rng: np.random.Generator) -> list[_Place]:
        """First lines, each with its end."""
        longest = max(8, _LONGEST - column)
        drawn = self._drawn(begin, recent, longest, rng)
        size = max((len(place.text) for place in drawn), default=0)  # rules may not let a line be long
        shortest = min(max(0, _SHORTEST - column), size // 2)
        long_enough = [place for place in drawn if len(place.text) >= shortest]
        choices = [len(self._rhymes.of(last_word(place.text))) for place in long_enough]
        least = min(_FEWEST, max(choices, default=0)) or 1
        return self._ended([place for place, words in zip(long_enough, choices, strict=True) if words >= least])

    def _second_lines(
        self, begin: _Place, recent: Sequence[int], size: int, words: Collection[str], rng: np.random.Generator
    ) -> list[_Place]:
        """Second lines, each with a word that rhymes, and its end."""
        shortest, longest = int(size * _LEAST_SHARE), max(8, int(size * _MOST_SHARE))
        least, most = shortest - max(map(len, words)), longest - min(map(len, words))
        drawn = self._drawn(begin, recent, longest, rng)
        # Lines begin alike, so early places weigh most: those that no word makes long enough would crowd out others.
        fitting = [place for place in drawn if least <= len(place.text) <= most]
        complete = self._with_words([place for place in fitting if not place.text or place.text[-1].isspace()], words)
        return self._ended([place for place in complete if shortest <= len(place.text) <= longest], _GOES_ON)

    def _drawn(self, begin: _Place, recent: Sequence[int], longest: int, rng: np.random.Generator) -> list[_Place]:
        """All places within some lines that are drawn side by side; one in several lines has their weights together."""
        rows = Rows(
            self._model, begin.position, self._config, self._lines,
            recent=recent, banned=banned_ids(self._model.tokenizer), guide=begin.guide,
        )  # fmt: skip
        rngs = rng.spawn(self._lines)
        places: dict[tuple[int, ...], _Place] = {}
        counts: Counter[tuple[int, ...]] = Counter()
        lines: dict[int, tuple[tuple[int, ...], str, Guide | None]]
        lines = dict.fromkeys(range(self._lines), ((), "", begin.guide))
        for place in range(longest):
            draw = rows.draw(rngs, self._newline if place == 0 else None)  # an empty line has no rhyme
            scores = self._scores(draw.position)
            for row, (tokens, text, guide) in tuple(lines.items()):
                counts[tokens] += 1
                places.setdefault(tokens, _Place(tokens, text, draw.position, row, scores[row], guide))
                token = int(draw.ids[row])
                if token == self._newline or (draw.over and draw.over[row]):
                    del lines[row]
                    continue
                guide = draw.guides[row] if draw.guides else None
                lines[row] = (*tokens, token), text + self._model.tokenizer.decode((token,)), guide
            if not lines:
                break
            rows.feed(draw.ids)
        return [replace(place, nats=math.log(counts[tokens])) for tokens, place in places.items()]

    def _with_words(self, places: list[_Place], words: Collection[str]) -> list[_Place]:
        """Go on with one of some words, letter by letter; the likeliest."""
        following: dict[str, set[str]] = {}
        for word in words:
            for place in range(len(word)):
                following.setdefault(word[:place], set()).add(word[place])
        complete: list[_Place] = []
        begun = [(place, "") for place in places]
        while begun:
            steps = [(place, letters, letter) for place, letters in begun for letter in following.get(letters, ())]
            advanced = self._advance([(place, letter) for place, _, letter in steps])
            begun = [(place, steps[number][1] + steps[number][2]) for number, place in advanced]
            complete += [place for place, letters in begun if letters in words]
        return complete

    def _ended(self, places: list[_Place], within: float = 0.0) -> list[_Place]:
        """Let each line end, with or without a mark before its end; the places are those before the newline.

        Args:
            places: behind their last words.
            within: added to the logarithm of the weight where the mark ends no sentence.
        """
        less = [replace(place, nats=place.nats + within) for place in places]
        ways = [(each, mark) for mark in self._marks for each in (places if mark in _SENTENCE else less)]
        marked = [place for _, place in self._advance(ways)]
        plain = [replace(place, nats=place.nats + _WITHOUT_MARK) for place in places]
        ended = []
        for place in (*plain, *marked):
            nats = place.nats + float(place.scores[self._newline])
            ended.append(replace(place, tokens=(*place.tokens, self._newline), text=place.text + "\n", nats=nats))
        best = zip(ended, (*plain, *marked), strict=True)
        return [line for line, place in best if place.allows(self._newline)]

    def _advance(self, steps: list[tuple[_Place, str]]) -> list[tuple[int, _Place]]:
        """Go on with a character from each place, as far as the rules allow it; the likeliest with their numbers."""
        scored = []
        for number, (place, character) in enumerate(steps):
            token = self._token_of(character)
            scored.append((place.nats + float(place.scores[token]), number, token))
        scored.sort(key=itemgetter(0), reverse=True)
        allowed = (each for each in scored if steps[each[1]][0].allows(each[2]))
        best = list(itertools.islice(allowed, _BEST))
        best = [each for each in best if each[0] > best[0][0] - _HOPELESS]
        if not best:
            return []
        before = [select_row(self._model, steps[number][0].position, steps[number][0].row) for _, number, _ in best]
        position = advance(self._model, join_rows(self._model, before), np.array([token for _, _, token in best]))
        scores, places = self._scores(position), []
        for row, (nats, number, token) in enumerate(best):
            place, character = steps[number]
            text, tokens, guide = place.text + character, (*place.tokens, token), place.guide
            advanced = _Place(tokens, text, position, row, scores[row], guide and guide.advance(token), nats)
            places.append((number, advanced))
        return places

    def _scores(self, position: Position) -> NDArray[np.float64]:
        """The logarithm of the probability of each token, (B, V), at the temperature of the draw."""
        logits = position.logits
        if self._config.temperature >= filters.LOWEST_TEMPERATURE:
            logits = filters.temperature(logits, self._config.temperature)
        return np.asarray(logits - np.logaddexp.reduce(logits, axis=1, keepdims=True), np.float64)

    def _choose(self, places: list[_Place], rng: np.random.Generator) -> _Place | None:
        """One of some lines, by weight; None if there are none."""
        if not places:
            return None
        nats = np.array([place.nats for place in places])
        noise = rng.gumbel(size=len(nats)) if self._config.temperature >= filters.LOWEST_TEMPERATURE else 0.0
        return places[int((nats + noise).argmax())]

    def _after(self, line: _Place) -> _Place:
        """The place at which the next line begins."""
        before = select_row(self._model, line.position, line.row)
        position = advance(self._model, before, np.array([self._newline]))
        guide = line.guide and line.guide.advance(self._newline)
        return _Place((), "", position, 0, self._scores(position)[0], guide)


def _is_over(guide: Guide | None) -> bool:
    return guide is not None and not guide.allowed().any()
