"""Pages on a terminal: in colour, without, at 40 columns; nothing in them can command it."""

from __future__ import annotations

import io
import os
import re
import sys

import numpy as np
import pytest
from rich.cells import cell_len
from rich.console import Console

from charlstm.cli.views import blocks, terminal
from charlstm.report.blocks import Boxes, HeatMap, Points, Shaded, Strip, Text
from charlstm.report.charts import Bars
from charlstm.report.scales import LIKELY, SURPRISE, rising, signed
from tests.report.test_page import BLOCKS

SCALE = signed(1, "value")


def shown(block, *, width=80, colour=False):
    out = io.StringIO()
    system = "truecolor" if colour else None
    console = Console(file=out, width=width, color_system=system, no_color=not colour, force_terminal=colour)
    blocks.show_block(console, block)
    return out.getvalue()


@pytest.mark.parametrize("colour", [False, True])
@pytest.mark.parametrize("block", BLOCKS.values(), ids=BLOCKS)
def test_no_text_commands_the_terminal(block, colour):
    text = shown(block, colour=colour)
    assert "\u202e" not in text
    assert "\x9b" not in text
    assert "\x1b[31m" not in text
    assert colour or "\x1b" not in text


LONG = tuple((letter, number / 60) for number, letter in enumerate("a text that is longer than forty columns, " * 3))
GUESSES = tuple(((letter, 0.5), ("x", 0.2)) for letter, _ in LONG)
WIDE = (
    Text("A sentence of many words that is much longer than the terminal is wide."),
    Shaded("Its title", LONG, SURPRISE, frozenset({3}), "A caption that is also longer than forty columns."),
    Strip("Its title", tuple(letter for letter, _ in LONG), (1.0,) * len(LONG), SURPRISE, GUESSES),
    HeatMap("Its title", np.zeros((3, 99)), SCALE, ("x",) * 99, ("first row", "b", "c")),
    Points("Its title", ("a", "b"), (0.0, 1.0), (1.0, 0.0)),
    Points("Its title", ("天", "地"), (0.0, 1.0), (1.0, 0.0)),
    HeatMap("Its title", np.zeros((3, 99)), SCALE, ("天", "x", "\u0301") * 33, ("first row", "b", "c")),
    Strip("Its title", ("天", "x") * 40, (1.0,) * 80, SURPRISE, ((("地", 0.5),),) * 80),
    Text("f = σ(W_f x + U_f h' + b_f)   σ(0.10 + 0.20 - 0.30) = 0.50\n    " + "What this means. " * 4, is_code=True),
    Text("天地玄黄" * 20, is_code=True),
    Boxes("Its title", "before " * 9, ("a",) * 60, tuple(range(-1, 59)), (0.9,) * 60, LIKELY, "A caption, too."),
    Boxes("Its title", "天地" * 30, ("天地", "\u0301", "ab"), (-1, 0, 1), (0.9, 0.9, 0.9), LIKELY),
    Bars("Its title", "", ("天地玄黄", "short"), (1.0, 0.2), ("100%", "20%")),
    Bars("Its title", "", ("a label that needs a line, as it is long", "short"), (1.0, 0.2), ("100%", "20%")),
)


@pytest.mark.parametrize("block", WIDE, ids=lambda block: type(block).__name__)
def test_no_line_is_wider_than_40_columns(block, monkeypatch):
    monkeypatch.setattr(blocks, "is_terminal", lambda stream: True)
    lines = shown(block, width=40).splitlines()
    assert len(lines) > 1
    assert max(map(cell_len, lines)) <= 40


def test_a_command_is_left_whole_so_that_it_can_be_copied(monkeypatch):
    monkeypatch.setattr(blocks, "is_terminal", lambda stream: True)
    command = "charlstm train " + "some.txt " * 9
    assert shown(Text(command, is_code=True, is_command=True), width=40).strip() == command.strip()


def test_the_sign_of_a_line_end_is_not_beyond_the_last_column(monkeypatch):
    monkeypatch.setattr(blocks, "is_terminal", lambda stream: True)
    block = Shaded("T", tuple((letter, 9.0) for letter in "x" * 20 + "\n"), SURPRISE)
    lines = re.sub("\x1b[^m]*m", "", shown(block, width=20, colour=True)).splitlines()
    assert "⏎" in "".join(lines)
    assert max(map(cell_len, lines)) <= 20


class Screen(io.StringIO):
    """A terminal."""

    def isatty(self):
        return True


def test_a_terminal_without_styles_has_its_own_width(monkeypatch):
    monkeypatch.setenv("TERM", "dumb")
    monkeypatch.setenv("COLUMNS", "40")
    monkeypatch.setattr(sys, "stdout", Screen())
    assert terminal.stdout_console().width == 40


def test_a_heat_map_in_signs_has_a_row_for_each_and_the_letters_below():
    values = np.array([[0.0, 0.55, 1.0], [1.0, 0.0, 0.25]])
    lines = shown(HeatMap("M", values, rising(0, 1, "share"), ("a", " ", "\n"), ("first", "2"))).splitlines()
    assert "first  +@" in lines  # ten steps: blank . : - = + * # % @
    assert "    2 @ :" in lines
    assert "      a␣⏎" in lines


def test_a_wide_heat_map_is_folded_at_the_width():
    lines = shown(HeatMap("M", np.ones((2, 90)), rising(0, 1, "share"), ("x",) * 90), width=41).splitlines()
    assert [len(line) for line in lines if set(line) == {"x"}] == [40, 40, 10]


def test_of_many_rows_as_many_as_fit_are_shown_as_they_are():
    values = np.repeat(np.arange(512) % 2, 2).reshape(512, 2)  # a mean of neighbours is 0.5, which no row has
    lines = shown(HeatMap("M", values, rising(0, 1, "share"), ("a", "b"))).splitlines()
    begin = lines.index("M") + 1
    rows = lines[begin : lines.index("ab")]
    assert len(rows) == 16
    assert {*rows} == {"  ", "@@"}
    assert "16 of the 512 rows, evenly chosen; a page or picture has all." in lines
    assert not any("evenly" in line for line in shown(HeatMap("M", values[:9], SCALE, ("a", "b"))).splitlines())


def test_in_colour_two_rows_share_a_line():
    text = shown(HeatMap("M", np.array([[1.0], [0.0]]), rising(0, 1, "share"), ("a",)), colour=True)
    assert "▀" in text
    assert "38;2;4;31;64" in text  # the ink of 1, #041f40
    assert "48;2;247;252;240" in text  # the background of 0, #f7fcf0


def test_half_a_cell_without_a_shade_has_the_ground_of_the_terminal():
    rows = np.array([[0.0, 1.0, 0.0, 1.0], [1.0, 0.0, 0.0, 1.0]])
    line = shown(HeatMap("M", rows, SCALE, tuple("abcd")), colour=True).splitlines()[2]
    red = "2;103;0;31"  # of 1, #67001f
    assert line == f"\x1b[38;{red}m▄\x1b[0m\x1b[38;{red}m▀\x1b[0m \x1b[38;{red};48;{red}m▀\x1b[0m"


def test_a_map_of_signed_values_has_a_white_zero_where_asked():
    line = shown(HeatMap("M", np.zeros((2, 1)), signed(1, "value", filled=True), ("a",)), colour=True).splitlines()[2]
    assert "38;2;247;247;247;48;2;247;247;247" in line


def test_signs_tell_above_from_below_zero_and_the_legend_names_them():
    lines = shown(HeatMap("M", np.array([[-1.0, -0.2, 0.0, 0.2, 1.0]]), SCALE, tuple("vwxyz"))).splitlines()
    assert lines[lines.index("vwxyz") - 1] == "ea 15"
    assert lines[-1] == "value: e = -1 or less, blank = 0, 5 = 1 or more"


def test_shades_without_colour_are_signs_below_the_line():
    block = Shaded("S", (("a", 0.5), ("b", 9.0), ("\n", 9.0), ("c", float("nan"))), SURPRISE, frozenset({3}))
    lines = shown(block).splitlines()
    assert lines[lines.index("ab") + 1] == ".8"
    assert lines[lines.index("c") + 1] == "_"


def test_shaded_text_is_folded_after_a_blank():
    block = Shaded("S", tuple((letter, 0.5) for letter in "some words of a text"), SURPRISE)
    lines = shown(block, width=24).splitlines()
    assert "some words of a text" in lines
    block = Shaded("S", tuple((letter, 0.5) for letter in "some more words of a longer text"), SURPRISE)
    assert [line for line in shown(block, width=24).splitlines() if "words" in line] == ["some more words of a "]


def test_the_guesses_stand_below_their_characters():
    guesses = ((("a", 0.9), ("b", 0.05)), ((" ", 0.6), ("\n", 0.3)))
    lines = shown(Strip("S", ("x", "y"), (0.0, 3.0), SURPRISE, guesses)).splitlines()
    at = lines.index("xy")
    assert lines[at + 1 : at + 3] == ["a␣", "b⏎"]


def test_code_keeps_its_lines():
    assert shown(Text("a = b\n  c", is_code=True)) == "  a = b\n    c\n"


def test_wide_characters_stand_below_their_column_and_above_their_guesses():
    lines = shown(
        HeatMap("M", np.array([[0.0, 1.0, 0.0]]), rising(0, 1, "share"), ("天", "b", "地"), ("m",))
    ).splitlines()
    assert lines[2:4] == ["m   @@  ", "  天b 地"]
    strip = Strip("S", ("天", "b"), (1.0, 9.0), SURPRISE, ((("地", 0.5),), (("玄", 0.5),)))
    assert shown(strip).splitlines()[2:4] == ["天b ", "地玄"]


FAN = Boxes(
    "F", "It was\n", (" ", "a", "b", "c", "\n"), (-1, 0, 0, 2, -1), (0.75, 0.25, 0.375, 0.25, 0.125), LIKELY, "C"
)
BRACES = """
       ╭
       │╭
       │a
       ││
       │╰
       │╭
       ││╭
It was⏎·bc
       │││
       ││╰
       │╰
       ╰
       ⏎
       ╰
"""


def boxes_in(text):
    """The lines of boxes in what is shown of `FAN`, without the title above and the caption below."""
    below = "\npercent" if "\x1b" in text else "\n\nC"
    return re.sub("\x1b[^m]*m", "", text).partition("F\n")[2].partition(below)[0]


def test_boxes_without_colour_stand_between_braces(monkeypatch):
    monkeypatch.setattr(blocks, "_BOX_LINES", 16)
    assert boxes_in(shown(FAN)).strip("\n") == BRACES.strip("\n")
    monkeypatch.setattr(Console, "encoding", "ascii")
    plain = BRACES.translate(str.maketrans("╭│╰", "/|\\"))
    assert boxes_in(shown(FAN)).strip("\n") == plain.strip("\n")


def test_boxes_in_colour_have_their_shades_and_corners(monkeypatch):
    monkeypatch.setattr(blocks, "_BOX_LINES", 16)
    text = shown(FAN, colour=True)
    assert boxes_in(text).strip("\n") == re.sub("│", " ", BRACES).strip("\n")
    dark = "48;2;" + ";".join(str(int(LIKELY.shades[-1].background[at : at + 2], 16)) for at in (1, 3, 5))
    assert sum(dark in line for line in text.splitlines()) == 12 + 1  # lines of the first box, and the legend
    assert "50 or more" in text


@pytest.mark.parametrize(("lines", "expected"), [(30, 22), (10, 12), (100, 36)])
def test_boxes_have_the_lines_that_the_terminal_has_room_for(lines, expected, monkeypatch):
    monkeypatch.setattr(blocks, "is_terminal", lambda stream: True)
    monkeypatch.setattr(blocks, "terminal_size", lambda: os.terminal_size((80, lines)))
    certain = Boxes("F", "", ("x",), (-1,), (1.0,), LIKELY)
    assert len(boxes_in(shown(certain)).strip("\n").splitlines()) == expected


def test_short_labels_stand_beside_their_bars():
    lines = shown(Bars("B", "C", ("one", "fourteen"), (1.0, 0.5), ("100%", "50%"))).splitlines()
    assert lines[2:] == [f"one      {'#' * 40} 100%", f"fourteen {'#' * 20} 50%", "C"]
    lines = shown(Bars("B", "", ("one", "x" * 17), (1.0, 0.5), ("100%", "50%"))).splitlines()
    assert lines[2:] == ["one", f"  {'#' * 40} 100%", "x" * 17, f"  {'#' * 20} 50%"]
