"""Fetching, against a server on this machine: the good, the too long, the wrong, the cut off and the redirected."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from charlstm.corpora import fetch as module
from charlstm.corpora.catalogue import CATALOGUE, Entry, find, is_fetched, is_sound, place
from charlstm.corpora.fetch import fetch
from charlstm.corpora.sources import open_sources
from charlstm.errors import CorruptError, NotFoundError, StorageError, UsageError

TEXT = b"Now is the winter of our discontent\n" * 8000


ANSWERS: dict[str, tuple[bytes, int | None, int, dict[str, str]]] = {
    "/good": (TEXT, len(TEXT), 200, {}),
    "/longer": (TEXT + b"!", len(TEXT) + 1, 200, {}),
    "/longer-unannounced": (TEXT * 1000, None, 200, {}),
    "/other": (TEXT.replace(b"winter", b"summer"), len(TEXT), 200, {}),
    "/cut": (TEXT[: len(TEXT) // 2], len(TEXT), 200, {}),
    "/cut-unannounced": (TEXT[:1000], None, 200, {}),
    "/missing": (b"no", 2, 404, {}),
    "/broken": (b"", 0, 500, {}),
    "/loop": (b"", 0, 302, {"Location": "/loop"}),
}


def answer(path: str) -> tuple[bytes, int | None, int, dict[str, str]]:
    """Body, announced length, code and headers."""
    return (b"", 0, 301, {"Location": path[4:]}) if path.startswith("/to/") else ANSWERS[path]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        if self.path == "/nonsense":
            self.wfile.write(b"this is no HTTP\r\n\r\n")
            self.close_connection = True
            return
        body, length, code, headers = answer(self.path)
        self.send_response(code)
        if length is not None:
            self.send_header("Content-Length", str(length))
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Connection", "close")
        self.end_headers()
        try:
            self.wfile.write(body)
        except OSError:
            assert self.path == "/longer-unannounced"  # the reader has had enough
        self.close_connection = True

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        thread = threading.Thread(target=running.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{running.server_port}"
        running.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")


def entry(url: str, text: bytes = TEXT) -> Entry:
    return Entry("test", url, len(text), hashlib.sha256(text).hexdigest(), "public domain", "a text for this test")


def left(cache: Path) -> list[Path]:
    return [path for path in cache.rglob("*") if path.is_file()]


@pytest.mark.parametrize("path", ["/good", "/to//good"])
def test_a_good_text(server: str, tmp_path: Path, path: str) -> None:
    seen: list[int] = []
    found = fetch(entry(server + path), tmp_path, plain_http=True, progress=seen.append)
    assert found.read_bytes() == TEXT
    assert seen == sorted(seen)
    assert seen[-1] == len(TEXT)
    assert len(seen) > 3
    assert left(tmp_path) == [found]


@pytest.mark.parametrize(
    ("path", "error", "told"),
    [
        ("/longer", CorruptError, "288,001 bytes announced instead of 288,000"),
        ("/longer-unannounced", CorruptError, "longer than the 288,000 bytes it should be"),
        ("/other", CorruptError, "not the text of the catalogue"),
        ("/cut", CorruptError, "cut off after 144,000 of 288,000 bytes"),
        ("/cut-unannounced", CorruptError, "cut off after 1,000 of 288,000 bytes"),
        ("/missing", NotFoundError, "404 Not Found"),
        ("/broken", NotFoundError, "500"),
        ("/loop", NotFoundError, "302"),
        ("/nonsense", NotFoundError, "cannot be reached"),
        ("/to/ftp://127.0.0.1/x", NotFoundError, "only https"),
        ("/to/file:///etc/hostname", NotFoundError, "302|301"),
    ],
)
def test_a_bad_answer_leaves_what_was_there(
    server: str, tmp_path: Path, path: str, error: type[Exception], told: str
) -> None:
    wanted = entry(server + path)
    place(wanted, tmp_path).parent.mkdir()
    place(wanted, tmp_path).write_bytes(b"older")
    with pytest.raises(error, match=told) as caught:
        fetch(wanted, tmp_path, plain_http=True)
    assert "\n" not in str(caught.value)
    assert [path.read_bytes() for path in left(tmp_path)] == [b"older"]
    if error is NotFoundError and "only" not in told:
        assert "--from FILE" in str(caught.value)


def test_plain_http_is_refused(server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for url in (server + "/good", "ftp://127.0.0.1/x", "file:///etc/hostname", "HTTP://127.0.0.1/x"):
        with pytest.raises(NotFoundError, match="only https"):
            fetch(entry(url), tmp_path)
    # A redirect from https to http: the handler alone, since a test has no certificate.
    redirects = module._Redirects(("https",))
    request = module.urllib.request.Request("https://example.org/a")
    with pytest.raises(NotFoundError, match=r"redirects to http://example\.org/b, and only https"):
        redirects.redirect_request(request, open(__file__, "rb"), 302, "", {}, "http://example.org/b")  # noqa: SIM115
    assert not left(tmp_path)


def test_without_a_network(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match=r"cannot be reached \(.*\)\. .* charlstm corpora fetch test --from FILE"):
        fetch(entry("https://127.0.0.1:9/x"), tmp_path)
    with pytest.raises(NotFoundError, match="cannot be reached"):
        fetch(entry("https://no-such-host.invalid/x"), tmp_path)


def test_a_silent_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import socket

    monkeypatch.setattr(module, "TIMEOUT", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/x"
        with pytest.raises(NotFoundError, match="silent for"):
            fetch(entry(url), tmp_path, plain_http=True)


def test_from_a_file(tmp_path: Path) -> None:
    good, cache = tmp_path / "my file.txt", tmp_path / "cache"
    good.write_bytes(TEXT)
    wanted = entry("https://example.org/x")
    assert not is_fetched(wanted, cache)
    assert fetch(wanted, cache, from_file=good).read_bytes() == TEXT
    assert is_sound(wanted, cache)
    for wrong, told in [(TEXT + b"x", "longer"), (TEXT[1:], "cut off"), (b"x" + TEXT[1:], "not the text")]:
        good.write_bytes(wrong)
        with pytest.raises(CorruptError, match=f"my file.txt: {told}"):
            fetch(wanted, cache, from_file=good)
        assert is_sound(wanted, cache)
    with pytest.raises(NotFoundError, match="no such file"):
        fetch(wanted, cache, from_file=tmp_path / "none")
    with pytest.raises(StorageError):
        fetch(wanted, good, from_file=good)


def test_a_fetched_text_is_a_source_and_is_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "f"
    file.write_bytes(TEXT)
    wanted = replace(entry("https://example.org/x"), name="winter")
    monkeypatch.setitem(CATALOGUE, "winter", wanted)
    with pytest.raises(NotFoundError, match="Fetch it first: charlstm corpora fetch winter"):
        open_sources(["winter"], cache=tmp_path)
    fetch(wanted, tmp_path, from_file=file)
    assert "".join(open_sources(["winter"], cache=tmp_path).chunks()).encode() == TEXT
    place(wanted, tmp_path).write_bytes(b"x" + TEXT[1:])
    with pytest.raises(CorruptError, match="Fetch it again"):
        open_sources(["winter"], cache=tmp_path)


def test_the_catalogue() -> None:
    assert find("tinyshakespeare").size == 1_115_394
    with pytest.raises(NotFoundError, match="tinyshakespeare"):
        find("shakespeare")
    with pytest.raises(UsageError, match="ships with charlstm"):
        find("english")
    for name, each in CATALOGUE.items():
        assert (name, each.url[:8], len(each.sha256)) == (each.name, "https://", 64)
