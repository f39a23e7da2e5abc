"""Ways a text can go, and back, on the page: in Chromium, with both backends."""

from __future__ import annotations

import pytest

from tests.page.browser import needs_chromium
from tests.page.person import (
    scored,
    text_of,
    type_text,
    wait_until,
    write_on,
)

pytestmark = [needs_chromium, pytest.mark.timeout(300)]


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
