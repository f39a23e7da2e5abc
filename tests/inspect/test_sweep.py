"""The same text at several values: what was typed, what was drawn, and its figures, computed another way."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from charlstm.errors import UsageError
from charlstm.inspect.pages.sweep import figures, sweep_page
from charlstm.inspect.sweep import Swept, parse_sweep, sweep
from charlstm.report.blocks import Table, Text
from charlstm.report.page import html_page
from charlstm.sampling.config import SampleConfig
from charlstm.sampling.sampler import Fragment, sample
from tests.fake_models import random_markov


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("temperature=0.2..1.4", ("temperature", (0.2, 0.5, 0.8, 1.1, 1.4))),
        ("min-p=0.01,0.1", ("min_p", (0.01, 0.1))),
        (" top_p = 1, 0.5,1", ("top_p", (1.0, 0.5))),
        ("temperature=1..0", ("temperature", (1.0, 0.75, 0.5, 0.25, 0.0))),
        ("temperature=1", ("temperature", (1.0,))),
        ("temperature=1..1", ("temperature", (1.0,))),
    ],
)
def test_what_is_typed(typed: str, expected: tuple[str, tuple[float, ...]]) -> None:
    assert parse_sweep(typed) == expected


@pytest.mark.parametrize(
    "typed",
    ["", "temperature", "temperature=", "length=1..9", "temperature=a..b", "temperature=1..2..3", "temperature=1,,2",
     "min_p=" + ",".join(f"0.{n:02}" for n in range(13))],
)  # fmt: skip
def test_what_is_no_sweep(typed: str) -> None:
    with pytest.raises(UsageError):
        parse_sweep(typed)


@pytest.mark.parametrize("values", ["inf..1", "0..inf", "-inf..inf", "nan..1", "0..nan", "inf", "0.5,nan"])
def test_values_that_are_not_finite_are_refused_as_what_they_are(values: str) -> None:
    with pytest.raises(UsageError, match=f"`sweep=temperature={re.escape(values)}` has a value that is not finite"):
        parse_sweep(f"temperature={values}")


def swept(values: tuple[float, ...], name: str = "temperature", **more: Any) -> list[Swept]:
    model = random_markov("abc d.")

    def draw(config: SampleConfig) -> Iterator[tuple[str, list[Fragment]]]:
        fragments = list(sample(model, [0], config, with_log_probabilities=True))
        yield "".join(fragment.text for fragment in fragments), fragments

    return sweep(draw, SampleConfig(length=200, seed=3), name, values, characters=len, **more)


def test_each_value_has_the_text_that_it_would_have_alone() -> None:
    model = random_markov("abc d.")
    found = swept((0.0, 0.5, 2.0))
    for each in found:
        config = SampleConfig(length=200, seed=3, temperature=each.value)
        assert each.text == "".join(fragment.text for fragment in sample(model, [0], config))


def test_bits_are_those_of_the_network_itself() -> None:
    model = random_markov("abc d.")
    logits = model.table.astype(float)
    probabilities = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    for each in swept((0.3, 1.0, 3.0)):
        ids = [0, *model.tokenizer.encode(each.text).tolist()]
        bits = [-math.log2(probabilities[a, b]) for a, b in pairwise(ids)]
        assert each.bits == pytest.approx(sum(bits) / 200, rel=1e-5)


def test_copies_and_words() -> None:
    text = swept((1.0,))[0].text
    (found,) = swept((1.0,), source=[text[:20], text[20:50], "#", text[50:]], words=["Abc", "dab"])
    assert found.copy == 150
    assert found.real_words is not None
    assert 0 <= found.real_words <= 1
    assert list(figures(found)) == ["bits per character", "repeated trigrams", "longest copy", "real words"]
    assert list(figures(swept((1.0,))[0], "byte")) == ["bits per byte", "repeated trigrams"]
    assert figures(Swept(1, "", 1, 0, 0))["longest copy"] == "under 8"


def test_a_value_out_of_range() -> None:
    with pytest.raises(UsageError, match="min_p"):
        swept((0.1, 1.5), "min_p")


def test_the_page_has_every_text() -> None:
    found = swept((0.5, 1.0), "min_p")
    page = sweep_page(found, "min_p", title="t", prompt="<b>")
    table = page.sections[0].blocks[0]
    assert isinstance(table, Table)
    assert [row[0] for row in table.rows] == ["0.5", "1"]
    assert [section.heading for section in page.sections[1:]] == ["min-p 0.5", "min-p 1"]
    assert [block.text for section in page.sections[1:] for block in section.blocks if isinstance(block, Text)] == [
        "<b>" + each.text for each in found
    ]
    assert page.data["setting"] == "min_p"
    assert "<b>" not in html_page(page).split("</h1>")[1].replace("<figcaption><b>", "")
