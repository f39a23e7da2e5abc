"""Reports: no finding claims more than was measured, and no text in them can command a terminal or a browser."""

from __future__ import annotations

import io
import re

import numpy as np
import pytest

from charlstm.report.blocks import Table
from charlstm.report.charts import Bars, Chart, Curve, Level
from charlstm.report.experiment import Result, experiment_page
from charlstm.report.findings import format_figures, format_range, judge, verdict
from charlstm.report.page import html_page
from charlstm.report.picture import png

HOSTILE = "[red]<b>&\x1b[31m\u202e\x9bx$a_$_"
"""A name with rich markup, HTML, ESC, a bidirectional override, a C1 control and half a formula."""


def report(**changes):
    curve = Curve.from_seeds("lstm", [1, 2, 4], [[1, 2, 3], [3, 2, 1]], 1)
    chart = Chart("a & b", "x", "y", (curve,), log_x=True, mark=2, levels=(Level(2, "a"), Level(3, "b")))
    values = {"name": "x", "title": "<T>", "question": "Q?", "columns": ("cell", "n"), "rows": (("lstm", "1,000"),)}
    values |= {"charts": (chart, chart), "findings": ("a < b.",), "settings": {"seeds": 2}}
    return Result(**{**values, **changes})


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


@pytest.mark.parametrize("too_short", [False, True])
def test_a_sentence_says_the_verdict_its_reason_and_the_figures(too_short):
    word, reason = verdict([5, 7], [2, 3], too_short=too_short)
    figures = format_figures(("a", [5, 7]), ("b", [2, 3]), number_format="{:.1f}", unit="s", limit=7)
    assert figures == "a 6.0+ (5.0 to 7.0+), b 2.5 (2.0 to 3.0) s"
    sentence = judge(
        "a is more", ("a", [5, 7]), ("b", [2, 3]), number_format="{:.1f}", unit="s", limit=7, too_short=too_short
    )
    assert sentence == f"{word}: a is more ({figures}; {reason})."


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


def bars(values, label="a claim"):
    names = tuple(f"{number} {label}" for number in range(len(values)))
    return report(charts=(Bars("", "share", names, tuple(values), ("note",) * len(values)),))


def test_a_picture_of_bars_grows_with_their_number_and_shows_their_length():
    few, many = picture(bars([0.5] * 3)), picture(bars([0.5] * 30))
    assert few.shape[0] < many.shape[0]
    blue = [
        int(((abs(drawn[..., :3] - (0x1F / 255, 0x5F / 255, 0xA8 / 255))).max(2) < 0.02).sum())
        for drawn in (picture(bars([0, 0, 0])), picture(bars([0.5, 0, 0])), picture(bars([0.5, 0.5, 1])))
    ]
    assert blue[0] < 50
    assert blue[2] == pytest.approx(4 * blue[1], rel=0.05)


@pytest.mark.parametrize("label", [HOSTILE, "$", "$\\frac$", "_hidden"])
def test_any_name_of_a_bar_can_be_drawn(label):
    assert not np.array_equal(picture(bars([0.5] * 2, label)), picture(bars([0.5] * 2, "")))


def test_only_columns_of_sentences_are_texts():
    columns, sentence = ("name", "figures", "verdict"), "a sentence of thirty characters"
    rows = (("a", "1,000 (900 to 1,100)", "short"), ("b", "2", sentence))
    assert Table(columns, rows).text_columns == (False, False, True)
    text = page(report(columns=columns, rows=rows))
    assert text.count('<td class="text">') == 2
    assert f'<td class="text">{sentence}</td>' in text
    assert Table(columns, ()).text_columns == (False, False, False)
