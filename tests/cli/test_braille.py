"""Charts in a terminal: every dot where its value says, at any width, and numbers where there are no shapes."""

from __future__ import annotations

import itertools
import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from charlstm.cli.views import braille
from charlstm.cli.views.folding import cells_of
from charlstm.report.charts import Chart, Curve, Level


def curve(x, y, label="a", *, dashed=False) -> Curve:
    x, y = tuple(map(float, x)), tuple(map(float, y))
    return Curve(label, x, y, y, y, 0, dashed)


def dots(lines: list[str]) -> set[tuple[int, int]]:
    """The dots of a plot without title, by column and row, read from Unicode's names of dots: 1237 left, 4568 right."""
    order = {1: (0, 0), 2: (0, 1), 3: (0, 2), 7: (0, 3), 4: (1, 0), 5: (1, 1), 6: (1, 2), 8: (1, 3)}
    found = set()
    for row, line in enumerate(line.split("│", 1)[1] for line in lines if "│" in line):
        for column, character in enumerate(line):
            if 0x2800 <= ord(character) < 0x2900:
                for dot, (x, y) in order.items():
                    if (ord(character) - 0x2800) >> (dot - 1) & 1:
                        found.add((2 * column + x, 4 * row + y))
    return found


def columns_of(lines: list[str], bar: str) -> int:
    return len(next(line for line in lines if "└" in line or "+--" in line).split("└" if bar == "│" else "+", 1)[1])


def test_every_point_has_its_dot() -> None:
    x, y = [0, 3, 7, 10], [0, 2, 1, 4]
    lines = braille.draw(Chart("", "x", "", (curve(x, y),)), 60, 10, unicode=True)
    width, height, found = 2 * columns_of(lines, "│"), 40, dots(lines)
    for a, b in zip(x, y, strict=True):
        place = min(width - 1, math.floor(a / 10 * width)), math.floor((4.16 - b) / 4.32 * height)
        assert place in found
    assert {column for column, _ in found} == set(range(width)), "no gap between them"


def test_a_straight_line_rises_evenly() -> None:
    lines = braille.draw(Chart("", "x", "", (curve([0, 1], [0, 1]),)), 44, 8, unicode=True)
    width = 2 * columns_of(lines, "│")
    for column, row in dots(lines):
        assert row == pytest.approx(32 * (1.04 - column / width) / 1.08, abs=1.6)


def test_the_last_value_and_the_baselines_stand_at_the_right_end_in_their_rows() -> None:
    chart = Chart(
        "T", "x", "bits", (curve([0, 1], [5, 1.25], "validation"),), levels=(Level(4, "gzip"), Level(3, "xz"))
    )
    lines = braille.draw(chart, 80, 12, unicode=True)
    assert lines[:2] == ["T", "bits"]
    plot = [line for line in lines if "│" in line]
    rows = {line.split()[-1]: place for place, line in enumerate(plot) if re.search(r"[a-z]$", line)}
    assert rows == {
        name: math.floor((5.15 - y) / 4.05 * 12) for name, y in (("validation", 1.25), ("gzip", 4), ("xz", 3))
    }
    assert plot[rows["validation"]].endswith("1.25 validation")
    dashes = plot[rows["gzip"]].split("│")[1]
    assert 0.3 < sum(ord(c) >= 0x2800 for c in dashes) / columns_of(lines, "│") < 0.9


def test_labels_that_belong_to_one_row_stand_in_several() -> None:
    curves = tuple(curve([0, 1], [9, 1 + n / 1000], f"run {n}") for n in range(3))
    lines = braille.draw(Chart("", "x", "y", curves), 80, 8, unicode=True)
    assert sorted(re.findall(r"run \d$", "\n".join(lines), re.M)) == ["run 0", "run 1", "run 2"]


def test_a_dashed_curve_has_fewer_dots_on_the_same_way() -> None:
    whole, dashed = (
        dots(braille.draw(Chart("", "x", "", (curve([0, 1], [0, 1], dashed=dashed),)), 60, 8, unicode=True))
        for dashed in (False, True)
    )
    assert dashed < whole
    assert len(dashed) < 0.7 * len(whole)


def test_where_there_is_no_room_for_names_letters_stand_for_them() -> None:
    chart = Chart("", "x", "y", (curve([0, 1], [5, 1], "a long name"), curve([0, 1], [4, 2], "another name")))
    narrow = braille.draw(chart, 40, 8, unicode=True)
    assert [line for line in narrow if line.endswith(("1 a", "2 b"))]
    assert narrow[-2:] == ["a  a long name 1", "b  another name 2"]
    assert not any(line.startswith("a  ") for line in braille.draw(chart, 80, 8, unicode=True))


def test_ascii_has_a_sign_for_each_curve() -> None:
    chart = Chart("ü", "x", "y", (curve([0, 1], [5, 1], "one"), curve([0, 1], [1, 5], "two")), levels=(Level(3, "xz"),))
    lines = braille.draw(chart, 60, 9, unicode=False)
    assert "".join(lines).isascii()
    assert lines[0] == "?"
    plot = [line.split("|", 1)[1] for line in lines if "|" in line]
    assert plot[0].startswith("*")
    assert plot[-1].startswith("o")
    assert plot[4].count("- ") > 10
    assert lines[-2:] == ["*  one", "o  two"]


VALUES = st.floats() | st.floats(0, 10)
NAMES = st.sampled_from(["", "a", "gzip", "validation of a run", "\x1b[31m\n\t", "天地玄黃", "x" * 90])


@given(
    st.lists(st.lists(st.tuples(VALUES, VALUES), max_size=6), max_size=4), st.lists(VALUES, max_size=3),
    NAMES, st.integers(20, 120), st.integers(1, 20), st.booleans(), st.booleans(),
)  # fmt: skip
def test_anything_is_drawn_within_its_width(curves, levels, name, width, height, unicode, log) -> None:
    drawn = tuple(curve([x for x, _ in points], [y for _, y in points], name) for points in curves)
    chart = Chart(name, name, name, drawn, log, log, levels=tuple(Level(level, name) for level in levels))
    lines = braille.draw(chart, width, height, unicode=unicode)
    assert all(cells_of(line) <= width for line in lines)
    assert not any(set(line) & set("\x1b\n\t") for line in lines)
    assert unicode or "".join(lines).isascii()
    assert sum(("│" if unicode else "|") in line for line in lines) >= max(3, height)
    table = braille.numbers(chart)
    assert all(len(row) == len(table.columns) for row in table.rows)


def test_numbers_double_from_row_to_row() -> None:
    chart = Chart("", "steps", "y", (curve(range(1, 101), range(101, 201), "a"), curve([30, 60], [7, 8], "b")),
                  levels=(Level(3, "xz"),))  # fmt: skip
    table = braille.numbers(chart)
    assert table.columns == ("steps", "a", "b")
    steps = [float(row[0]) for row in table.rows]
    assert steps[-1] == 100
    assert steps[0] == 1  # where the curves begin, and not before
    assert 1 < steps[1] <= 2
    assert all(b / a == pytest.approx(2, rel=0.01) for a, b in itertools.pairwise(steps[1:]))
    for step, a, b in table.rows:
        expected = [y for x, y in zip(range(1, 101), range(101, 201), strict=True) if x <= float(step)]
        assert a == (str(expected[-1]) if expected else "-")
        assert b == ("-" if float(step) < 30 else "7" if float(step) < 60 else "8")
    assert table.caption == "xz 3"
