"""Writing on the page, in Chromium, with both backends: nothing outside is asked for, and nothing is lost."""

from __future__ import annotations

import dataclasses
from contextlib import nullcontext

import pytest

from charlstm.checkpoint.format import write
from charlstm.export.html_page import Shared, html_page
from tests.page.browser import needs_chromium, network, save, served
from tests.page.person import (
    BACKENDS,
    open_page,
    put_text,
    scored,
    set_value,
    settled,
    text_of,
    type_text,
    wait_until,
    write_on,
)

pytestmark = [needs_chromium, pytest.mark.timeout(300)]


def test_it_writes_on_from_what_is_typed_and_scores_both(page):
    type_text(page, "The tide")
    drawn = write_on(page)
    assert len(drawn) == 40
    assert text_of(page).startswith("The tide")
    scored(page)
    first = page.locator("#tint span").first.bounding_box()
    above = page.evaluate("({ x, y }) => document.elementFromPoint(x + 3, y + 3).id", first)
    assert above == "area"  # a click on a letter puts the caret there
    assert settled(page).locator("#tint .typed").first.inner_text() == "T"
    assert settled(page).locator("#tint span").count() > 5
    assert "bits" in settled(page).inner_text("#status")
    assert settled(page).inner_text("#tint").replace("\u200b", "") == text_of(page)


@pytest.mark.slow
def test_the_layer_and_the_text_area_break_lines_alike(page):
    type_text(page, "words of many lengths and some verylongonesthatneverseemtoend\n\nAn empty line. " * 6)
    page.set_viewport_size({"width": 420, "height": 700})
    scored(page)
    layer, area = (page.evaluate(f"document.querySelector('{name}').scrollHeight") for name in ("#tint", "#area"))
    assert abs(layer - area) <= 2


@pytest.mark.slow
def test_a_long_text_grows_without_being_built_again_and_the_text_area_has_it_when_it_is_needed(page):
    long = "A line of this text.\n" * 120
    put_text(page, long)
    page.evaluate("() => [...document.querySelectorAll('#tint > div')].forEach((line, k) => (line.number = k))")
    set_value(page, "#set-length", "1000", "change")
    set_value(page, "#set-speed", "6", "input")
    page.keyboard.press("Control+Enter")
    shown = "document.querySelector('#tint').textContent.length"
    wait_until(page, f"{shown} > {len(long)} + 10")
    page.wait_for_selector("#tint.ahead", state="attached")
    assert text_of(page) == long
    same = "[...document.querySelector('#tint').children].filter((line, k) => line.number === k).length"
    assert page.evaluate(same) >= 120
    page.keyboard.press("Shift")  # a person turns to the text area, which needs all of it
    drawn = text_of(page)[len(long) :]
    assert len(drawn) >= 10
    page.keyboard.type("!")
    wait_until(page, "document.querySelector('#go').textContent === 'Write on'")
    scored(page)
    assert text_of(page).startswith(long + drawn)
    assert "!" in text_of(page)[-2:]  # a character may have been written that was not shown yet
    assert settled(page).inner_text("#tint").replace("\u200b", "") == text_of(page)
    page.keyboard.press("ArrowUp")
    page.keyboard.press("Home")
    page.keyboard.type("Xé")  # in the middle
    page.keyboard.press("Enter")
    page.keyboard.press("Backspace")
    scored(page)
    assert settled(page).inner_text("#tint").replace("\u200b", "") == text_of(page)


@pytest.mark.slow
def test_where_colours_are_forced_it_is_the_text_area_that_shows_how_a_long_text_grows(browser, addresses):
    for page in open_page(browser, addresses["file"], forced_colors="active"):
        long = "A line of this text.\n" * 120
        put_text(page, long)
        set_value(page, "#set-length", "1000", "change")
        set_value(page, "#set-speed", "4", "input")
        page.keyboard.press("Control+Enter")
        wait_until(page, "length => document.querySelector('#area').value.length > length + 3", len(long))
        assert settled(page).inner_text("#go") == "Stop"


@pytest.mark.slow
def test_writing_stops_when_it_is_told(page):
    type_text(page, "a")
    set_value(page, "#set-speed", "3", "input")
    page.click("#go")
    wait_until(page, "document.querySelector('#area').value.length > 3")
    page.keyboard.press("Escape")
    wait_until(page, "document.querySelector('#go').textContent === 'Write on'")
    length = len(text_of(page))
    page.wait_for_timeout(600)
    assert len(text_of(page)) == length < 200
    wait_until(page, "document.querySelector('#status').textContent.startsWith('stopped after')")


@pytest.mark.slow
def test_the_temperature_moves_the_bars_without_a_request(page):
    asked, answered = [], []
    page.on("request", lambda request: asked.append(request.url))
    page.on("requestfinished", lambda request: answered.append(request.url))
    page.on("requestfailed", lambda request: answered.append(request.url))
    type_text(page, "The ")
    scored(page)
    before = None
    while before != len(asked) or before != len(answered):  # until half a second has brought nothing new
        before = len(asked)
        page.wait_for_timeout(500)
    asked.clear()
    before = page.locator("#bars .kept").first.get_attribute("style")
    set_value(page, "#set-temperature", "0.1", "input")
    wait_until(page, "before => document.querySelector('#bars .kept').getAttribute('style') !== before", before)
    assert not asked


@pytest.mark.slow
def test_before_anything_is_asked_for_it_has_written(browser, tmp_path):
    start = "so it was. The cat sat on the mat, "
    checkpoint = network()
    checkpoint = dataclasses.replace(checkpoint, writing=checkpoint.writing.replace(starts=(start,)))
    networks = {"tiny": checkpoint}
    (tmp_path / "page.html").write_bytes(html_page([Shared("tiny", checkpoint)], "float32"))
    with served(save(networks, tmp_path)) as address:
        texts = []
        for each in ((tmp_path / "page.html").as_uri(), address):
            for page in open_page(browser, each):
                scored(page)
                texts.append(text_of(page))
                opening = "The cat sat on the mat, "
                typed = "".join(page.locator("#tint .typed").all_inner_texts())
                assert typed.replace("\u200b", "") == opening
                assert texts[-1].startswith(opening)
                assert len(texts[-1]) > len(opening) + 80
    assert texts[0] == texts[1]


@pytest.mark.slow
def test_a_new_text_is_begun_with_the_caret_in_it_and_says_nothing_of_the_old_one(browser, addresses):
    for page in open_page(browser, addresses["file"]):
        write_on(page)
        wait_until(page, "document.querySelector('#status').textContent.includes(' a second')")
        page.click("#tab-branches")
        page.click("text=New text")
        page.keyboard.type("Tide")
        scored(page)
        assert text_of(page) == "Tide"
        assert settled(page).inner_text("#status") == ""


@pytest.mark.slow
def test_a_key_that_comes_before_the_next_frame_goes_into_the_new_text(browser, addresses):
    for page in open_page(browser, addresses["file"]):
        type_text(page, "The tide was out")
        page.click("#tab-branches")
        page.evaluate(
            """() => {
              const buttons = [...document.querySelectorAll("#panel-branches button")];
              buttons.find(({ textContent }) => textContent === "New text").click();
              document.execCommand("insertText", false, "T");  // in the same task: no frame can come between
            }"""
        )
        page.keyboard.type("ide")
        scored(page)
        assert text_of(page) == "Tide"


@pytest.mark.slow
def test_what_is_typed_after_a_click_on_a_button_goes_into_the_text(browser, addresses):
    for page in open_page(browser, addresses["file"]):
        write_on(page)
        before = text_of(page)
        page.keyboard.type("Tide 1")
        assert text_of(page) == before + "Tide 1"


@pytest.mark.slow
def test_an_unknown_character_is_one_line_and_loses_nothing(page):
    type_text(page, "The ")
    page.keyboard.insert_text("中")
    wait_until(page, "document.querySelector('#status').textContent.includes('中')")
    assert text_of(page).endswith("The 中")
    page.keyboard.press("Backspace")
    wait_until(page, "document.querySelectorAll('#tint .waiting').length === 0")


@pytest.mark.slow
def test_characters_beyond_sixteen_bits_keep_their_places(page):
    type_text(page, "a")
    page.keyboard.insert_text("😀é😀")
    type_text(page, "b")
    write_on(page, 5)
    assert "a😀é😀b" in text_of(page)
    page.keyboard.press("Control+End")
    page.keyboard.press("Backspace")
    scored(page)
    assert settled(page).inner_text("#tint").replace("\u200b", "") == text_of(page)


@BACKENDS
def test_hostile_text_stays_text(browser, tmp_path, backend):
    hostile = "<script>alert(1)</scrp&\"'\u202e\u200f\x00\x1b\u2028`${}"
    alphabet = "".join(sorted(set(hostile + "\n ")))
    name, writes = "</script><b>evil", network(alphabet)
    page_file = tmp_path / "page.html"
    page_file.write_bytes(html_page([Shared(name, writes)], "float32"))
    file = tmp_path / "<script>" / "<b>evil" / "model.safetensors"
    file.parent.mkdir(parents=True)
    write(file, writes)
    with served([file]) if backend == "server" else nullcontext(page_file.as_uri()) as address:
        stays_text(browser, address, alphabet)


def stays_text(browser, address, alphabet):
    for page in open_page(browser, address):
        before = page.evaluate("document.querySelectorAll('script, b, iframe, img').length")
        drawn = write_on(page, 300)
        assert set(drawn) - {"\n"} <= set(alphabet)
        for tab in ("next", "fan", "branches"):
            page.click(f"#tab-{tab}")
            page.wait_for_timeout(200)
        assert page.evaluate("document.querySelectorAll('script, b, iframe, img').length") == before
