"""Networks on the page: looked into, held, mixed, changed, taught and saved, in Chromium."""

from __future__ import annotations

import base64
import dataclasses
import functools
import http.server
import re
import threading

import numpy as np
import pytest

from charlstm.checkpoint.format import convert, read_model, write
from charlstm.engine.load import load_engine, torch_model
from charlstm.export.html_page import Shared, html_page
from charlstm.inspect.trace import trace
from tests.page.browser import LETTERS, needs_chromium, network, served
from tests.page.node import PAGE
from tests.page.person import (
    open_page,
    scored,
    set_value,
    settled,
    text_of,
    type_text,
    wait_until,
    write_on,
)
from tests.page.test_engine import IDS, LOGITS, NETWORKS, checkpoint, logits_of_torch
from tests.trained_checkpoints import prose, trained_on

pytestmark = [needs_chromium, pytest.mark.timeout(300)]

SIGNED = ("542788", "f7f7f7", "b35806")
"""The colours of -1, 0 and 1 on a light page: see page.css."""


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
