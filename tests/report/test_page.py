"""Pages of blocks: every block in HTML and as a picture, and no text in them can command a browser."""

from __future__ import annotations

import base64
import io
import re
from html.parser import HTMLParser
from itertools import pairwise

import numpy as np
import pytest
from matplotlib.image import imread

from charlstm.report import picture
from charlstm.report.blocks import Boxes, Frames, HeatMap, Page, Points, Section, Shaded, Strip, Table, Text
from charlstm.report.charts import Bars, Chart, Curve
from charlstm.report.page import html_page
from charlstm.report.picture import png
from charlstm.report.raster import png as raster_png
from charlstm.report.raster import spread_rows
from charlstm.report.scales import BANDS, LIKELY, SURPRISE, rising, signed

HOSTILE = "<script>alert(1)</script>&\x1b[31m\u202e\x9b\"'</style><!--"
SCALE = signed(1, "value")
BLOCKS = {
    "text": Text(HOSTILE),
    "code": Text(HOSTILE, is_code=True),
    "table": Table((HOSTILE, "b"), ((HOSTILE, HOSTILE),), HOSTILE),
    "chart": Chart(HOSTILE, HOSTILE, HOSTILE, (Curve.from_seeds(HOSTILE, [1, 2], [[1, 2]], 0),)),
    "map": HeatMap(HOSTILE, np.zeros((2, 3)), SCALE, ("<", "\x1b", "\u202e"), (HOSTILE, "b"), HOSTILE),
    "bars": Bars(HOSTILE, HOSTILE, (HOSTILE, "b"), (0.2, 1.0), (HOSTILE, "")),
    "shaded": Shaded(HOSTILE, ((HOSTILE, 0.5), (HOSTILE, float("nan"))), SCALE, frozenset({0}), HOSTILE),
    "strip": Strip(HOSTILE, ("<", "\n"), (1.0, 9.0), SURPRISE, ((("<", 0.5),), (("\u202e", 0.1),)), HOSTILE),
    "points": Points(HOSTILE, (HOSTILE, "b"), (0.0, 1.0), (1.0, 0.0), ((0, 1),), HOSTILE),
    "boxes": Boxes(HOSTILE, HOSTILE, (HOSTILE, "b", "\n", ""), (-1, 0, 0, -1), (0.5, 0.2, 0.1, 0.3), LIKELY, HOSTILE),
    "frames": Frames(HOSTILE, ("<", "\x1b"), ((Text(HOSTILE),), (Text("b"),)), 1),
}


class Elements(HTMLParser):
    """The tags of a page, and whether they are closed in order."""

    VOID = frozenset({"meta", "input", "br", "line", "image", "path", "rect", "polyline"})

    def __init__(self, text):
        super().__init__()
        self.found, self._open = [], []
        self.feed(text)
        assert not self._open, f"not closed: {self._open}"

    def handle_starttag(self, tag, attributes):
        self.found.append((tag, dict(attributes)))
        if tag not in self.VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.found.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        assert self._open.pop() == tag


def page(*blocks, **changes):
    return Page(
        **{"name": "x", "title": "T", "about": "A", "sections": (Section("S", blocks),), "foot": "F", **changes}
    )


@pytest.mark.parametrize("block", BLOCKS.values(), ids=BLOCKS)
def test_a_hostile_text_in_any_block_is_harmless(block):
    text = html_page(page(block, title=HOSTILE, about=HOSTILE, foot=HOSTILE))
    tags = {tag for tag, _ in Elements(text).found}
    assert tags.isdisjoint({"script", "iframe", "a", "img", "link", "object"})
    assert text.count("</style>") == 1
    assert not set(text) & set("\x1b\u202e\x9b")
    assert "default-src 'none'" in text
    assert not re.search(r"(src|href)=\"(?!data:image/png)", text)
    assert not re.search(r"\son\w+=", text)


@pytest.mark.parametrize("block", BLOCKS.values(), ids=BLOCKS)
def test_every_block_can_be_drawn_as_a_picture(block):
    drawn, empty = (imread(io.BytesIO(png(each)), format="png") for each in (page(block), page()))
    assert drawn.shape[0] > empty.shape[0]
    assert (drawn[empty.shape[0] // 2 :] != 1).any()


def test_a_box_tells_its_path_and_its_share():
    boxes = Boxes("T", "It was", (" ", "a", "<"), (-1, 0, 1), (0.9, 0.5, 0.25), LIKELY)
    text = html_page(page(boxes))
    for title in ("· 90.0%", "·a 50.0%", "·a&lt; 25.0%"):
        assert text.count(f'title="{title}"') > 3
    assert re.sub("<[^>]*>", "", text).count("It was") == 1
    labels = [re.sub("<[^>]*>", "", line) for line in re.findall("<div><b.*?</div>", text)]
    assert [line for line in labels if line] == ["It was·a&lt;"]


@pytest.mark.parametrize("value", [1e308, -1e308, float("nan"), float("inf")])
def test_a_value_that_no_axis_has_room_for_is_left_out_of_a_picture(value):
    charts = [Chart("T", "x", "y", (Curve.from_seeds("a", [1, 2, 3], [[1, each, 2]], 0),)) for each in (value, -value)]
    assert png(page(*charts)).startswith(b"\x89PNG")


def rows_of_ink(picture):
    """How many lines of a picture have ink, each apart from the next by white."""
    inked = (imread(io.BytesIO(picture))[:, :, :3] < 0.9).any((1, 2))
    return int((inked[1:] & ~inked[:-1]).sum())


@pytest.mark.parametrize("ranks", [0, 1, 4])
def test_a_picture_has_every_rank_of_guesses(ranks):
    letters = "n" * 12  # without ascenders, so that white is between the lines
    strip = Strip("T", tuple(letters), (0.0,) * 12, SURPRISE, ((("n", 0.5),) * ranks,) * 12)
    without = Strip("T", tuple(letters), (0.0,) * 12, SURPRISE, ((),) * 12)
    one, other = (rows_of_ink(png(Page("t", "T", "", (Section("", (each,)),)))) for each in (strip, without))
    assert one == other + ranks


def test_a_picture_that_would_have_no_end_says_that_it_ends(monkeypatch):
    monkeypatch.setattr(picture, "_HIGHEST", 3.0)
    written = []
    write = picture._write
    monkeypatch.setattr(picture, "_write", lambda figure, left, top, text, **look: (
        written.append(text), write(figure, left, top, text, **look)
    ))  # fmt: skip
    long = Page("t", "T", "", (Section("", (Text("a line\n" * 500),)),))
    height, width, _ = imread(io.BytesIO(png(long))).shape
    assert height < 4.2 * 120
    assert width > 1000
    assert "ends here" in written[-1]
    short = Page("t", "T", "", (Section("", (Text("a line\n" * 3),)),))
    png(short)
    assert "ends here" not in written[-1]


def test_the_reader_moves_through_frames_without_scripts():
    found = Elements(html_page(page(BLOCKS["frames"], BLOCKS["frames"]))).found
    buttons = [attributes for tag, attributes in found if tag == "input"]
    assert [button["type"] for button in buttons] == ["radio"] * 4
    assert len({button["name"] for button in buttons}) == 2  # a group each
    assert ["checked" in button for button in buttons] == [False, True, False, True]
    assert len({button["id"] for button in buttons}) == 4


def test_a_heat_map_has_a_pixel_of_its_shade_for_each_value():
    values = np.random.default_rng(1).uniform(-1.2, 1.2, (5, 7))
    pixels = imread(io.BytesIO(raster_png(values, SCALE)), format="png")
    assert pixels.shape == (5, 7, 4)
    for row in range(5):
        for column in range(7):
            shade = SCALE.shade_of(values[row, column])
            expected = [int(shade.background[at : at + 2], 16) / 255 for at in (1, 3, 5)] if shade.background else None
            assert pixels[row, column, 3] == (expected is not None)
            if expected is not None:
                np.testing.assert_allclose(pixels[row, column, :3], expected, atol=1e-6)


def test_a_picture_has_a_row_for_each_rank_of_guesses():
    def drawn(*ranks):
        guesses = (tuple((guess, 0.5) for guess in ranks),)
        return imread(io.BytesIO(png(page(Strip("S", ("x",), (1.0,), SURPRISE, guesses)))), format="png")

    one, two, three = drawn("M"), drawn("M", "W"), drawn("M", "W", "X")
    assert len(three) - len(two) == pytest.approx(len(two) - len(one), abs=1)
    assert len(two) > len(one)
    assert not np.array_equal(two, drawn("I", "W"))
    assert not np.array_equal(two, drawn("M", "I"))


def test_the_picture_of_a_heat_map_is_in_the_page():
    text = html_page(page(BLOCKS["map"]))
    (data,) = re.findall(r"data:image/png;base64,([A-Za-z0-9+/=]+)", text)
    assert base64.b64decode(data) == raster_png(np.zeros((2, 3)), SCALE)


@pytest.mark.parametrize(("rows", "most"), [(10, 4), (10, 10), (10, 20), (7, 3), (5, 1)])
def test_rows_are_chosen_at_equal_distances(rows, most):
    values = np.random.default_rng(2).normal(size=(rows, 3))
    got = spread_rows(values, most)
    assert len(got) == min(rows, most)
    places = [next(place for place in range(rows) if np.array_equal(values[place], row)) for row in got]
    assert places[0] == 0
    assert places[-1] == (rows - 1 if most > 1 else 0)
    steps = [after - before for before, after in pairwise(places)]
    assert not steps or 0 < min(steps) <= max(steps) <= min(steps) + 1


@pytest.mark.parametrize("scale", [SURPRISE, BANDS, LIKELY, SCALE, rising(0, 1, "share")], ids=lambda scale: scale.unit)
def test_text_on_every_shade_can_be_read(scale):
    def luminance(color):
        parts = [int(color[at : at + 2], 16) / 255 for at in (1, 3, 5)]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    for shade in scale.shades:
        if shade.background:
            light, dark = sorted((luminance(shade.background), luminance(shade.color)), reverse=True)
            assert (light + 0.05) / (dark + 0.05) >= 4.5  # WCAG 2.2, AA
    assert len(scale.shades) == len(scale.limits) + 1 == len(scale.labels)
    assert scale.step_of(float("nan")) == len(scale.limits)
    for step, limit in enumerate(scale.limits):
        assert (scale.step_of(limit - 1e-9), scale.step_of(limit)) == (step, step + 1)
