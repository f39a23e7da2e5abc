"""Writing together with a model: a text in pieces, typed or drawn, that can be continued, taken back and chosen from.

Behind every piece stands the position of the network there, a value. So nothing is ever read twice: taking back is
going to an older position, and alternatives go on from the same one.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from dataclasses import dataclass, field, replace
from itertools import islice

import numpy as np

from charlstm.engine.protocol import TextModel
from charlstm.sampling.position import Position, advance, pick, read
from charlstm.sampling.prompts import Unknown, fit_prompt, opening
from charlstm.sampling.sampler import RECENT, Draw, SampleConfig, generate, generators
from charlstm.tokenizers import Decoder, Tokenizer

_WORD_ENDS = frozenset(" \n\t.,;:!?")
_LONGEST_WORD = 40  # tokens: what is longer is cut in the middle
_LONGEST_LINE = 1000  # tokens

Rule = Callable[[str, int], bool]
"""Whether a piece is complete, from its text and its number of tokens."""


def words(length: int) -> Rule:
    """Complete at the first end of a word behind ``length`` tokens."""
    return lambda text, tokens: tokens >= length and (text[-1:] in _WORD_ENDS or tokens >= length + _LONGEST_WORD)


def line(text: str, tokens: int) -> bool:
    """Complete at the end of the line."""
    return text.endswith("\n") or tokens >= _LONGEST_LINE


@dataclass(frozen=True)
class Piece:
    """A part of the text that came at once."""

    text: str
    ids: tuple[int, ...]
    after: Position
    """Where the text stands behind it; the network has read it."""


@dataclass
class _Growing:
    """A piece being drawn, in one row of a batch."""

    row: int
    decoder: Decoder
    text: str = ""
    ids: list[int] = field(default_factory=list)
    complete: bool = False
    piece: Piece | None = None

    def push(self, token: int) -> str:
        self.ids.append(token)
        fragment = self.decoder.push(token)
        self.text += fragment
        return fragment

    def seal(self, model: TextModel, position: Position) -> Piece:
        """The piece, once the network has read its last token."""
        if self.piece is None:
            self.piece = Piece(self.text + self.decoder.flush(), tuple(self.ids), pick(model, position, self.row))
        return self.piece


class CoWriter:
    """A text that a person and a model write in turn.

    Args:
        model: the network and its tokenizer.
        config: filters and seed; the length is that of a piece in tokens. It may be replaced at any time.

    Attributes:
        config: as given.
        choices: alternatives drawn and not yet chosen from.
    """

    def __init__(self, model: TextModel, config: SampleConfig) -> None:
        # The seed is settled here, so that each draw of a session has its own place in one sequence.
        self.config = replace(config, seed=config.seed if config.seed is not None else _entropy())
        self.choices: list[Piece] = []
        self._model = model
        self._pieces: list[Piece] = []
        self._undone: list[Piece] = []
        self._opening: Position | None = None
        self._draws = 0

    @property
    def text(self) -> str:
        """The text as it stands."""
        return "".join(piece.text for piece in self._pieces)

    @property
    def tokenizer(self) -> Tokenizer:
        """The model's."""
        return self._model.tokenizer

    def add(self, text: str, unknown: Unknown = "error") -> list[str]:
        """Put a text behind what is there.

        Args:
            text: added exactly as it is.
            unknown: what to do with characters the model does not know, as `prompts.fit_prompt`.

        Returns:
            A line about each character that had to change.

        Raises:
            UnknownCharacter: a character the model does not know; nothing is added.
        """
        fitted, notes = fit_prompt(self._model.tokenizer, text, unknown)
        ids = self._model.tokenizer.encode(fitted).tolist()
        if ids:
            before = self._pieces[-1].after if self._pieces else None
            self._commit(Piece(fitted, tuple(ids), read(self._model, ids, before)))
        return notes

    def go_on(self, rule: Rule | None = None) -> Generator[str]:
        """Draw the next piece, fragment by fragment; whoever stops asking keeps what came so far.

        Args:
            rule: when the piece is complete; None is the configured length, up to the end of a word.
        """
        grown: list[_Growing] = []
        try:
            for _, fragment in self._grow(grown, 1, rule):
                yield fragment
        finally:
            if grown and grown[0].piece:
                self._commit(grown[0].piece)

    def offer(self, count: int, rule: Rule | None = None, stop: Callable[[], bool] = lambda: False) -> list[Piece]:
        """Draw ``count`` ways to go on, side by side; the text stays as it is until `choose`.

        Args:
            count: how many.
            rule: when one is long enough; None takes the length of `config`.
            stop: asked after every character; once it says True, all of them end there.
        """
        grown: list[_Growing] = []
        with closing(self._grow(grown, count, rule)) as fragments:
            for _ in fragments:
                if stop():
                    break
        self.choices = [one.piece for one in grown if one.piece]
        return self.choices

    def choose(self, number: int) -> Piece:
        """Go on with one of the `choices`, counted from 0.

        Raises:
            IndexError: there is none of that number.
        """
        piece = self.choices[number]
        self._commit(piece)
        return piece

    def undo(self) -> Piece | None:
        """Take back the last piece; None if there is none."""
        return self._move(self._pieces, self._undone)

    def redo(self) -> Piece | None:
        """Put back what was last taken back; None if there is nothing, or something was written since."""
        return self._move(self._undone, self._pieces)

    def _move(self, source: list[Piece], target: list[Piece]) -> Piece | None:
        self.choices = []
        if not source:
            return None
        target.append(source.pop())
        return target[-1]

    def _commit(self, piece: Piece) -> None:
        self._pieces.append(piece)
        self._undone, self.choices = [], []

    def _grow(self, grown: list[_Growing], rows: int, rule: Rule | None) -> Generator[tuple[int, str], None, None]:
        """Draw ``rows`` pieces side by side into ``grown``; gives each row's fragments out as they come."""
        model, complete = self._model, rule or words(self.config.length)
        grown += [_Growing(row, model.tokenizer.decoder()) for row in range(rows)]
        last: Draw | None = None
        try:
            for draw in self._draw(rows):
                for one in grown:
                    if one.complete:  # the network has read its last token by now
                        one.seal(model, draw.position)
                last, tokens = draw, draw.ids.tolist()
                fresh = [(one, one.push(tokens[one.row])) for one in grown if not one.complete]
                for one, fragment in fresh:  # never in the middle of a character: then there is no fragment
                    one.complete = fragment != "" and complete(one.text, len(one.ids))
                yield from ((one.row, fragment) for one, fragment in fresh)
                if all(one.complete for one in grown):
                    break
        finally:
            if last is not None:
                position = advance(model, last.position, last.ids)
                for one in grown:
                    one.seal(model, position)

    def _draw(self, rows: int) -> Iterator[Draw]:
        """Tokens without end, from where the text stands; each call draws others."""
        self._draws += 1
        unknown = self._model.tokenizer.unknown_id
        return generate(
            self._model,
            self._position(),
            replace(self.config, length=0),
            generators(self.config.seed, rows, (self._draws,)),
            recent=self._recent(),
            banned=() if unknown is None else (unknown,),
        )

    def _position(self) -> Position:
        if self._pieces:
            return self._pieces[-1].after
        if self._opening is None:
            self._opening = read(self._model, opening(self._model.tokenizer))
        return self._opening

    def _recent(self) -> list[int]:
        """The last ids, for the repetition penalty."""
        backwards = (token for piece in reversed(self._pieces) for token in reversed(piece.ids))
        return list(islice(backwards, RECENT))[::-1]


def _entropy() -> int:
    return int(np.random.SeedSequence().generate_state(1)[0])
