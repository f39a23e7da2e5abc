"""What a person does on the page, and what they see there."""

from __future__ import annotations

import time

import pytest

BACKENDS = pytest.mark.parametrize("backend", ["file", "server"])


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
