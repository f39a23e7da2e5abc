"""What a view shows, as plain data: a page is a list of blocks, drawn as text, as HTML, or as a picture.

A block says what is shown, never how: a terminal, a page and a picture each draw it in their own way. Texts in blocks
are raw; whatever draws them makes controls and markup harmless.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from charlstm.report.charts import Bars, Chart
from charlstm.report.scales import Scale

_TEXT = 30
"""Characters from which the longest value of a column makes it one of texts."""


@dataclass(frozen=True)
class Text:
    """A paragraph."""

    text: str
    is_code: bool = False
    """Whether it is preformatted: equations, commands, samples; its lines are kept."""
    is_command: bool = False
    """Whether it is to be copied: then a narrow terminal does not fold its lines either."""


@dataclass(frozen=True)
class Table:
    """Rows of cells under headings; the first column names the row."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    caption: str = ""

    @property
    def text_columns(self) -> tuple[bool, ...]:
        """Which columns are texts, set flush left and folded, and not figures."""
        return tuple(
            max((len(row[column]) for row in self.rows), default=0) >= _TEXT for column in range(len(self.columns))
        )


@dataclass(frozen=True)
class HeatMap:
    """A value for each row at each character of a text."""

    title: str
    values: NDArray[np.floating[Any]]
    """(rows, columns)."""
    scale: Scale
    columns: tuple[str, ...]
    """What stands below each column: the characters of a text."""
    rows: tuple[str, ...] = ()
    """The name of each row, or none."""
    caption: str = ""


@dataclass(frozen=True)
class Shaded:
    """A text whose characters have a value, shown as the shade behind them."""

    title: str
    pieces: tuple[tuple[str, float], ...]
    """The text in order, each piece with its value; NaN has no shade."""
    scale: Scale
    marks: frozenset[int] = frozenset()
    """Numbers of pieces that are marked: underlined, or between brackets."""
    caption: str = ""


@dataclass(frozen=True)
class Strip:
    """A text with a column of guesses under each character, the likeliest first."""

    title: str
    characters: tuple[str, ...]
    values: tuple[float, ...]
    """The value of each character, for its shade."""
    scale: Scale
    guesses: tuple[tuple[tuple[str, float], ...], ...]
    """For each character the guesses with their probabilities, all equally many."""
    caption: str = ""


@dataclass(frozen=True)
class Points:
    """Labels at places of a plane, of which some are joined by lines."""

    title: str
    labels: tuple[str, ...]
    x: tuple[float, ...]
    y: tuple[float, ...]
    pairs: tuple[tuple[int, int], ...] = ()
    """The numbers of points that a line joins."""
    caption: str = ""


@dataclass(frozen=True)
class Boxes:
    """Nested boxes: each as high as its share of the whole, and beside the one around it."""

    title: str
    before: str
    """What stands before the outermost boxes: the end of a text."""
    labels: tuple[str, ...]
    parents: tuple[int, ...]
    """The number of the box around each, which stands before it; -1 is the whole."""
    shares: tuple[float, ...]
    """Of the whole; those of the boxes in a box add up to no more than its own."""
    scale: Scale
    """Of the shares."""
    caption: str = ""


@dataclass(frozen=True)
class Frames:
    """Alternatives of which one is seen at a time, such as the steps of a text: the reader moves through them."""

    title: str
    labels: tuple[str, ...]
    frames: tuple[tuple[Block, ...], ...]
    first: int = 0
    """Number of the frame that is seen at first."""


Block: TypeAlias = Text | Table | Chart | Bars | HeatMap | Shaded | Strip | Points | Boxes | Frames


@dataclass(frozen=True)
class Section:
    """Blocks under a heading."""

    heading: str
    blocks: tuple[Block, ...]


@dataclass(frozen=True)
class Page:
    """A whole view."""

    name: str
    """One word: the command's."""
    title: str
    about: str
    """What is seen, and of what, in a sentence or two."""
    sections: tuple[Section, ...]
    data: Mapping[str, Any] = field(default_factory=dict)
    """Everything measured, as values that JSON can hold."""
    foot: str = ""
    """Model, text and command."""
