"""How large is an exported page, how soon is it there, and how fast does it write and learn?

Run: ``python -m benchmarks.page [MODEL] [--seconds 5] [--rounds 5]``

MODEL is ``starter`` unless another one is named. The engine of the page runs in Node, on one core: ``writing`` is its
network alone, one character after the other, ``writing, no WebAssembly`` the same with the products in JavaScript, and
``learning`` is in steps of eight lanes of 32 characters; the median of the rounds, in turns. ``writing in Chromium`` is
everything that the page asks of the engine, filters and scores included, without the page. The page itself is opened
from a disk in Chromium: the first paint, until the bars of the next character are there, and its own writing, of 200
characters as unless it is told otherwise, and of 2,000.
"""

from __future__ import annotations

import base64
import functools
import http.server
import json
import shutil
import subprocess
import tempfile
import threading
from pathlib import Path
from typing import Any

import charlstm
from benchmarks import records
from charlstm.checkpoint.format import write
from charlstm.export.html_page import Shared, html_page

PAGE = Path(charlstm.__file__).parent / "page"
ENGINE = """
import { readFileSync } from "node:fs";
const [page, path, rounds, seconds] = process.argv.slice(1);
const { readCheckpoint } = await import(`${page}/engine/checkpoint.js`);
const { Network } = await import(`${page}/engine/network.js`);
const { Memory } = await import(`${page}/engine/memory.js`);
const { Learner, LANES, WINDOW } = await import(`${page}/engine/learn.js`);
const { buffer, byteOffset, length } = readFileSync(path);
const checkpoint = readCheckpoint(buffer.slice(byteOffset, byteOffset + length));
const vocab = checkpoint.architecture.vocab_size;
const some = (count, shift) => Array.from({ length: count }, (_, k) => (k * 7 + shift) % vocab);
const rate = (work) => {
  const begun = performance.now();
  let count = 0;
  while (performance.now() - begun < seconds * 1000) count += work(count);
  return count / ((performance.now() - begun) / 1000);
};
const writer = (wasm) => {
  const network = new Network(checkpoint, new Memory(wasm));
  let state = network.empty();
  return (count) => {
    state = network.step(count % vocab, state).state;
    return 1;
  };
};
const [quick, plain] = [writer(true), writer(false)];
const learner = new Learner(checkpoint);
const states = Array.from({ length: LANES }, () => learner.empty());
const learn = () => {
  const lanes = (shift) => states.map((_, lane) => some(WINDOW, lane + shift));
  learner.step(lanes(0), lanes(7), states, 1e-4);
  return LANES * WINDOW;
};
const figures = { writing: [], "writing, no WebAssembly": [], learning: [] };
for (let round = 0; round < rounds; round++) {
  figures.writing.push(rate(quick));
  figures["writing, no WebAssembly"].push(rate(plain));
  figures.learning.push(rate(learn));
}
console.log(JSON.stringify(figures));
"""
WRITING = """
async ([file, rounds]) => {
  const { Player } = await import(`${location.origin}/engine/player.js`);
  const { buffer } = Uint8Array.from(atob(file), (each) => each.charCodeAt());
  const player = new Player([{ id: "model", file: buffer, facts: {} }]);
  const rate = async (length) => {
    const begun = performance.now();
    const { signal } = new AbortController();
    for await (const _ of player.generate({ text: "The tide was out. ", length, seed: 1 }, signal));
    return length / ((performance.now() - begun) / 1000);
  };
  await rate(200);
  const rates = [];
  for (let round = 0; round < rounds; round++) rates.push(await rate(2000));
  return rates;
}
"""


def main() -> None:
    """Measure, print, record."""
    parser = records.parser(__doc__)
    parser.add_argument("model", nargs="?", default="starter")
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    record = records.begin("page")
    model = charlstm.load(options.model)
    row = Path(options.model).name
    with tempfile.TemporaryDirectory() as folder:
        weights, page = Path(folder) / "model.safetensors", Path(folder) / "page.html"
        write(weights, model.checkpoint)
        page.write_bytes(html_page([Shared(row, model.checkpoint)], "int8"))
        record.add(row, "size", "MB", page.stat().st_size / 1e6)
        command = ["node", "--input-type=module", "-e", ENGINE, PAGE.as_uri(), str(weights)]
        done = subprocess.run(
            [*command, str(options.rounds), str(options.seconds)], check=True, capture_output=True, text=True
        )
        for name, values in json.loads(done.stdout).items():
            record.add(row, name, "characters/s", values)
        for name, unit, values in _in_chromium(page, weights, options.rounds):
            record.add(row, name, unit, values)
    record.show()
    record.finish(options)


class _Quiet(http.server.SimpleHTTPRequestHandler):
    """Serves files and says nothing."""

    def log_message(self, *_: Any) -> None:
        """Nothing."""


def _in_chromium(page: Path, weights: Path, rounds: int) -> list[tuple[str, str, list[float]]]:
    """What Chromium says of the engine and of the page."""
    from playwright.sync_api import sync_playwright

    painted, ready, written, longer = [], [], [], []
    with sync_playwright() as started:
        browser = started.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        engine = _written_in_chromium(browser, weights, rounds)
        for _ in range(rounds):
            shown = browser.new_page()
            shown.goto(page.as_uri())
            shown.wait_for_selector("#bars button")
            ready.append(shown.evaluate("performance.now()"))
            painted.append(shown.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime"))
            written.append(_written(shown))
            shown.evaluate("""const field = document.querySelector("#set-length");
                              field.value = 2000; field.dispatchEvent(new Event("change"));""")  # fmt: skip
            longer.append(_written(shown))
            shown.close()
        browser.close()
    return [
        ("writing in Chromium", "characters/s", engine),
        ("first paint", "milliseconds", painted),
        ("until the bars are there", "milliseconds", ready),
        ("writing on the page", "characters/s", written),
        ("the same, 2,000", "characters/s", longer),
    ]


def _written(shown: Any) -> float:
    """Characters a second, as the page says it once it has written."""
    shown.wait_for_function("document.querySelectorAll('#tint .waiting').length === 0")
    shown.click("#go")
    shown.wait_for_timeout(100)
    while "a second" not in (shown.text_content("#status") or ""):
        shown.wait_for_timeout(50)
    return float((shown.text_content("#status") or "").split()[-3])


def _written_in_chromium(browser: Any, weights: Path, rounds: int) -> list[float]:
    """Characters a second of the engine in the browser, with everything that the page asks of it."""
    file = base64.b64encode(weights.read_bytes()).decode()
    handler = functools.partial(_Quiet, directory=str(PAGE))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        shown = browser.new_page()
        shown.goto(f"http://127.0.0.1:{server.server_port}/package.json")
        values: list[float] = shown.evaluate(WRITING, [file, rounds])
        shown.close()
        server.shutdown()
    return values


if __name__ == "__main__":
    main()
