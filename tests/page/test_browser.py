"""What a person does on the page, in Chromium, with both backends: nothing outside is asked for, nothing fails."""

from __future__ import annotations

import base64
import dataclasses
import functools
import http.server
import re
import threading
import time
from contextlib import nullcontext

import numpy as np
import pytest

from charlstm.checkpoint.format import convert, read_model, write
from charlstm.corpora.words import find_words
from charlstm.engine.load import load_engine, torch_model
from charlstm.export.html_page import Shared, html_page
from charlstm.inspect.trace import trace
from charlstm.sampling.rules.rhymes import last_word, split_rhyme
from tests.page.browser import CHROMIUM, LETTERS, WORDS, needs_chromium, network, save, served
from tests.page.node import PAGE
from tests.page.test_engine import IDS, LOGITS, NETWORKS, checkpoint, logits_of_torch
from tests.trained_checkpoints import prose, trained_on

playwright = pytest.importorskip("playwright.sync_api")

pytestmark = [needs_chromium, pytest.mark.timeout(300)]

SIGNED = ("542788", "f7f7f7", "b35806")
"""The colours of -1, 0 and 1 on a light page: see page.css."""
UNITS = [
    {"stack": "layers", "layer": 1, "part": "c", "unit": 3, "label": "inside quotes", "value": 0.9, "chance": 0.6,
     "graded": False,     "sign": 1, "low": -4.0, "high": 4.0},
]  # fmt: skip


@pytest.fixture(scope="module")
def browser():
    with playwright.sync_playwright() as started:
        launched = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-dev-shm-usage"])
        yield launched
        launched.close()


@pytest.fixture(scope="module")
def addresses(tmp_path_factory):
    folder = tmp_path_factory.mktemp("page")
    networks = {"tiny": network(), "other": network(seed=2, name="other", cell="gru")}
    shared = [Shared(name, each, UNITS if name == "tiny" else ()) for name, each in networks.items()]
    (folder / "page.html").write_bytes(html_page(shared, "float32"))
    with served(save(networks, folder)) as address:
        yield {"file": (folder / "page.html").as_uri(), "server": address}


BACKENDS = pytest.mark.parametrize("backend", ["file", "server"])


@pytest.fixture(params=["file", "server"])
def page(request, browser, addresses):
    yield from open_page(browser, addresses[request.param])


def open_page(browser, address, *, refused=False, **context):
    """A page that reports no fault; if a request will be refused, the browser's own line about that is none."""
    opened = browser.new_context(**{"viewport": {"width": 1280, "height": 860}, **context})
    page = opened.new_page()
    faults = []

    def listen(message):
        if message.type in ("error", "warning") and not (refused and "status of 400" in message.text):
            faults.append(message.text)

    page.on("console", listen)
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("request", lambda asked: asked.url.startswith(("data:", "blob:", address)) or faults.append(asked.url))
    page.goto(address)
    page.wait_for_selector("#bars button", state="attached")
    yield page
    opened.close()
    assert not faults, faults


def settled(page):
    """The page once it shows what was done to it: that takes until the next frame."""
    page.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
    return page


def text_of(page):
    return settled(page).input_value("#area")


def wait_until(page, expression, argument=None):
    """Ask again and again until it is true: Playwright's own waiting evaluates text, which the page forbids."""
    end = time.monotonic() + 30
    settled(page)
    while not page.evaluate(expression, argument):
        assert time.monotonic() < end, expression
        page.wait_for_timeout(20)


def set_value(page, selector, value, event="input"):
    """Move a slider, or fill a field, as a person does; ``max`` is as far as it goes."""
    page.evaluate(
        """([selector, value, event]) => {
          const field = document.querySelector(selector);
          field.value = value === "max" ? field.max : value;
          field.dispatchEvent(new Event(event));
        }""",
        [selector, value, event],
    )


def write_on(page, length=40):
    set_value(page, "#set-length", str(length), "change")
    before = text_of(page)
    page.click("#go")
    wait_until(page, "before => document.querySelector('#go').textContent === 'Write on' && "
                           "document.querySelector('#area').value.length > before", len(before))  # fmt: skip
    return text_of(page)[len(before) :]


def set_rules(page, **rules):
    """Fill the fields of rules, as a person does."""
    scored(page)  # then nothing moves any more
    if not page.evaluate("document.querySelector('#rules').open"):
        page.click("#rules summary")
        wait_until(page, "document.querySelector('#rules').open")
    for name, value in rules.items():
        if isinstance(value, bool):
            page.set_checked(f"#rule-{name}", value)
        else:
            page.fill(f"#rule-{name}", value)


def type_text(page, text):
    page.click("#area")
    page.keyboard.press("Control+End")
    page.keyboard.type(text)


def put_text(page, text):
    """Put a text into the area, as pasting does, with the caret behind it; wait until it is scored."""
    page.evaluate(
        """text => {
          area.focus();
          area.value = text;
          area.dispatchEvent(new Event("input"));
        }""",
        text,
    )
    scored(page)


def scored(page):
    """Wait until every character stands in the coloured layer and has its colour."""
    wait_until(page, "document.querySelectorAll('#tint .waiting').length === 0 && "
                     "[...document.querySelectorAll('#tint > div')].map((line) => line.textContent).join('\\n')"
                     ".replaceAll('\u200b', '') === document.querySelector('#area').value")  # fmt: skip


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


def test_taking_another_letter_makes_a_way_and_loses_nothing(page):
    type_text(page, "The ")
    drawn = write_on(page, 20)
    first = text_of(page)
    scored(page)
    page.keyboard.press("Escape")
    page.evaluate(
        """offset => {
          const area = document.querySelector("#area");
          area.focus();
          area.setSelectionRange(offset, offset);
        }""",
        len(first[:8].encode("utf-16-le")) // 2,  # it may have drawn emoji
    )
    page.wait_for_selector("text=What may stand here")
    wait_until(page, "document.querySelector('#bars [aria-current]')")
    page.keyboard.press("Control+.")
    other = page.locator("#bars button:not([aria-current])").first
    letter = other.get_attribute("aria-label")[0]
    other.focus()
    page.keyboard.press("Enter")
    wait_until(page, "first => document.querySelector('#area').value !== first && "
                     "document.querySelector('#go').textContent === 'Write on'", first)  # fmt: skip
    assert text_of(page)[:8] == first[:8]
    assert {"·": " ", "↵": "\n"}.get(letter, letter) == text_of(page)[8]
    wait_until(page, "document.querySelector('#way').textContent === 'way 2 of 2'")
    page.keyboard.press("Alt+ArrowUp")
    wait_until(page, "first => document.querySelector('#area').value === first", first)
    page.keyboard.press("Alt+ArrowDown")
    wait_until(page, "first => document.querySelector('#area').value !== first", first)
    assert drawn


def test_undo_goes_back_over_typing_drawing_and_branching(page):
    start = text_of(page)
    type_text(page, "Tide")
    write_on(page, 10)
    page.click("#ways")
    wait_until(page, "document.querySelectorAll('#three button').length === 3 && "
                           "document.querySelector('#go').textContent === 'Write on'")  # fmt: skip
    for _ in range(8):
        page.keyboard.press("Control+z")
    wait_until(page, "start => document.querySelector('#area').value === start", start)
    for _ in range(8):
        page.keyboard.press("Control+Shift+z")
    wait_until(page, "text => document.querySelector('#area').value.startsWith(text)", start + "Tide")


@pytest.mark.slow
def test_three_ways_are_offered_and_one_is_picked_by_its_number(page):
    type_text(page, "The ")
    page.keyboard.press("Control+Shift+Enter")
    wait_until(page, "document.querySelectorAll('#three button').length === 3 && "
                           "document.querySelector('#go').textContent === 'Write on'")  # fmt: skip
    ways = [button.inner_text().split("\n", 1)[1] for button in page.locator("#three button").all()]
    assert len(set(ways)) == 3
    page.keyboard.press("2")
    wait_until(page, "document.querySelector('#way').textContent === 'way 2 of 3'")
    assert text_of(page).replace("\n", " ").endswith(ways[1].replace("\n", " ")[-20:])


@pytest.mark.slow
def test_the_tree_of_branches_is_walked_by_keyboard(page):
    type_text(page, "The ")
    page.keyboard.press("Control+Shift+Enter")
    wait_until(page, "document.querySelector('#go').textContent === 'Write on' && "
                           "document.querySelectorAll('#three button').length === 3")  # fmt: skip
    page.click("#tab-branches")
    items = page.locator("[role=treeitem]")
    wait_until(page, "document.querySelectorAll('[role=treeitem]').length === 4")
    items.first.focus()
    for key in ("ArrowDown", "ArrowDown", "s", "Enter"):
        page.keyboard.press(key)
    wait_until(page, "document.querySelector('#way').textContent === 'way 2 of 3'")
    wait_until(page, "document.querySelector('[role=tree]').textContent.includes('★')")
    page.keyboard.press("Delete")
    wait_until(page, "document.querySelectorAll('[role=treeitem]').length === 3")


@pytest.mark.slow
def test_a_way_of_the_fan_is_written(page):
    type_text(page, "The ")
    page.click("#tab-fan")
    page.wait_for_selector(".fan rect")
    way = page.locator(".paths button").first
    expected = way.locator("span").first.inner_text().replace("·", " ").replace("↵", "\n")
    way.click()
    wait_until(page, "text => document.querySelector('#area').value.endsWith(text)", "The " + expected)


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
def test_a_unit_that_is_held_changes_the_text(browser, addresses):
    for page in open_page(browser, addresses["file"]):
        hold_a_unit(page)


@pytest.mark.slow
def test_a_unit_that_a_server_has_found_is_held(browser, tmp_path):
    """A server looks for units where the network's training text is."""
    trained_on(tmp_path, prose(20_000).encode())
    model = tmp_path / "checkpoints" / "my-1" / "model.safetensors"
    with served([model], "--cache", str(tmp_path / "cache")) as address:
        for page in open_page(browser, address):
            hold_a_unit(page, "a bad ")


def hold_a_unit(page, text="The "):
    type_text(page, text)
    set_value(page, "#set-seed", "5", "change")
    free = write_on(page, 60)
    page.keyboard.press("Control+z")
    page.click("#tab-units")
    page.wait_for_selector(".unit")
    set_value(page, ".unit input[type=range]", "max", "input")
    held = write_on(page, 60)
    assert held != free
    assert held[0] == free[0]  # what the unit computes at a step reaches the softmax there


@pytest.mark.slow
def test_two_networks_write_together(page):
    type_text(page, "The ")
    page.click("#tab-mix")
    page.check("#mix-on")
    page.locator(".knob").focus()
    page.keyboard.press("ArrowRight")
    assert "55 %" in settled(page).locator(".knob").get_attribute("aria-valuetext")
    page.wait_for_timeout(400)
    assert len(write_on(page, 30)) == 30


@pytest.mark.slow
def test_the_heat_map_has_the_colours_of_the_traced_values(page):
    text = "The tide was out"
    type_text(page, text)
    page.wait_for_selector(f"#strip canvas[aria-label*='cell state of 12 units at {len(text)} characters']")
    page.wait_for_timeout(200)
    model = network()
    traced = trace(torch_model(model), model.load_tokenizer().encode(text))
    values = np.tanh(traced.layers["layers"][0].parts["c"])
    pixels = page.evaluate(
        """([tokens, units, letters, column]) => {
          const canvas = document.querySelector("#strip canvas");
          const context = canvas.getContext("2d");
          const row = (canvas.height - letters) / units;
          const { data, width } = context.getImageData(0, 0, canvas.width, canvas.height);
          const at = (x, y) => [...data.slice((Math.floor(y) * width + x) * 4).slice(0, 3)];
          return Array.from({ length: tokens }, (_, token) => Array.from({ length: units }, (_, unit) =>
            at((token + 0.5) * column, letters + (unit + 0.5) * row)));
        }""",
        [*values.shape, 20, 12],
    )
    low, middle, high = (np.array([int(each[at : at + 2], 16) for at in (0, 2, 4)]) for each in SIGNED)
    ends = np.where(values[..., None] < 0, low, high)
    np.testing.assert_allclose(pixels, middle + (ends - middle) * np.abs(values)[..., None], atol=3)


@pytest.mark.slow
def test_branches_are_there_after_the_page_is_loaded_again(page):
    type_text(page, "The ")
    write_on(page, 20)
    page.keyboard.press("Control+Shift+Enter")
    wait_until(page, "document.querySelector('#go').textContent === 'Write on' && "
                           "document.querySelectorAll('#three button').length === 3")  # fmt: skip
    before = text_of(page)
    wait_until(page, """(length) => {
        const all = ({ text, ways = [] }) => ways.reduce((sum, way) => sum + all(way), Array.from(text).length);
        return Object.values(localStorage).some((kept) => all(JSON.parse(kept).tree) === length);
    }""", len(before) + 2 * 20)  # fmt: skip
    page.reload()
    page.wait_for_selector("#bars button", state="attached")
    assert text_of(page) == before
    page.click("#tab-branches")
    wait_until(page, "document.querySelectorAll('[role=treeitem]').length === 4")


def test_an_acrostic_is_written_and_its_end_is_said(page):
    type_text(page, "The tide")
    set_rules(page, starts="Up, down,Xx", max_line="20")
    drawn = write_on(page, 200)
    wait_until(page, "document.querySelector('#status').textContent.includes('the rules end here')")
    assert [line[:2] for line in drawn.removesuffix("\n").split("\n")] == ["Up", "do", "Xx"]
    assert text_of(page).startswith("The tideUp")


@pytest.mark.slow
def test_what_is_written_matches_an_expression(page):
    type_text(page, "The ")
    set_rules(page, match=r"[a-z ]{10}\.")
    page.locator("#rule-match").press("Control+Enter")
    wait_until(page, "document.querySelector('#status').textContent.includes('the rules end here')")
    assert re.fullmatch(r"[a-z ]{10}\.", text_of(page)[4:])
    page.click("#step")
    wait_until(page, "[...document.querySelector('#area').value].length === 16")  # an emoji is one character


@pytest.mark.slow
def test_lines_are_short_and_words_are_known(page):
    type_text(page, "The ")
    set_rules(page, max_line="12", words=True)
    lines = ("The " + write_on(page, 150)).split("\n")
    assert len(lines) > 9
    assert max(map(len, lines)) <= 12
    assert set(find_words("\n".join(lines))) <= {*WORDS, *(word.capitalize() for word in WORDS)} | {"The"}


@pytest.mark.slow
def test_lines_rhyme_in_pairs(page):
    type_text(page, "The ")
    set_rules(page, rhyme=True)
    write_on(page, 60)
    text = text_of(page)
    ends = [last_word(line.rstrip(",.;:!?")) for line in text.removesuffix("\n").split("\n")]
    assert text.endswith("\n")
    for one, other in zip(ends[::2], ends[1::2], strict=True):
        assert one != other
        assert split_rhyme(one)[1] == split_rhyme(other)[1] != ""


@pytest.mark.slow
def test_words_of_ones_own_are_the_only_ones(page):
    type_text(page, "The ")
    set_rules(page, list="sat\nbed, tide")
    assert set(find_words(write_on(page, 100))) <= {"sat", "bed", "tide", "Sat", "Bed", "Tide"}
    page.check("#rule-words")  # those that it has read are the other half of the same rule
    assert settled(page).input_value("#rule-list") == ""
    assert settled(page).inner_text("#rules summary") == "Rules: 1 set"


@pytest.mark.slow
@BACKENDS
def test_an_impossible_rule_is_one_line_and_loses_nothing(browser, addresses, backend):
    for page in open_page(browser, addresses[backend], refused=True):
        type_text(page, "The tide was out")
        before = text_of(page)
        set_rules(page, match=r"(a)\1")
        page.evaluate("() => { const a = document.querySelector('#area'); a.focus(); a.setSelectionRange(4, 4); }")
        for button in ("#go", "#ways"):
            page.click(button)
            wait_until(page, "document.querySelector('#status').textContent.includes('refers back to a group, at')")
            wait_until(page, "document.querySelector('#go').textContent === 'Write on'")
            assert text_of(page) == before
            assert settled(page).is_hidden("#fork")
            assert settled(page).inner_text("#rules-fault") == page.inner_text("#status")
        set_rules(page, match="")
        write_on(page, 20)
        assert len(text_of(page)) == 24
        assert "refers" not in settled(page).inner_text("#status")
        assert settled(page).is_hidden("#rules-fault")


@pytest.mark.slow
def test_rules_are_there_after_the_page_is_loaded_again(page):
    set_rules(page, match="[0-9]+", max_line="40", words=True)
    wait_until(page, "Object.values(localStorage).join().includes('[0-9]+')")
    page.reload()
    page.wait_for_selector("#bars button", state="attached")
    assert settled(page).inner_text("#rules summary") == "Rules: 3 set"
    page.click("#rules summary")
    assert (settled(page).input_value("#rule-match"), page.input_value("#rule-max_line")) == ("[0-9]+", "40")
    assert settled(page).is_checked("#rule-words")
    page.uncheck("#rule-words")
    assert re.fullmatch("[0-9]+", write_on(page, 10))


@pytest.mark.slow
def test_a_rule_can_be_typed_while_it_writes_and_while_ways_are_offered(page):
    page.keyboard.press("Control+Shift+Enter")
    wait_until(page, "document.querySelectorAll('#three button').length === 3 && "
                           "document.querySelector('#go').textContent === 'Write on'")  # fmt: skip
    set_rules(page)
    page.locator("#rule-match").press_sequentially("[ab]{2,3}")
    assert settled(page).input_value("#rule-match") == "[ab]{2,3}"
    wait_until(page, "document.querySelectorAll('#three button').length === 3")


@pytest.mark.slow
def test_only_a_server_knows_the_training_text(browser, addresses):
    for backend, is_there in (("file", False), ("server", True)):
        for page in open_page(browser, addresses[backend]):
            set_rules(page)
            assert settled(page).is_visible("#rule-no_copy") == is_there
            assert settled(page).is_visible("#rule-words")


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


@pytest.mark.slow
@pytest.mark.parametrize("colour", ["light", "dark"])
@BACKENDS
def test_a_screen_reader_stumbles_over_nothing(browser, addresses, backend, colour):
    from axe_playwright_python.sync_playwright import Axe

    for page in open_page(browser, addresses[backend], color_scheme=colour, bypass_csp=True):
        type_text(page, "The ")
        write_on(page, 30)
        set_rules(page, max_line="30")
        for tab in ("next", "fan", "branches", "units", "mix"):
            page.click(f"#tab-{tab}")
            page.wait_for_timeout(300)
            found = Axe().run(page).response["violations"]
            assert not found, [(each["id"], each["nodes"][0]["html"][:200]) for each in found]


@pytest.mark.slow
@pytest.mark.parametrize("width", [320, 768, 1600])
@BACKENDS
def test_nothing_is_wider_than_the_screen(browser, addresses, backend, width):
    for page in open_page(browser, addresses[backend], viewport={"width": width, "height": 700}):
        type_text(page, "The tide was out, and ")
        write_on(page, 60)
        set_rules(page, match="a" * 200)
        for tab in page.locator("[role=tab]").all():  # a server has none for learning
            tab.click()
            assert page.evaluate("document.documentElement.scrollWidth") <= width, tab.inner_text()


@pytest.mark.slow
def test_the_header_stays_one_row_when_it_says_how_the_writing_went(browser, addresses):
    for page in open_page(browser, addresses["file"]):
        before = page.locator("header").bounding_box()["height"]
        write_on(page, 1000)
        wait_until(page, "document.querySelector('#status').textContent.includes(' a second')")
        wait_until(page, "document.querySelector('#facts').textContent.includes('this text')")
        assert settled(page).locator("header").bounding_box()["height"] == before
        theme, asked = (page.locator(each).bounding_box() for each in ("#theme", "#help"))
        assert asked["y"] == theme["y"]
        assert asked["x"] > theme["x"]


@pytest.mark.slow
def test_the_tabs_stand_in_one_row_on_a_narrow_screen(browser, addresses):
    for page in open_page(browser, addresses["file"], viewport={"width": 320, "height": 700}):
        for name in ("branches", "learn"):  # the chosen one is bold, and wider for it
            page.click(f"#tab-{name}")
            assert len({each.bounding_box()["y"] for each in settled(page).locator("[role=tab]").all()}) == 1


@pytest.mark.slow
def test_ways_of_different_lengths_begin_at_the_same_height(browser, addresses):
    for page in open_page(browser, addresses["file"]):
        type_text(page, "The ")
        page.click("#ways")
        wait_until(page, "document.querySelectorAll('#three button').length === 3 && "
                               "document.querySelector('#go').textContent === 'Write on'")  # fmt: skip
        heights = page.evaluate(
            """() => {
              document.querySelector("#three button").append("\\n".repeat(20));
              return [...document.querySelectorAll("#three small")].map(each => each.getBoundingClientRect().top);
            }"""
        )
        assert len(heights) == 3
        assert len(set(heights)) == 1


@pytest.mark.slow
def test_lists_keep_their_distance_and_every_field_its_width(browser, addresses):
    for page in open_page(browser, addresses["file"]):
        set_rules(page, max_line="30")
        label = page.locator("label:has(#rule-list)").bounding_box()
        assert settled(page).locator("#rule-list").bounding_box()["width"] == pytest.approx(label["width"], abs=1)
        for tab, list_of in (("next", "#bars"), ("fan", ".paths"), ("branches", "[role=tree]")):
            page.click(f"#tab-{tab}")
            assert (
                page.evaluate("selector => getComputedStyle(document.querySelector(selector)).marginTop", list_of)
                == "12px"
            )


def letters_of_strip(page, blank=False):
    """The picture of the row of letters above the heat map, or what it is without any."""
    return page.evaluate(
        """blank => {
          const canvas = document.querySelector("#strip canvas");
          const row = new OffscreenCanvas(canvas.width, 20).getContext("2d", { willReadFrequently: true });
          if (!blank) row.drawImage(canvas, 0, 0);
          return [...row.getImageData(0, 0, canvas.width, 20).data].join();
        }""",
        blank,
    )


@pytest.mark.slow
def test_the_heat_map_turns_dark_with_the_page_and_goes_with_the_text(browser, addresses):
    for page in open_page(browser, addresses["file"]):
        type_text(page, "The tide was out")
        page.wait_for_selector("#strip canvas[aria-label*='16 characters']")
        light = letters_of_strip(page)
        page.click("#theme")
        page.wait_for_timeout(200)
        assert letters_of_strip(page) != light
        page.click("#tab-branches")
        page.click("text=New text")
        wait_until(page, "!document.querySelector('#strip canvas').hasAttribute('aria-label')")
        assert letters_of_strip(page) == letters_of_strip(page, blank=True)


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
def test_one_key_goes_round_the_parts_of_the_page(browser, addresses):
    for page in open_page(browser, addresses["file"]):
        type_text(page, "The ")
        reached = []
        for key in ("F6", "F6", "F6", "Shift+F6", "Shift+F6"):
            page.keyboard.press(key)
            reached.append(page.evaluate("document.activeElement.id"))
        assert reached == ["tab-next", "strip-on", "area", "strip-on", "tab-next"]
        page.click("#go")
        page.keyboard.press("F6")
        assert page.evaluate("document.activeElement.id") == "tab-next"


@pytest.mark.slow
def test_what_is_off_inside_leaves_no_empty_fields(browser, addresses):
    for page in open_page(browser, addresses["file"], viewport={"width": 320, "height": 700}):
        assert not settled(page).is_checked("#strip-on")
        assert not [each for each in settled(page).locator("#strip select").all() if each.is_visible()]
        type_text(page, "The ")
        page.check("#strip-on")
        page.wait_for_selector("#strip select[aria-label=Part]")


@pytest.mark.slow
def test_the_help_opens_at_its_beginning(browser, addresses):
    for page in open_page(browser, addresses["file"], viewport={"width": 320, "height": 500}):
        page.click("#help")
        assert page.evaluate("document.querySelector('#keys').scrollTop") == 0
        assert {"Mix", "Learn"} <= {each.inner_text() for each in settled(page).locator("#keys strong").all()}
        page.click("#keys button")
        assert settled(page).locator("#keys").is_hidden()


@pytest.mark.slow
def test_the_header_says_who_writes_and_a_mix_lets_go_of_a_unit(browser, addresses):
    for page in open_page(browser, addresses["file"]):
        page.click("#tab-units")
        page.wait_for_selector(".unit")
        page.check(".unit input[type=checkbox]")
        wait_until(page, "document.querySelector('#facts').textContent.includes('unit 3 held at 0.00')")
        page.click("#tab-mix")
        page.check("#mix-on")
        wait_until(page, "document.querySelector('#facts').textContent.includes('tiny 50 % + other 50 %')")
        assert "held" not in settled(page).inner_text("#facts")
        assert not settled(page).is_checked(".unit input[type=checkbox]")
        pad = page.locator(".pad").bounding_box()
        assert pad["height"] < pad["width"] / 3  # two networks are mixed along a line


@pytest.mark.slow
@BACKENDS
def test_forced_colours_show_the_text(browser, addresses, backend):
    for page in open_page(browser, addresses[backend], forced_colors="active"):
        type_text(page, "The ")
        write_on(page, 20)
        assert page.evaluate("getComputedStyle(document.querySelector('#area')).color") != "rgba(0, 0, 0, 0)"


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


def test_another_network_begins_in_its_own_words_unless_something_was_written(browser, tmp_path):
    starts = {"tiny": "The cat sat on the mat, ", "other": "Abba had a bad cab, "}
    networks = {"tiny": network(), "other": network("\n Aabcdh.,", seed=2, name="other")}
    networks = {
        name: dataclasses.replace(each, writing=each.writing.replace(starts=("a. " + starts[name],)))
        for name, each in networks.items()
    }
    shared = [Shared(name, each) for name, each in networks.items()]
    (tmp_path / "page.html").write_bytes(html_page(shared, "float32"))
    for page in open_page(browser, (tmp_path / "page.html").as_uri()):
        for name in ("other", "tiny"):
            page.select_option("#model", name)
            wait_until(page, f"document.querySelector('#area').value.startsWith('{starts[name][:10]}')")
            scored(page)
            assert settled(page).inner_text("#status") == ""
        type_text(page, "The end")
        scored(page)
        page.select_option("#model", "other")  # which does not know them
        wait_until(page, "document.querySelector('#status').classList.contains('fault')")
        assert text_of(page).endswith("The end")
        assert settled(page).locator("#bars button").count() == 0


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


@pytest.mark.slow
def test_it_learns_a_text_and_is_saved_as_a_network_and_as_a_page(browser, addresses, tmp_path):
    for page in open_page(browser, addresses["file"], accept_downloads=True):
        page.click("#tab-learn")
        page.fill(".paste", "the cat sat on the mat and the dog sat on the log. " * 60 + "中")
        page.fill("#panel-learn input[type=number]", "5")
        page.click("#panel-learn button.main")
        page.wait_for_selector("text=Save the network", timeout=120_000)
        before, after = map(float, re.findall(r"[0-9]+\.[0-9]+", page.inner_text("#panel-learn .soft"))[:2])
        assert after < before - 0.3
        assert "1 characters that it does not know" in settled(page).inner_text("#panel-learn .soft")
        with page.expect_download() as started:
            page.click("text=Save the network")
        started.value.save_as(tmp_path / "learnt.safetensors")
        with page.expect_download() as started:
            page.click("text=Save this page with it")
        started.value.save_as(tmp_path / "learnt.html")
    learnt = read_model(tmp_path / "learnt.safetensors")
    assert learnt.tokenizer["alphabet"] == LETTERS
    import charlstm

    text = "the cat sat on the log. the dog sat on the mat. "
    bits = [charlstm.load(path).score(text).bits_per_char for path in (tmp_path / "learnt.safetensors",)]
    assert bits[0] < before
    for page in open_page(browser, (tmp_path / "learnt.html").as_uri()):
        options = page.locator("#model option").all_inner_texts()
        assert options == ["tiny", "other", "tiny, your text"]
        page.select_option("#model", "tiny-learnt")
        assert len(write_on(page, 30)) == 30


@pytest.mark.slow
@pytest.mark.parametrize("dtype", ["float32", "int8"])
def test_logits_in_chromium_are_those_of_torch(browser, tmp_path, dtype):
    saved = [convert(checkpoint(**shape), dtype) for shape in NETWORKS]
    files = []
    for each in saved:
        write(tmp_path / "model.safetensors", each)
        files.append(base64.b64encode((tmp_path / "model.safetensors").read_bytes()).decode())
    script = f"""async ({{ files, ids }}) => {{
        const bytes = (file) => Uint8Array.from(atob(file), (each) => each.charCodeAt()).buffer;
        return ({LOGITS})(location.origin, files.map(bytes), ids);
    }}"""
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(PAGE))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        page = browser.new_page()
        page.goto(
            f"http://127.0.0.1:{server.server_port}/package.json"
        )  # no page of ours: its policy forbids to evaluate
        ours = page.evaluate(script, {"files": files, "ids": IDS})
        page.close()
        server.shutdown()
    for shape, rows, each in zip(NETWORKS, ours, saved, strict=True):
        np.testing.assert_allclose(rows, logits_of_torch(each), atol=1e-5, err_msg=str(shape))


@pytest.mark.slow
def test_the_bars_show_what_the_network_computes(browser, addresses):
    for page in open_page(browser, addresses["file"]):
        type_text(page, "The tide")
        engine, state = load_engine(network()), None
        text = page.input_value("#area")
        for token in engine.tokenizer.encode(text).tolist():
            logits, state = engine.step([token], state)
        shares = np.sort(np.exp(logits[0]) / np.exp(logits[0]).sum())[::-1][:8]
        wait_until(page, """(shares) => {
            const shown = [...document.querySelectorAll("#bars .value")].map((each) => parseFloat(each.textContent));
            return shares.every((share, k) => Math.abs(shown[k] - 100 * share) <= 0.51);  // whole ones from 10 % on
        }""", shares.tolist())  # fmt: skip
