"""Text folded between words while it arrives, a character at a time, as a terminal shows it.

Nothing but newlines is added: what is copied from the terminal is the text, with a newline where a blank was, and with
spaces for tabs.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache

_TAB = 8
"""Columns between two tab stops."""
_NEVER_FIRST = frozenset("、。，．！？：；）」』】〕〉》”’…ー")
_NEVER_LAST = frozenset("（「『【〔〈《“‘\u200d")
"""Characters beside which a text without blanks is not folded; U+200D joins two characters to one."""
_BOLD, _NOT_BOLD = "\x1b[1m", "\x1b[22m"
_BOLD_AGAIN = re.compile(r"\x1b\[22m( *)\x1b\[1m")


class Folder:
    """Folds a text; a word is passed on once it has ended, so that it can still move to the next line.

    A word wider than a line is cut. A character that takes two columns, such as a Chinese one, is a word of its own.

    Args:
        columns: returns the width of a line, whenever one begins.
    """

    def __init__(self, columns: Callable[[], int]) -> None:
        self._columns = columns
        self._width = columns()
        self._column = 0
        self._blanks = ""
        self._word: list[str] = []
        self._word_width = 0
        self._last = ""

    def push(self, text: str, *, bold: bool = False) -> str:
        """Add text without control characters, except newlines and tabs.

        Args:
            text: the text that has arrived.
            bold: whether it is to be shown in bold.

        Returns:
            What can be shown now.
        """
        shown: list[str] = []
        for character in text:
            if character == "\n":
                shown += self._take_word(), "\n"
                self._begin_line()
            elif character in " \t":
                shown.append(self._take_word())
                self._blanks += character
            else:
                cells = cells_of(character)
                if self._word and (self._word_width + cells > self._width or _may_part(self._last, character)):
                    shown.append(self._take_word())
                self._word.append(f"{_BOLD}{character}{_NOT_BOLD}" if bold else character)
                self._word_width += cells
                self._last = character
        return _BOLD_AGAIN.sub(r"\1", "".join(shown))

    def flush(self) -> str:
        """Return the word that has not ended yet; blanks after it are left out."""
        return _BOLD_AGAIN.sub(r"\1", self._take_word())

    def _take_word(self) -> str:
        """The word and the blanks before it, or a newline if it does not fit beside what stands there."""
        if not self._word:
            return ""
        begin = self._column
        for blank in self._blanks:
            begin += 1 if blank == " " else _TAB - begin % _TAB
        between = " " * (begin - self._column)
        if begin + self._word_width > self._width:
            between, begin = "\n" if self._column else "", 0
            self._begin_line()
        word, self._word = "".join(self._word), []
        self._column, self._word_width, self._blanks = begin + self._word_width, 0, ""
        return between + word

    def _begin_line(self) -> None:
        self._column, self._blanks, self._width = 0, "", self._columns()


def fold_text(text: str, columns: int) -> list[str]:
    """Fold a whole text.

    Args:
        text: as `Folder.push` takes it.
        columns: the width of a line.

    Returns:
        The lines, without blanks at their ends.
    """
    folder = Folder(lambda: columns)
    return (folder.push(text) + folder.flush()).split("\n")


@lru_cache(4096)
def cells_of(character: str) -> int:
    """The columns that a terminal needs for a character: 0, 1 or 2."""
    from rich.cells import cell_len

    return cell_len(character)


def _may_part(before: str, after: str) -> bool:
    """Whether a line may end between two characters that no blank separates."""
    wide = cells_of(before) == 2 or cells_of(after) == 2
    return wide and cells_of(after) > 0 and after not in _NEVER_FIRST and before not in _NEVER_LAST
