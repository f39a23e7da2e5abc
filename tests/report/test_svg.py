"""Charts as SVG: well-formed whatever they hold, and every line where its values say."""

from __future__ import annotations

import itertools
import math
import re
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from charlstm.report import svg
from charlstm.report.charts import COLORS, Chart, Curve, Level

NAMESPACE = "{http://www.w3.org/2000/svg}"


def curve(x, y, *, label="a", color=0, low=None, high=None, dashed=False) -> Curve:
    x, y = tuple(map(float, x)), tuple(map(float, y))
    return Curve(label, x, y, low or y, high or y, color, dashed)


def drawn(chart: Chart) -> ElementTree.Element:
    return ElementTree.fromstring(svg.chart(chart))


def found(picture: ElementTree.Element, tag: str) -> list[ElementTree.Element]:
    return list(picture.iter(NAMESPACE + tag))


def texts(picture: ElementTree.Element) -> list[str]:
    return [element.text or "" for element in found(picture, "text")]


def points(path: str) -> list[tuple[str, float, float]]:
    return [(pen, float(x), float(y)) for pen, x, y in re.findall(r"([ML])(-?[\d.]+) (-?[\d.]+)", path)]


def test_a_line_goes_where_its_values_say() -> None:
    picture = drawn(Chart("", "x", "y", (curve([0, 50, 100], [1, 3, 2]),)))
    (line,) = (path for path in found(picture, "path") if path.get("fill") == "none")
    margin = 0.04 * 2
    expected = [(1000 * x / 100, 240 * (3 + margin - y) / (2 + 2 * margin)) for x, y in ((0, 1), (50, 3), (100, 2))]
    assert [pen for pen, _, _ in points(line.get("d"))] == ["M", "L", "L"]
    for (_, x, y), place in zip(points(line.get("d")), expected, strict=True):
        assert (x, y) == pytest.approx(place, abs=0.01)
    dots = found(picture, "circle")
    assert [float(dot.get("cx").rstrip("%")) for dot in dots] == [0, 50, 100]
    assert [float(dot.get("cy")) for dot in dots] == [pytest.approx(y, abs=0.01) for _, y in expected]
    assert [dot.find(NAMESPACE + "title").text for dot in dots] == ["a: 1 y, 0 x", "a: 3 y, 50 x", "a: 2 y, 100 x"]


def test_a_tick_stands_where_a_curve_of_its_value_does() -> None:
    chart = Chart("", "x", "y", (curve([1, 10, 1000], [2, 2, 4]),), log_x=True)
    picture = drawn(chart)
    label = next(text for text in found(picture, "text") if text.text == "10" and text.get("text-anchor") == "middle")
    assert float(label.get("x").rstrip("%")) == pytest.approx(100 * math.log(10) / math.log(1000), abs=0.01)
    label = next(text for text in found(picture, "text") if text.text == "2" and text.get("text-anchor") == "end")
    assert float(label.get("y")) == float(found(picture, "circle")[0].get("cy"))


def test_a_band_lies_between_the_lowest_and_the_highest() -> None:
    picture = drawn(Chart("", "x", "y", (curve([0, 1], [2, 2], low=(1.0, 2.0), high=(3.0, 2.5)),)))
    band, line = found(picture, "path")
    assert band.get("fill") == COLORS[0]
    assert line.get("fill") == "none"
    corners = [(x, y) for _, x, y in points(band.get("d"))]
    assert [x for x, _ in corners] == [0, 1000, 1000, 0]
    (top, lower_top, bottom_right, bottom) = [y for _, y in corners]
    assert top < lower_top < bottom_right < bottom
    (_, _, middle), _ = points(line.get("d"))
    assert (top + bottom) / 2 == pytest.approx(middle, abs=0.01)


def test_a_line_is_interrupted_where_nothing_was_measured() -> None:
    picture = drawn(Chart("", "x", "y", (curve([0, 1, 2, 3, 4], [1, 2, math.nan, 3, math.inf]),)))
    (line,) = found(picture, "path")
    assert [(pen, x) for pen, x, _ in points(line.get("d"))] == [("M", 0), ("L", 250), ("M", 750)]
    assert len(found(picture, "circle")) == 3


def test_reference_lines_have_their_names_and_no_name_stands_on_another() -> None:
    levels = (Level(3.0, "gzip"), Level(3.01, "xz"), Level(3.02, "order 2"), Level(1.0, "low"))
    picture = drawn(Chart("", "x", "y", (curve([0, 1], [1, 5]),), levels=levels, mark=0.25, mark_label="here"))
    names = [text for text in found(picture, "text") if text.get("class") == "halo"]
    assert [name.text for name in names] == ["order 2 3.02", "xz 3.01", "gzip 3", "low 1", "here"]
    heights = [float(name.get("y")) for name in names[:-1]]
    assert all(b - a > 12.9 for a, b in itertools.pairwise(heights))
    lines = [line for line in found(picture, "line") if line.get("stroke-dasharray") == "6 4"]
    assert [float(line.get("y1")) for line in lines] == sorted(float(line.get("y1")) for line in lines)
    marks = [line for line in found(picture, "line") if line.get("stroke-dasharray") == "2 3"]
    assert [line.get("x1") for line in marks] == ["25%"]


def test_the_diagonal_passes_through_equal_values() -> None:
    picture = drawn(Chart("", "x", "y", (curve([1, 100], [1, 100]),), log_x=True, diagonal="equal"))
    (line,) = found(picture, "polyline")
    (path,) = found(picture, "path")
    (_, _, y_of_1), (_, _, y_of_100) = points(path.get("d"))
    for pair in line.get("points").split():
        x, y = map(float, pair.split(","))
        value = 100 ** (x / 1000)
        assert y == pytest.approx(y_of_1 + (y_of_100 - y_of_1) * (value - 1) / 99, abs=0.1)


def test_several_curves_have_a_legend_and_each_its_colour() -> None:
    curves = [curve([0, 1], [n, n], label=f"run {n}", color=n, dashed=n == 1) for n in range(6)]
    picture = drawn(Chart("t", "x", "y", tuple(curves)))
    assert texts(picture)[:7] == ["t", *(f"run {n}" for n in range(6))]
    lines = [line for line in found(picture, "line") if (line.get("class") or "").startswith("curve-")]
    assert [line.get("stroke") for line in lines] == [*COLORS, COLORS[0]]
    assert [line.get("stroke-dasharray") for line in lines] == [None, "5 4", None, None, None, None]
    places = [text.get("x") for text in found(picture, "svg") if text.get("viewBox") is None and text is not picture]
    assert places == ["0", "50%"] * 3, "two short names side by side"
    alone = drawn(Chart("t", "x", "y", (curves[0],)))
    assert "run 0" not in texts(alone)


def test_a_long_curve_tells_its_values_at_some_points() -> None:
    picture = drawn(Chart("", "x", "y", (curve(range(10_000), range(10_000)),)))
    dots = found(picture, "circle")
    assert 24 <= len(dots) <= 48
    assert {dot.get("fill") for dot in dots} == {"transparent"}


LABELS = st.text(max_size=60) | st.sampled_from(["<script>\"&'", "\x1b[31m\u202e\x9b", "\ufffe\uffff\ud800", "\n\t\r"])
VALUES = st.floats() | st.floats(-10, 10)


@given(LABELS, st.lists(st.tuples(VALUES, VALUES), max_size=8), VALUES, st.booleans(), st.booleans())
def test_whatever_a_chart_holds_is_well_formed_and_harmless(label, values, level, log_x, log_y) -> None:
    x, y = ([pair[axis] for pair in values] for axis in (0, 1))
    curves = (curve(x, y, label=label), curve(x, y[::-1], label=label, low=tuple(y)))
    chart = Chart(label, label, label, curves, log_x, log_y, level, label, (Level(level, label),), label)
    text = svg.chart(chart)
    picture = ElementTree.fromstring(text)
    assert picture.tag == NAMESPACE + "svg"
    assert {element.tag.removeprefix(NAMESPACE) for element in picture.iter()} <= {
        *("svg", "text", "title", "line", "path", "circle", "polyline", "g"),
    }
    assert not set(text) & set("\x1b\u202e\x9b\x00\r")
    numbers = [value for element in picture.iter() for name, value in element.items() if name in {"d", "cx", "cy", "y"}]
    assert not re.search("nan|inf", " ".join(numbers))


def test_it_stretches_with_the_page_and_needs_nothing_from_elsewhere() -> None:
    text = svg.chart(Chart("A title that is so long that it cannot stand in one line on a phone", "x", "y", ()))
    assert "<script" not in text
    assert "url(" not in text
    assert not re.search(r"(href|src)=", text)
    picture = ElementTree.fromstring(text)
    assert "width:calc(100% - " in picture.get("style")
    assert texts(picture)[:2] == ["A title that is so long that it cannot stand", "in one line on a phone"]
