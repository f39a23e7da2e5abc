"""Does the page drop frames with 10,000 characters on it, and how much of a frame does it compute?

Run: ``python -m benchmarks.frames [MODEL] [--characters 10000] [--seconds 5] [--rounds 3]``

MODEL is ``starter`` unless another one is named. The page is opened from a disk in Chromium, and the bundled stories
are put on it, scored and coloured. Beside it stands an empty page with a text area of the same size and text, so that
what the machine drops itself is told apart. A row is what happens meanwhile: nothing; a text that grows at its end by
50 characters a second; a person who types twelve a second, at the end or in the middle; one who scrolls. A frame is
1/60 of a second. ``dropped`` is the share of frames that came late, by half a frame or more; ``longest`` the longest
time between two; and ``a frame`` how long a processor computed for each in the main thread of the page.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import charlstm
from benchmarks import records
from benchmarks.records import ROOT
from charlstm.export.html_page import Shared, html_page

FRAME = 1000 / 60
"""Milliseconds."""
TYPING = 80
"""Milliseconds between two keys."""
WORDS = "and so on, "
EMPTY = """<!doctype html><style>
textarea { width: 84ch; height: 6000px; font: 17px/1.75 monospace; overflow: hidden; resize: none }
</style><textarea id="area"></textarea>"""
WATCH = """() => {
  const gaps = [];
  let last = performance.now();
  const next = () => {
    const now = performance.now();
    gaps.push(now - last);
    last = now;
    if (window.gaps === gaps) requestAnimationFrame(next);
  };
  window.gaps = gaps;
  requestAnimationFrame(next);
}"""
WATCHED = "() => { const { gaps } = window; window.gaps = null; return gaps.slice(1); }"
CARET = """at => {
  const area = document.getElementById("area");
  area.focus();
  area.setSelectionRange(at < 0 ? area.value.length : at, at < 0 ? area.value.length : at);
}"""
GROW = """() => {
  const area = document.getElementById("area");
  let count = 0;
  const grow = () => area.setRangeText("tide, \\n"[count++ % 7], area.value.length, area.value.length, "preserve");
  window.growing = setInterval(grow, 20);
}"""
SET = """([id, value, event]) => {
  const field = document.getElementById(id);
  field.value = value;
  field.dispatchEvent(new Event(event, { bubbles: true }));
}"""


@dataclass
class Shown:
    """A page that is open: ours, or an empty one."""

    page: Any
    ours: bool
    characters: int

    def at_rest(self, until: float) -> None:
        """Nothing happens."""
        self.page.wait_for_timeout(max(0.0, 1000 * (until - time.monotonic())))

    @contextmanager
    def growing(self) -> Iterator[None]:
        """The text grows at its end by 50 characters a second."""
        if self.ours:
            self.page.evaluate(SET, ["set-length", "5000", "change"])
            self.page.evaluate(SET, ["set-speed", "5", "input"])
            self.page.keyboard.press("Control+Enter")
            self.page.wait_for_timeout(500)
            yield
            self.page.keyboard.press("Escape")
        else:
            self.page.evaluate(GROW)
            yield
            self.page.evaluate("clearInterval(window.growing)")

    def type(self, until: float) -> None:
        """A person types where the caret is."""
        count = 0
        while time.monotonic() < until:
            self.page.keyboard.type(WORDS[count % len(WORDS)])
            self.page.wait_for_timeout(TYPING)
            count += 1

    def scroll(self, until: float) -> None:
        """A person scrolls down and up again."""
        count = 0
        while time.monotonic() < until:
            self.page.mouse.wheel(0, 40 if count // 60 % 2 == 0 else -40)
            self.page.wait_for_timeout(FRAME)
            count += 1

    def settle(self) -> None:
        """Wait until everything is scored, and all that follows from it has been shown."""
        while self.page.evaluate("document.querySelectorAll('#tint .waiting').length"):
            self.page.wait_for_timeout(200)
        self.page.wait_for_timeout(1500)

    def put_caret(self, at: int) -> None:
        """Put the caret at a place; -1 is the end."""
        self.page.evaluate(CARET, at)
        self.settle()


def main() -> None:
    """Measure, print, record."""
    parser = records.parser(__doc__)
    parser.add_argument("model", nargs="?", default="starter")
    parser.add_argument("--characters", type=int, default=10_000)
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    record = records.begin("frames")
    model = charlstm.load(options.model)
    text = (ROOT / "corpora" / "stories.txt").read_text("utf-8")[: options.characters]
    figures: dict[tuple[str, str, str], list[float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        page = Path(folder) / "page.html"
        page.write_bytes(html_page([Shared(Path(options.model).name, model.checkpoint)], "int8"))
        with _pages(page.as_uri(), text) as pages:
            for _ in range(options.rounds):
                for row, shown, act in _rows(pages):
                    for name, unit, value in _measured(shown.page, act, options.seconds):
                        who = Path(options.model).name if shown.ours else "an empty page"
                        figures.setdefault((f"{who}, {row}", name, unit), []).append(value)
    for (row, name, unit), values in figures.items():
        record.add(row, name, unit, values)
    record.show()
    record.finish(options)


@contextmanager
def _pages(address: str, text: str) -> Iterator[list[Shown]]:
    """Both pages with the text on them."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as started:
        browser = started.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        pages = []
        for ours in (True, False):
            page = browser.new_page(viewport={"width": 1280, "height": 860})
            if ours:
                page.goto(address)
                page.wait_for_selector("#bars button")
            else:
                page.set_content(EMPTY)
            page.evaluate(SET, ["area", text, "input"])
            page.mouse.move(400, 400)
            pages.append(Shown(page, ours, len(text)))
            pages[-1].settle()
        yield pages
        browser.close()


def _rows(pages: list[Shown]) -> Iterator[tuple[str, Shown, Callable[[float], None]]]:
    """What happens on each page: its name, the page, and what goes on until a time."""
    for shown in pages:
        shown.page.bring_to_front()
        shown.put_caret(-1)
        yield "at rest", shown, shown.at_rest
        with shown.growing():
            yield "the text grows", shown, shown.at_rest
        shown.put_caret(-1)
        yield "typing at the end", shown, shown.type
        shown.put_caret(shown.characters // 2)
        yield "typing in the middle", shown, shown.type
        shown.settle()
        shown.page.evaluate("scrollTo(0, 0)")
        yield "scrolling", shown, shown.scroll


def _measured(page: Any, act: Callable[[float], None], seconds: float) -> list[tuple[str, str, float]]:
    """What came of the frames while something went on."""
    client = page.context.new_cdp_session(page)
    client.send("Performance.enable", {"timeDomain": "threadTicks"})
    page.evaluate(WATCH)
    before = _busy(client)
    act(time.monotonic() + seconds)
    busy = _busy(client) - before
    gaps = page.evaluate(WATCHED)
    client.detach()
    late = sum(max(0, round(gap / FRAME) - 1) for gap in gaps)
    frames = sum(gaps) / FRAME
    return [
        ("dropped", "per cent", 100 * late / frames),
        ("longest", "milliseconds", max(gaps)),
        ("a frame", "milliseconds", 1000 * busy / frames),
    ]


def _busy(client: Any) -> float:
    """The seconds that the page's main thread has computed."""
    metrics = {each["name"]: each["value"] for each in client.send("Performance.getMetrics")["metrics"]}
    return float(metrics["TaskDuration"])


if __name__ == "__main__":
    main()
