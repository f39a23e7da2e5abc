"""How the page looks, in Chromium: on every width, in the dark, to a screen reader, by keyboard."""

from __future__ import annotations

import pytest

from tests.page.browser import needs_chromium
from tests.page.person import (
    BACKENDS,
    open_page,
    set_rules,
    settled,
    type_text,
    wait_until,
    write_on,
)

pytestmark = [needs_chromium, pytest.mark.timeout(300)]


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
@BACKENDS
def test_forced_colours_show_the_text(browser, addresses, backend):
    for page in open_page(browser, addresses[backend], forced_colors="active"):
        type_text(page, "The ")
        write_on(page, 20)
        assert page.evaluate("getComputedStyle(document.querySelector('#area')).color") != "rgba(0, 0, 0, 0)"
