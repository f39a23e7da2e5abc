"""A browser, and the page in it: as one file, and from a server."""

import pytest

from charlstm.export.html_page import Shared, html_page
from tests.page.browser import CHROMIUM, network, save, served
from tests.page.person import open_page

UNITS = [
    {"stack": "layers", "layer": 1, "part": "c", "unit": 3, "label": "inside quotes", "value": 0.9, "chance": 0.6,
     "graded": False,     "sign": 1, "low": -4.0, "high": 4.0},
]  # fmt: skip


@pytest.fixture(scope="module")
def browser():
    sync_api = pytest.importorskip("playwright.sync_api")
    with sync_api.sync_playwright() as started:
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


@pytest.fixture(params=["file", "server"])
def page(request, browser, addresses):
    yield from open_page(browser, addresses[request.param])
