"""Nested boxes in lines of text: each as high as its share, inside the one around it, its label where it is read."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from charlstm.report.blocks import Boxes
from charlstm.report.boxes import end_of, label_of, lay_out, path_of, widths
from charlstm.report.scales import LIKELY


def boxes(*nodes):
    """Boxes of (label, parent, share)."""
    labels, parents, shares = zip(*nodes, strict=True) if nodes else ((), (), ())
    return Boxes("T", "before", labels, parents, shares, LIKELY)


@st.composite
def trees(draw):
    """Boxes of which those in one do not exceed it."""
    nodes, left = [], [1.0]  # what is free in the whole, and in each box
    for _ in range(draw(st.integers(0, 25))):
        parent = draw(st.integers(-1, len(nodes) - 1))
        share = left[parent + 1] * draw(st.sampled_from([1.0, 0.9, 0.5, 0.25, 0.01]))
        left[parent + 1] -= share
        left.append(share)
        nodes.append(("x", parent, share))
    return boxes(*nodes)


def lines_of(drawing, box):
    """The lines that cross a box, and its cells there."""
    found = [(line, cell) for line, cells in enumerate(drawing.lines) for cell in cells if cell.box == box]
    return [line for line, _ in found], [cell for _, cell in found]


@given(trees(), st.integers(1, 40))
def test_a_box_is_as_high_as_its_share_and_in_the_one_around_it(tree, count):
    drawing = lay_out(tree, count)
    assert len(drawing.lines) == count
    for box, (parent, share) in enumerate(zip(tree.parents, tree.shares, strict=True)):
        lines, cells = lines_of(drawing, box)
        assert abs(len(lines) - share * count) < 1 + 1e-6
        assert lines == list(range(lines[0], lines[-1] + 1)) if lines else True
        assert parent < 0 or set(lines) <= set(lines_of(drawing, parent)[0])
        assert [cell.part for cell in cells].count("label") == (1 if cells else 0)
        assert [cell.first for cell in cells] == [True] * bool(cells) + [False] * (len(cells) - 1)
        assert all(cell.shade is LIKELY.shade_of(share) for cell in cells)
    for cells in drawing.lines:  # each line is a path from the outermost box inwards
        assert all(tree.parents[inner.box] == outer.box for outer, inner in pairwise(cells))
        assert not cells or tree.parents[cells[0].box] == -1


@given(trees(), st.integers(1, 40))
def test_a_label_stands_on_the_line_of_the_likeliest_box_in_it(tree, count):
    drawing = lay_out(tree, count)
    label = {cell.box: line for line, cells in enumerate(drawing.lines) for cell in cells if cell.part == "label"}
    for box in (-1, *label):
        inside = [other for other in label if tree.parents[other] == box]
        likeliest = max(inside, key=lambda other: tree.shares[other], default=None)
        if likeliest is not None:
            assert (drawing.before if box < 0 else label[box]) == label[likeliest]


@given(trees(), st.integers(1, 40))
def test_siblings_stand_in_their_order_and_those_of_a_whole_leave_nothing_out(tree, count):
    drawing = lay_out(tree, count)
    for outer in range(-1, len(tree.parents)):
        inside = [box for box, parent in enumerate(tree.parents) if parent == outer]
        lines = [line for box in inside for line in lines_of(drawing, box)[0]]
        assert lines == sorted(set(lines))
        whole = 1.0 if outer < 0 else tree.shares[outer]
        around = range(count) if outer < 0 else lines_of(drawing, outer)[0]
        if math.isclose(sum(tree.shares[box] for box in inside), whole, rel_tol=1e-12):
            assert abs(len(lines) - len(around)) <= 1


def test_what_is_in_no_box_is_above_and_below():
    drawing = lay_out(boxes(("a", -1, 0.25), ("b", -1, 0.25)), 8)
    assert [[cell.box for cell in cells] for cells in drawing.lines] == [[], [], [0], [0], [1], [1], [], []]
    assert drawing.before == 2


@pytest.mark.parametrize("tree", [boxes(), boxes(("a", -1, 0.001))])
def test_a_fan_without_a_box_that_is_seen(tree):
    drawing = lay_out(tree, 8)  # the middle of the whole is the middle of no line
    assert drawing.lines == ((),) * 8
    assert drawing.before == 4
    assert widths(tree, drawing) == []


def test_a_deep_tree_is_no_trouble():
    deep = boxes(*(("x", place - 1, 1.0) for place in range(5000)))
    assert len(lay_out(deep, 3).lines[1]) == 5000


def test_columns_are_as_wide_as_the_labels_seen_in_them():
    tree = boxes(("ab", -1, 0.5), ("long", 0, 0.001), ("abc", 0, 0.499), ("x", -1, 0.5))
    assert widths(tree, lay_out(tree, 10)) == [2, 3]
    assert widths(tree, lay_out(tree, 10), lambda text: 2 * len(text)) == [4, 6]


def test_labels_and_paths():
    assert label_of(" a\n\t\x1b") == "·a⏎⇥␛"
    tree = boxes(("a", -1, 0.9), (" ", 0, 0.8), ("b", 1, 0.7))
    assert [path_of(tree, box) for box in range(3)] == ["a", "a ", "a b"]


@pytest.mark.parametrize(
    ("room", "expected"), [(20, "It was⏎a day"), (12, "It was⏎a day"), (6, "…a day"), (2, "…y"), (1, "…"), (0, "")]
)
def test_of_the_text_before_stands_the_end(room, expected):
    assert end_of("It was\na day", room) == expected


def test_the_end_is_measured_in_columns():
    assert end_of("天地玄黄", 5, lambda text: sum(1 if each == "…" else 2 for each in text)) == "…玄黄"
