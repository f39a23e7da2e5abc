"""Reports: no finding claims more than was measured, and no text in them can command a terminal or a browser."""

from __future__ import annotations

import io
import re

import numpy as np
import pytest

from charlstm.report.data import Chart, Curve, Level, Report
from charlstm.report.experiment import experiment_page
from charlstm.report.findings import format_range, judge
from charlstm.report.page import html_page
from charlstm.report.picture import png

HOSTILE = "[red]<b>&\x1b[31m\u202e\x9bx$a_$_"
"""A name with rich markup, HTML, ESC, a bidirectional override, a C1 control and half a formula."""


def report(**changes):
    curve = Curve.from_seeds("lstm", [1, 2, 4], [[1, 2, 3], [3, 2, 1]], 1)
    chart = Chart("a & b", "x", "y", (curve,), log_x=True, mark=2, levels=(Level(2, "a"), Level(3, "b")))
    values = {"name": "x", "title": "<T>", "question": "Q?", "columns": ("cell", "n"), "rows": (("lstm", "1,000"),)}
    values |= {"charts": (chart, chart), "findings": ("a < b.",), "settings": {"seeds": 2}}
    return Report(**{**values, **changes})


@pytest.mark.parametrize(
    ("greater", "smaller", "verdict", "reason"),
    [
        ([5, 6, 7], [2, 3, 4], "Supported", "in all 3 seeds"),
        ([5, 6, 7], [2, 3, 5], "Inconclusive", "the seeds overlap"),
        ([1, 2, 3], [4, 5, 6], "Refuted", "in all 3 seeds"),
        ([5], [2], "Supported", "may be chance"),
        ([5], [5], "Inconclusive", "no difference"),
        ([5, 5], [5, 5], "Inconclusive", "no difference"),
    ],
)
def test_a_claim_is_supported_only_if_every_seed_beats_every_seed(greater, smaller, verdict, reason):
    sentence = judge("a is more than b", ("a", greater), ("b", smaller), number_format="{:.0f}")
    assert sentence.startswith(f"{verdict}: a is more than b (a {np.mean(greater):.0f}")
    assert reason in sentence


@pytest.mark.parametrize("values", [([5, 6], [1, 2]), ([1, 2], [5, 6]), ([1, 1], [1, 1])])
def test_no_verdict_is_given_after_too_short_a_training(values):
    sentence = judge("a is more than b", ("a", values[0]), ("b", values[1]), too_short=True)
    assert sentence.startswith("Inconclusive: a is more than b")
    assert "too short to tell" in sentence


def test_a_range_shows_what_reached_the_limit_of_the_measurement():
    assert format_range([8, 12, 16], "{:.0f}") == "12 (8 to 16)"
    assert format_range([8, 8], "{:.0f}") == "8"
    assert format_range([8, 100], "{:.0f}", 100) == "54+ (8 to 100+)"
    assert format_range([100, 100], "{:.0f}", 100) == "100+"


def test_a_curve_has_the_mean_and_the_range_of_the_seeds():
    curve = Curve.from_seeds("lstm", [1, 2], [[1, 5], [3, 1]], 1)
    assert (curve.mean, curve.low, curve.high) == ((2, 3), (1, 1), (3, 5))


def test_the_table_as_csv():
    assert report().to_csv() == 'cell,n\nlstm,"1,000"\n'


def page(drawn):
    return html_page(experiment_page(drawn))


def test_the_page_is_self_contained_and_escaped():
    text = page(report(partial=True))
    assert "&lt;T&gt;" in text
    assert "a &lt; b." in text
    assert "<T>" not in text
    assert text.count(">a &amp; b<") == 2  # the title of each chart
    assert "Stopped early" in text
    assert not re.search(r"(src|href)=\"(?!data:)", text)


def test_a_hostile_name_is_harmless_on_the_page():
    names = {"title": HOSTILE, "question": HOSTILE, "findings": (HOSTILE,), "columns": (HOSTILE, HOSTILE)}
    text = page(report(**names, rows=((HOSTILE, HOSTILE),), name=HOSTILE, settings={"text": HOSTILE}))
    assert "<b>" not in text
    assert not set(text) & set("\x1b\u202e\x9b")
    assert text.count("[red]&lt;b&gt;&amp;\u241b[31m&lt;U+202E&gt;&lt;U+009B&gt;x$a_$_") == 10


def picture(drawn):
    """The pixels of a report's PNG, (height, width, 4)."""
    from matplotlib.image import imread

    return imread(io.BytesIO(png(experiment_page(drawn))), format="png")


def labelled(label):
    return report(charts=(Chart("", "x", "y", (Curve.from_seeds(label, [1, 2], [[1, 2]], 0),)),))


def test_the_picture_shows_every_chart():
    one, three = (picture(report(charts=report().charts[:1] * count)) for count in (1, 3))
    assert one.shape[0] < three.shape[0]  # two side by side, the third below
    assert one.shape[1] == three.shape[1]


@pytest.mark.parametrize("label", [HOSTILE, "$", "$\\frac$", "_hidden", "日本語"])
def test_any_name_can_be_drawn_and_is_in_the_legend(label):
    assert not np.array_equal(picture(labelled(label)), picture(labelled("")))
    assert picture(report(title=label)).any()
