"""Fetching over TLS from a server on this machine: texts that are good, too long, wrong, cut off or redirected."""

from __future__ import annotations

import hashlib
import logging
import os
import socket
import ssl
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import quote

import pytest
import trustme

from charlstm.corpora import fetch as module
from charlstm.corpora.catalogue import Collection, Entry, catalogue, find, is_fetched, is_intact, place
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
            assert self.path in ("/longer", "/longer-unannounced")  # the client has stopped reading
        self.close_connection = True

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def server(authority: trustme.CA) -> Iterator[str]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        running.socket = context.wrap_socket(running.socket, server_side=True)
        thread = threading.Thread(target=running.serve_forever, args=(0.01,))
        thread.start()
        yield f"https://127.0.0.1:{running.server_port}"
        running.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def _trusted(authority: trustme.CA, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    bundle = tmp_path_factory.mktemp("authority") / "ca.pem"
    authority.cert_pem.write_to_path(str(bundle))
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(bundle))
    monkeypatch.setenv("no_proxy", "127.0.0.1")


def entry(url: str, text: bytes = TEXT) -> Entry:
    return Entry("test", url, len(text), hashlib.sha256(text).hexdigest(), "public domain", "a text for this test")


def files_in(cache: Path) -> list[Path]:
    return [path for path in cache.rglob("*") if path.is_file()]


@pytest.mark.parametrize("path", ["/good", "/to//good"])
def test_a_good_text(server: str, tmp_path: Path, path: str) -> None:
    counts: list[int] = []
    file = fetch(entry(server + path), tmp_path, progress=counts.append)
    assert file.read_bytes() == TEXT
    assert counts == sorted(counts)
    assert counts[-1] == len(TEXT)
    assert len(counts) > 3
    assert files_in(tmp_path) == [file]


def test_nothing_is_printed_and_the_logger_is_left_as_it_was(
    server: str, tmp_path: Path, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    import pooch

    level = pooch.get_logger().level
    assert level <= logging.INFO, "pooch reports its downloads unless told otherwise"
    fetch(entry(server + "/good"), tmp_path)
    assert capfd.readouterr() == ("", "")
    assert not [record for record in caplog.records if record.name.startswith("pooch")]
    assert pooch.get_logger().level == level


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX")
def test_permissions_are_those_of_any_new_file(server: str, tmp_path: Path) -> None:
    (tmp_path / "plain").touch()
    file = fetch(entry(server + "/good"), tmp_path)
    assert stat.S_IMODE(file.stat().st_mode) == stat.S_IMODE((tmp_path / "plain").stat().st_mode)


def test_pooch_is_imported_only_to_download(tmp_path: Path) -> None:
    body = (
        "import sys; from pathlib import Path\n"
        "import charlstm.cli.commands.corpora, charlstm.corpora.fetch\n"
        "from charlstm.corpora.sources import open_sources\n"
        "open_sources(['english'], cache=Path('cache'))\n"
        "print({'pooch', 'requests', 'charset_normalizer'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", body], capture_output=True, text=True, check=True, cwd=tmp_path,
                          env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])})  # fmt: skip
    assert done.stdout.strip() == "set()"


@pytest.mark.parametrize(
    ("path", "error", "message"),
    [
        ("/longer", CorruptError, "288,001 bytes announced instead of 288,000"),
        ("/longer-unannounced", CorruptError, "longer than the 288,000 bytes expected"),
        ("/other", CorruptError, "SHA-256 is not the catalogue"),
        ("/cut", CorruptError, r"cut off after 1[34]\d,\d{3} of 288,000 bytes"),
        ("/cut-unannounced", CorruptError, "cut off after 1,000 of 288,000 bytes"),
        ("/missing", NotFoundError, "404 Not Found"),
        ("/broken", NotFoundError, "500"),
        ("/loop", NotFoundError, "redirects"),
        ("/nonsense", NotFoundError, "cannot be reached"),
        ("/to/ftp://127.0.0.1/x", NotFoundError, "only https"),
        ("/to/file:///etc/hostname", NotFoundError, "only https"),
        ("/to/http://127.0.0.1:9/x", NotFoundError, "only https.*http://127.0.0.1:9/x"),
    ],
)
def test_a_bad_answer_leaves_the_existing_file(
    server: str, tmp_path: Path, path: str, error: type[Exception], message: str
) -> None:
    expected = entry(server + path)
    place(expected, tmp_path).parent.mkdir()
    place(expected, tmp_path).write_bytes(b"older")
    with pytest.raises(error, match=message) as caught:
        fetch(expected, tmp_path)
    assert "\n" not in str(caught.value)
    assert [path.read_bytes() for path in files_in(tmp_path)] == [b"older"]
    if error is NotFoundError:
        assert "name its place with `from`" in str(caught.value)


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:9/x", "HTTP://127.0.0.1:9/x", "ftp://127.0.0.1/x", "file:///etc/hostname"]
)
def test_only_https_is_fetched(tmp_path: Path, url: str) -> None:
    with pytest.raises(NotFoundError, match="only https"):
        fetch(entry(url), tmp_path)
    assert not files_in(tmp_path)


def test_a_server_with_a_foreign_certificate(server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("REQUESTS_CA_BUNDLE")
    with pytest.raises(NotFoundError, match="certificate verify failed"):
        fetch(entry(server + "/good"), tmp_path)
    assert not files_in(tmp_path)


def test_without_a_network(tmp_path: Path) -> None:
    with pytest.raises(
        NotFoundError, match=r"cannot be reached \(.*\)\. If you have it already, name its place with `from`\."
    ):
        fetch(entry("https://127.0.0.1:9/x"), tmp_path)
    with pytest.raises(NotFoundError, match="cannot be reached"):
        fetch(entry("https://no-such-host.invalid/x"), tmp_path)


def test_a_silent_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "TIMEOUT", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        with pytest.raises(NotFoundError, match="silent for"):
            fetch(entry(f"https://127.0.0.1:{silent.getsockname()[1]}/x"), tmp_path)


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX")
def test_a_full_disk(server: str, tmp_path: Path) -> None:
    body = f"""
import resource, signal, sys
from pathlib import Path
from urllib.parse import quote
from charlstm.corpora.catalogue import Collection, Entry
from charlstm.corpora.fetch import fetch
from charlstm.errors import StorageError
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
try:
    fetch(Entry("test", "{server}/good", {len(TEXT)}, "0" * 64, "", ""), Path("cache"))
except StorageError as fault:
    print(fault)
"""
    done = subprocess.run([sys.executable, "-c", body], capture_output=True, text=True, check=True, cwd=tmp_path,
                          env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])})  # fmt: skip
    assert "cannot be written: the file exceeds the size limit" in done.stdout
    assert not files_in(tmp_path / "cache")


def test_from_a_file(tmp_path: Path) -> None:
    good, cache = tmp_path / "my file.txt", tmp_path / "cache"
    good.write_bytes(TEXT)
    expected = entry("https://example.org/x")
    assert not is_fetched(expected, cache)
    assert fetch(expected, cache, source=good).read_bytes() == TEXT
    assert is_intact(expected, cache)
    for wrong, message in [
        (TEXT + b"x", "288,001 bytes instead of 288,000"),
        (TEXT[1:], "287,999 bytes instead of 288,000"),
        (b"x" + TEXT[1:], "SHA-256 is not the catalogue"),
    ]:
        good.write_bytes(wrong)
        with pytest.raises(CorruptError, match=f"my file.txt: .*{message}"):
            fetch(expected, cache, source=good)
        assert is_intact(expected, cache)
    with pytest.raises(NotFoundError, match="no such file"):
        fetch(expected, cache, source=tmp_path / "none")
    with pytest.raises(StorageError):
        fetch(expected, good, source=good)


def test_a_fetched_text_is_a_source_and_is_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "f"
    file.write_bytes(TEXT)
    expected = replace(entry("https://example.org/x"), name="winter")
    monkeypatch.setitem(catalogue(), "winter", expected)
    with pytest.raises(NotFoundError, match="Fetch it first: charlstm corpora fetch winter"):
        open_sources(["winter"], cache=tmp_path)
    fetch(expected, tmp_path, source=file)
    assert "".join(open_sources(["winter"], cache=tmp_path).chunks()).encode() == TEXT
    place(expected, tmp_path).write_bytes(b"x" + TEXT[1:])
    with pytest.raises(CorruptError, match="Fetch it again"):
        open_sources(["winter"], cache=tmp_path)


def test_the_catalogue() -> None:
    assert find("tinyshakespeare").size == 1_115_394
    with pytest.raises(NotFoundError, match="tinyshakespeare"):
        find("shakespeare")
    with pytest.raises(UsageError, match="ships with charlstm"):
        find("english")
    for name, each in catalogue().items():
        assert (name, each.url[:8]) == (each.name, "https://")
        assert all(len(entry.sha256) == len(entry.text_sha256) == 64 for entry in each.entries)


def test_the_classics_and_their_parts() -> None:
    classics = find("classics")
    assert len(classics.entries) == 196
    assert len({place(book, Path()) for book in classics.entries}) == 196
    assert classics.size > classics.text_size > 60_000_000
    austen, emma = find("classics/Jane Austen"), find("classics/Jane Austen/Emma")
    assert len(austen.entries) == 8
    assert emma in austen.entries
    assert emma.url.endswith("/Jane%20Austen/Emma.md")
    held_out = find("classics/held-out").entries
    assert len(held_out) == 8
    assert all(book.held_out for book in held_out)
    for wrong, suggestion in [
        ("classics/Jane Austin", "classics/Jane Austen"),
        ("classics/Jane Austen/Emmma", "classics/Jane Austen/Emma"),
        ("tinyshakespeare/Hamlet", "tinyshakespeare"),
    ]:
        with pytest.raises(NotFoundError, match=suggestion):
            find(wrong)


BOOK = b"# Title: Winter\n\n-------\n\n## Chapter 1\n\nNow is the _winter_ of our discontent.  \n\n"
CLEAN = b"Chapter 1\n\nNow is the winter of our discontent.\n"


@pytest.fixture
def shelf(server: str, monkeypatch: pytest.MonkeyPatch) -> Collection:
    """Three books of two authors; the server has the first two, and knows nothing of the third."""
    books = []
    for path, held_out in [("A. Poet/It's winter", False), ("A. Poet/Summer & Co.", True), ("B/Missing", False)]:
        published = BOOK.replace(b"Winter", path.encode())
        code = 404 if "Missing" in path else 200
        monkeypatch.setitem(ANSWERS, f"/shelf/{quote(path)}.md", (published, len(published), code, {}))
        text = (len(CLEAN), hashlib.sha256(CLEAN).hexdigest())
        digest = hashlib.sha256(published).hexdigest()
        url = f"{server}/shelf/{quote(path)}.md"
        books.append(Entry(f"shelf/{path}", url, len(published), digest, "", "", text, held_out))
    shelf = Collection("shelf", f"{server}/shelf/", tuple(books), "public domain", "three books")
    monkeypatch.setitem(catalogue(), "shelf", shelf)
    return shelf


def test_a_collection_is_fetched_book_by_book_and_goes_on_where_it_was_interrupted(
    shelf: Collection, tmp_path: Path
) -> None:
    counts: list[int] = []
    with pytest.raises(NotFoundError, match="404"):
        fetch(shelf, tmp_path, progress=counts.append)
    assert counts == sorted(counts)
    there = sorted(files_in(tmp_path))
    assert [file.name for file in there] == ["It's winter.txt", "Summer & Co..txt"]
    assert {file.read_bytes() for file in there} == {CLEAN}
    assert not is_fetched(shelf, tmp_path)
    assert is_intact(find("shelf/A. Poet"), tmp_path)

    written = there[1].stat().st_mtime_ns
    there[0].write_bytes(CLEAN.replace(b"winter", b"WINTER"))  # the right size, another text: fetched again
    missing, length, _, headers = ANSWERS["/shelf/B/Missing.md"]
    ANSWERS["/shelf/B/Missing.md"] = (missing, length, 200, headers)
    assert fetch(shelf, tmp_path, progress=counts.append) == tmp_path / "corpora" / "shelf"
    assert counts[-1] == shelf.size
    assert is_intact(shelf, tmp_path)
    assert {file.name for file in files_in(tmp_path)} == {"It's winter.txt", "Summer & Co..txt", "Missing.txt"}
    assert there[1].stat().st_mtime_ns == written


def test_a_collection_from_a_folder(shelf: Collection, tmp_path: Path) -> None:
    folder, cache = tmp_path / "my books", tmp_path / "cache"
    for book in shelf.entries:
        path = book.name.removeprefix("shelf/")
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / f"{path}.md").write_bytes(BOOK.replace(b"Winter", path.encode()))
    (folder / "B" / "Missing.md").write_bytes(b"x" * shelf.entries[-1].size)
    with pytest.raises(CorruptError, match=r"Missing\.md: its SHA-256"):
        fetch(shelf, cache, source=folder)
    assert len(files_in(cache)) == 2
    with pytest.raises(NotFoundError, match=r"nowhere/B/Missing\.md: no such file"):
        fetch(shelf, cache, source=tmp_path / "nowhere")

    with pytest.raises(NotFoundError, match=r"shelf/B: not fetched yet\. .*charlstm corpora fetch shelf/B"):
        open_sources(["shelf/B"], cache=cache)
    corpus = open_sources(["shelf/A. Poet"], cache=cache)
    assert corpus.name == "shelf-A.-Poet"
    assert "".join(corpus.chunks()).encode() == CLEAN * 2
    assert "".join(open_sources(["shelf/held-out"], cache=cache).chunks()).encode() == CLEAN
    place(shelf.entries[1], cache).write_bytes(CLEAN.upper())
    with pytest.raises(CorruptError, match=r"has changed since it was fetched.*fetch 'shelf/A\. Poet'"):
        open_sources(["shelf/A. Poet"], cache=cache)
    with pytest.raises(NotFoundError, match=r"Did you mean .*shelf/B"):
        open_sources(["shelf/C"], cache=cache)
