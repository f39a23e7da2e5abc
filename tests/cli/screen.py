"""A terminal as far as charlstm's views use one: what it shows after all that was written to it."""

import io
import re

_ESCAPE = re.compile(r"\x1b\[([0-9;]*)([A-Za-z])")


class Screen(io.StringIO):
    """A terminal of any height, whose lines are never wrapped."""

    encoding = "utf-8"

    def isatty(self) -> bool:
        return True

    def lines(self) -> list[str]:
        """The lines shown, without the empty ones at the end and without styles."""
        cells: list[list[str]] = [[]]
        row = column = place = 0
        text = self.getvalue()
        while place < len(text):
            escape = _ESCAPE.match(text, place)
            if escape:
                place, (number, command) = escape.end(), escape.groups()
                if command == "A":
                    assert row >= int(number or 1), "it went above the top of the terminal"
                    row -= int(number or 1)
                elif command == "K":
                    del cells[row][column:]
                elif command == "J":
                    del cells[row][column:], cells[row + 1 :]
                else:
                    assert command == "m", f"an unknown command: {escape[0]!r}"
                continue
            character, place = text[place], place + 1
            if character == "\n":
                row, column = row + 1, 0
                cells += [[] for _ in range(row + 1 - len(cells))]
            elif character == "\r":
                column = 0
            else:
                assert character.isprintable(), f"a control character: {character!r}"
                cells[row] += " " * (column - len(cells[row]))
                cells[row][column : column + 1] = character
                column += 1
        return "\n".join("".join(line) for line in cells).rstrip("\n").split("\n")
