"""Drawing one piece of a text, or several alternatives side by side, until each is complete."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass, field
from typing import TypeAlias

from charlstm.engine.protocol import TextModel
from charlstm.sampling.generate import Draw
from charlstm.sampling.position import Position, advance, select_row
from charlstm.tokenizers import Decoder

_WORD_ENDS = frozenset(" \n\t.,;:!?")
_LONGEST_WORD = 40  # tokens: a longer word is cut
_LONGEST_LINE = 1000  # tokens

IsComplete: TypeAlias = Callable[[str, int], bool]
"""Decides from a piece's text and its number of tokens whether it is complete."""


def at_word_end(length: int) -> IsComplete:
    """A piece is complete at the first end of a word after ``length`` tokens."""
    return lambda text, tokens: tokens >= length and (text[-1:] in _WORD_ENDS or tokens >= length + _LONGEST_WORD)


def at_line_end(text: str, tokens: int) -> bool:
    """A piece is complete at the end of the line.

    Args:
        text: of the piece so far.
        tokens: their number.
    """
    return text.endswith("\n") or too_long(text, tokens)


def too_long(text: str, tokens: int) -> bool:
    """A piece without any end is complete after a thousand tokens.

    Args:
        text: of the piece so far.
        tokens: their number.
    """
    return tokens >= _LONGEST_LINE


@dataclass(frozen=True)
class Piece:
    """A part of a text that was added at once."""

    text: str
    ids: tuple[int, ...]
    position: Position
    """The position after it: the network has been fed its last token."""
    typed: bool = False
    """Whether a person has typed it."""


@dataclass
class Draft:
    """A piece while it is drawn, in one row of a batch."""

    row: int
    decoder: Decoder
    text: str = ""
    ids: list[int] = field(default_factory=list)
    complete: bool = False
    piece: Piece | None = None
    """The finished piece, once its last token has been fed to the network."""

    def push(self, token: int) -> str:
        """Add a token; return the text that is now certain."""
        self.ids.append(token)
        fragment = self.decoder.push(token)
        self.text += fragment
        return fragment

    def finish(self, model: TextModel, position: Position) -> None:
        """Make the piece, unless it is made already.

        Args:
            model: the network.
            position: of all rows, after the draft's last token.
        """
        if self.piece is None:
            text = self.text + self.decoder.flush()
            self.piece = Piece(text, tuple(self.ids), select_row(model, position, self.row))


def draw_pieces(
    model: TextModel, drafts: list[Draft], draws: Iterable[Draw], is_complete: IsComplete
) -> Generator[tuple[int, str]]:
    """Draw pieces side by side, until all are complete or the caller closes this generator; both finish the drafts.

    Args:
        model: the network.
        drafts: one per row, still empty.
        draws: endless draws of as many rows.
        is_complete: decides when a piece is complete.

    Yields:
        The row, and the text that its new token adds.
    """
    last: Draw | None = None
    try:
        for draw in draws:
            for draft in drafts:
                if draft.complete:  # the network has been fed its last token by now
                    draft.finish(model, draw.position)
            last, tokens = draw, draw.ids.tolist()
            fragments = [(draft, draft.push(tokens[draft.row])) for draft in drafts if not draft.complete]
            for draft, fragment in fragments:  # no fragment: in the middle of a character, where no piece ends
                over = bool(draw.over) and draw.over[draft.row]
                draft.complete = over or (fragment != "" and is_complete(draft.text, len(draft.ids)))
            yield from ((draft.row, fragment) for draft, fragment in fragments)
            if all(draft.complete for draft in drafts):
                break
    finally:
        if last is not None:
            position = advance(model, last.position, last.ids)
            for draft in drafts:
                draft.finish(model, position)
