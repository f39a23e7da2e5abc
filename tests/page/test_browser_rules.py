"""Texts that keep rules, on the page: in Chromium, with both backends."""

from __future__ import annotations

import re

import pytest

from charlstm.corpora.words import find_words
from charlstm.sampling.rules.rhymes import last_word, split_rhyme
from tests.page.browser import WORDS, needs_chromium
from tests.page.person import (
    BACKENDS,
    open_page,
    set_rules,
    settled,
    text_of,
    type_text,
    wait_until,
    write_on,
)

pytestmark = [needs_chromium, pytest.mark.timeout(300)]


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
