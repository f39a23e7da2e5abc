"""Writing together with a model: a text in pieces, typed or drawn, with undo, redo and alternatives.

Each piece holds the network's position after it, a value. So nothing is ever fed to the network twice: undo goes back
to an earlier position, and alternatives start from the same one.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from itertools import islice

import numpy as np

from charlstm.engine.protocol import TextModel
from charlstm.sampling.config import SampleConfig
from charlstm.sampling.draft import Draft, IsComplete, Piece, at_word_end, draw_pieces, too_long
from charlstm.sampling.generate import Draw, check_drawable, generate, row_generators
from charlstm.sampling.guides import Guide
from charlstm.sampling.position import Position, prefill
from charlstm.sampling.prompts import Unknown, banned_ids, fit_prompt, opening_ids, prompt_ids
from charlstm.sampling.repeats import WINDOW
from charlstm.schemas import require
from charlstm.tokenizers import Tokenizer


class CoWriter:
    """A text that a person and a model write in turn.

    Args:
        model: the network and its tokenizer.
        config: filters and seed; its length is that of a piece, in tokens.
        starts: where a text that nobody has begun begins: `checkpoint.writing.Writing.starts`.
        guide_after: makes the rule that what is drawn keeps, from the text before it; None allows everything.
        record: what ends a record, `checkpoint.writing.Writing.record`, of a network that has read a list: a piece ends
            with its record, and the next record begins from the state before any text.

    Raises:
        UsageError: the vocabulary holds nothing but the unknown symbol.

    Attributes:
        config: as given, with a seed in any case; it may be replaced at any time.
        choices: alternatives that were drawn and not yet chosen from.
    """

    def __init__(
        self,
        model: TextModel,
        config: SampleConfig,
        starts: Sequence[str] = (),
        guide_after: Callable[[str], Guide | None] | None = None,
        record: str = "",
    ) -> None:
        check_drawable(model.vocab_size, banned_ids(model.tokenizer))
        # The seed is fixed here, so that every draw of a session has its own place in one sequence.
        self.config = replace(config, seed=_fresh_seed() if config.seed is None else config.seed)
        self.choices: list[Piece] = []
        self._model = model
        self._pieces: list[Piece] = []
        self._undone: list[Piece] = []
        self._starts, self._guide_after, self._record = tuple(starts), guide_after, record
        self._empty_position: Position | None = None
        self._draws = 0

    @property
    def pieces(self) -> tuple[Piece, ...]:
        """The pieces of the text, in order."""
        return tuple(self._pieces)

    @property
    def text(self) -> str:
        """The whole text."""
        return "".join(piece.text for piece in self._pieces)

    @property
    def model(self) -> TextModel:
        """The network and its tokenizer."""
        return self._model

    def go_on_with(self, model: TextModel, renewed: Callable[[Position], Position]) -> None:
        """Go on with another model that has the same states, such as a mix of the same networks with other weights.

        Args:
            model: the other model, with the same tokenizer.
            renewed: gives the position of the other model for one of the first.
        """

        def with_other(piece: Piece) -> Piece:
            return replace(piece, position=renewed(piece.position))

        self._model, self.choices = model, []
        self._pieces, self._undone = list(map(with_other, self._pieces)), list(map(with_other, self._undone))
        if self._empty_position is not None:
            self._empty_position = renewed(self._empty_position)

    @property
    def tokenizer(self) -> Tokenizer:
        """The model's tokenizer."""
        return self._model.tokenizer

    def add(self, text: str, unknown: Unknown = "error") -> list[str]:
        """Append a text.

        Args:
            text: appended exactly as it is.
            unknown: what happens to characters outside the alphabet, as in `prompts.fit_prompt`.

        Returns:
            A line about each character that was replaced.

        Raises:
            UnknownCharacter: a character is outside the alphabet; nothing is appended.
        """
        fitted, notes = fit_prompt(self._model.tokenizer, text, unknown)
        ids = self._model.tokenizer.encode(fitted)
        if len(ids):
            begun = self._begun(self.text + fitted)
            if len(begun) <= len(fitted):  # the text, or the record, begins in what is added
                position = self._after(begun)
            else:
                position = prefill(self._model, ids, self._pieces[-1].position)
            self._append(Piece(fitted, tuple(ids.tolist()), position, typed=True))
        return notes

    def extend(self, is_complete: IsComplete | None = None) -> Generator[str]:
        """Draw the next piece and append it; closing the generator early appends what was drawn so far.

        Args:
            is_complete: decides when the piece is complete; None is at the end of a word, after the configured length,
                and in a list at the end of the record.

        Yields:
            The text of the piece, fragment by fragment.
        """
        drafts = self._drafts(1)
        try:
            with closing(self._draw(drafts, is_complete)) as fragments:
                for _, fragment in fragments:
                    yield fragment
        finally:
            if drafts[0].piece:
                self._append(drafts[0].piece)

    def propose(
        self, count: int, is_complete: IsComplete | None = None, stop: Callable[[], bool] = lambda: False
    ) -> list[Piece]:
        """Draw alternatives for the next piece; the text stays as it is until `choose`.

        Args:
            count: how many.
            is_complete: as in `extend`.
            stop: called after every character; if it returns True, all alternatives end there.

        Returns:
            The alternatives, which are also in `choices`.

        Raises:
            UsageError: ``count`` is below 1.
        """
        require("count", count, count >= 1, "1 or more")
        drafts = self._drafts(count)
        with closing(self._draw(drafts, is_complete)) as fragments:
            for _ in fragments:
                if stop():
                    break
        self.choices = [draft.piece for draft in drafts if draft.piece]
        return self.choices

    def choose(self, number: int) -> Piece:
        """Append one of the `choices`, counted from 0, and return it.

        Raises:
            IndexError: there is no such choice.
        """
        piece = self.choices[number]
        self._append(piece)
        return piece

    def undo(self) -> Piece | None:
        """Remove the last piece and return it; None if there is none."""
        return self._move(self._pieces, self._undone)

    def redo(self) -> Piece | None:
        """Append the last piece removed and return it; None if there is none, or if the text has changed since."""
        return self._move(self._undone, self._pieces)

    def _move(self, source: list[Piece], target: list[Piece]) -> Piece | None:
        self.choices = []
        if not source:
            return None
        target.append(source.pop())
        return target[-1]

    def _append(self, piece: Piece) -> None:
        self._pieces.append(piece)
        self._undone, self.choices = [], []

    def _drafts(self, rows: int) -> list[Draft]:
        return [Draft(row, self._model.tokenizer.decoder()) for row in range(rows)]

    def _draw(self, drafts: list[Draft], is_complete: IsComplete | None) -> Generator[tuple[int, str]]:
        """Draw into the drafts, from the end of the text on; each call draws something else."""
        self._draws += 1
        draws: Iterator[Draw] = generate(
            self._model,
            self._position(),
            replace(self.config, length=0),
            row_generators(self.config.seed, len(drafts), (self._draws,)),
            recent=self._recent_ids(),
            banned=banned_ids(self._model.tokenizer),
            guide=self._guide_after and self._guide_after(self._begun(self.text)),
        )
        if self._record:
            return draw_pieces(self._model, drafts, draws, self._within_record(is_complete or too_long))
        return draw_pieces(self._model, drafts, draws, is_complete or at_word_end(self.config.length))

    def _position(self) -> Position:
        if self._pieces and not (self._record and self.text.endswith(self._record)):
            return self._pieces[-1].position
        if self._empty_position is None:
            self._empty_position = self._after("") if self._record else self._opening()
        return self._empty_position

    def _opening(self) -> Position:
        """Where a text that nobody has begun begins."""
        rng = np.random.default_rng(self.config.seed)
        return prefill(self._model, opening_ids(self._model.tokenizer, self._starts, rng))

    def _after(self, begun: str) -> Position:
        """The position after the beginning of a text or of a record."""
        return prefill(self._model, prompt_ids(self._model.tokenizer, begun, self._record))

    def _begun(self, text: str) -> str:
        """The part of a text that belongs to its last record; all of it in a text that is none."""
        return text.rpartition(self._record)[2] if self._record else text

    def _within_record(self, is_complete: IsComplete) -> IsComplete:
        """A piece is complete where the record ends, too."""
        before = self._begun(self.text)
        return lambda text, tokens: (before + text).endswith(self._record) or is_complete(text, tokens)

    def _recent_ids(self) -> list[int]:
        """The last ids of the text, or of its last record, for the repetition penalty and for what is said again."""
        if self._record:
            begun: list[int] = self._model.tokenizer.encode(self._begun(self.text))[-WINDOW:].tolist()
            return begun
        backwards = (token for piece in reversed(self._pieces) for token in reversed(piece.ids))
        return list(islice(backwards, WINDOW))[::-1]


def _fresh_seed() -> int:
    return int(np.random.SeedSequence().generate_state(1)[0])
