"""What a text copies: shares, passages and places, against counting by hand; and the page that shows it."""

from __future__ import annotations

import json
import random
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from charlstm.inspect.originality import LENGTHS, PIECES, located, measure, spread, verdict
from charlstm.inspect.pages.originality import originality_page
from charlstm.report.blocks import Shaded, Table
from charlstm.report.page import html_page


def share_by_hand(text: str, source: str, least: int) -> float:
    """The share of characters in some window of ``least`` that stands in the source."""
    inside = set()
    for begin in range(len(text) - least + 1):
        if text[begin : begin + least] in source:
            inside.update(range(begin, begin + least))
    return len(inside) / len(text) if text else 0.0


@st.composite
def patchworks(draw: st.DrawFn) -> tuple[str, str]:
    """A source, and a text made of pieces of it and of other characters."""
    source = draw(st.text(alphabet="abc\n", max_size=200))
    pieces = draw(st.lists(st.tuples(st.integers(0, 200), st.integers(0, 70), st.text("ax", max_size=9)), max_size=6))
    return source, "".join(source[begin : begin + length] + other for begin, length, other in pieces)


@given(patchworks())
def test_shares_and_passages(made: tuple[str, str]) -> None:
    source, text = made
    copies = measure(text, [], [source[:50], source[50:]]).written
    for least in LENGTHS:
        assert copies.share(least) == pytest.approx(share_by_hand(text, source, least))
    passages = copies.passages(100, 8)
    assert max((len(passage.text) for passage in passages), default=0) == copies.longest
    taken: set[int] = set()
    for passage in passages:
        places = set(range(passage.begin, passage.begin + len(passage.text)))
        assert not places & taken
        taken |= places
        assert text[passage.begin :].startswith(passage.text)
        assert source[passage.place :].startswith(passage.text)
        end = passage.begin + len(passage.text)
        assert end == len(text) or text[passage.begin : end + 1] not in source, "it cannot be longer"
    assert [len(passage.text) for passage in passages] == sorted((len(p.text) for p in passages), reverse=True)


@given(st.lists(st.text(alphabet="abcdefgh\n", max_size=60), min_size=1, max_size=4), st.integers(1, 30))
def test_a_passage_is_found_in_its_file(files: list[str], size: int) -> None:
    whole = "".join(files)
    parts = [
        (f"{number}.txt", file[begin : begin + size])
        for number, file in enumerate(files)
        for begin in range(0, len(file), size)
    ]
    text = whole[len(whole) // 3 :][:40]
    for passage in located(measure(text, [], [whole]).written.passages(3, 8), parts):
        at = passage.place
        number = next(n for n in range(len(files)) if at < len("".join(files[: n + 1])))
        assert passage.part == f"{number}.txt"
        assert passage.line == 1 + whole[len("".join(files[:number])) : at].count("\n")
        assert passage.before == whole[max(0, at - 40) : at]
        assert passage.after == whole[at + len(passage.text) :][:40]


@given(st.integers(0, 500), st.integers(0, 500), st.integers(1, 300))
def test_pieces_of_held_out_text_lie_in_it_and_apart(begin: int, size: int, length: int) -> None:
    begins = spread(begin, begin + size, length)
    assert len(begins) == (0 if not size else min(PIECES, max(1, size // length)))
    for first, second in pairwise(begins):
        assert first + length <= second
    if size >= length and begins:
        assert begins[0] == begin
        assert begins[-1] + length <= begin + size


def text_of(seed: int, length: int) -> str:
    return "".join(random.Random(seed).choices("abcdefghijklmnop ", k=length))


@pytest.mark.parametrize(
    ("own", "held", "words"),
    [
        (47, 39, "longest copy 47 characters (held-out text has 39): about as original as the author"),
        (30, 39, "longest copy 30 characters (held-out text has 39): as original as the author"),
        (90, 39, "longest copy 90 characters (held-out text has 39): less original than the author"),
        (0, 39, "no copy of 8 characters or more (held-out text has 39): as original as the author"),
        (9, 0, "longest copy 9 characters (held-out text has fewer than 8): about as original as the author"),
        (12, None, "longest copy 12 characters"),
    ],
)
def test_the_verdict(own: int, held: int | None, words: str) -> None:
    source = text_of(0, 3000)
    held_out = [] if held is None else [source[2000 : 2000 + held] + "#" * (500 - held)]
    assert verdict(measure(source[100 : 100 + own] + "!" * 100, held_out, [source])) == words


def test_the_page_marks_the_copies_and_shows_the_text_unchanged() -> None:
    source = text_of(1, 3000)
    text = f"## {source[500:560]} ## {source[900:930]} </script>\x1b[31m ##"
    found = measure(text, [source[:100]], [source[1000:], source[:1000]])
    from dataclasses import replace

    found = replace(found, passages=located(found.written.passages(1, 16), [("a.txt", source[1000:] + source[:1000])]))
    page = originality_page(found, title="A text", source="a")
    shaded = page.sections[0].blocks[0]
    assert isinstance(shaded, Shaded)
    assert "".join(piece for piece, _ in shaded.pieces) == text
    assert [shaded.pieces[number] for number in shaded.marks] == [(source[500:560], 60.0)]
    table = page.sections[1].blocks[0]
    assert isinstance(table, Table)
    assert table.rows[0][1:] == ("60", "a.txt:1")
    data = json.loads(json.dumps(page.data))
    assert data["longest"] == 60
    assert data["passages"][0]["text"] == source[500:560]
    assert data["shares"]["32"] == pytest.approx(60 / len(text), abs=1e-5)
    assert len(data["held_out"]) == 1
    drawn = html_page(page)
    assert "</script>" not in drawn
    assert "\x1b" not in drawn


def test_a_page_of_bytes_shows_their_text() -> None:
    source = "Ärger über Öl und Übermut. " * 3
    raw = source.encode().decode("latin-1")
    page = originality_page(measure(raw, [], [raw]), title="", source="", of_bytes=True)
    assert page.data["text"] == source
    assert page.about.startswith(f"Longest copy {len(source.encode())} bytes")
