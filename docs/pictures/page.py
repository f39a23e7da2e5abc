"""Takes the picture of the page for the README: ``python docs/pictures/page.py poet.html page.png``, with Chromium."""

import shutil
import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

TYPED = "\n\nHe had never seen such a th"


def main(page_file: str, picture: str) -> None:
    """Open the page, type, and look at the fan.

    Args:
        page_file: what `charlstm export html` wrote.
        picture: the PNG to write.
    """
    with sync_playwright() as started:
        arguments = ["--no-sandbox", "--disable-dev-shm-usage"]
        browser = started.chromium.launch(executable_path=shutil.which("chromium"), args=arguments)
        page = browser.new_page(viewport={"width": 1280, "height": 800}, color_scheme="light")
        page.goto(Path(page_file).resolve().as_uri())
        page.wait_for_selector("#bars button", state="attached")
        page.click("#area")
        page.keyboard.press("Control+End")
        page.keyboard.type(TYPED)
        page.click("#tab-fan")
        page.wait_for_selector(".fan rect")
        page.wait_for_timeout(3000)
        page.screenshot(path=picture)
        browser.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
