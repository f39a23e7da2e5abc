"""Fetch what the catalogue has with pooch: over https only, no more bytes than expected, checked, whole or not at all.

Of a collection each text is whole or not there, and those that are there are not fetched again.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from charlstm.corpora.catalogue import Collection, Entry, is_intact, place, sha256_of
from charlstm.corpora.clean_markdown import clean_markdown
from charlstm.corpora.read import FilePart
from charlstm.errors import CharlstmError, CorruptError, NotFoundError
from charlstm.files import make_folder, storage_error, write_atomically

TIMEOUT = 30.0
"""Seconds without a byte after which a download is given up."""

_BLOCK = 1 << 16  # bytes
Progress = Callable[[int], None]
"""Receives the number of bytes downloaded so far."""


def fetch(
    entry: Entry | Collection, cache: Path, *, source: Path | None = None, progress: Progress | None = None
) -> Path:
    """Bring what the catalogue has into the cache, by download or from this disk.

    Args:
        entry: what to fetch. Of a collection the texts that are there already stay.
        cache: charlstm's cache folder.
        source: the file of an entry, or the folder of a collection, to read instead of downloading.
        progress: called after each block of a download and after each text.

    Returns:
        The file or folder in the cache. An existing file stays until the new one is complete and checked.

    Raises:
        NotFoundError: no such file, no network, or the server does not have it.
        CorruptError: too long, too short, or another text.
        StorageError: the cache cannot be written.
    """
    done = 0

    def received(count: int) -> None:
        if progress:
            progress(done + count)

    for each in entry.entries:
        if each is entry or not is_intact(each, cache):
            _fetch(each, cache, source and _file(entry, each, source), received)
        done += each.size
        received(0)
    return place(entry, cache)


def _file(entry: Entry | Collection, each: Entry, source: Path) -> Path:
    """The file of one text on this disk; a collection's folder is laid out as its addresses are."""
    return source if each is entry else source / unquote(each.url.removeprefix(entry.url))


def _fetch(entry: Entry, cache: Path, file: Path | None, progress: Progress) -> None:
    """Bring one text into the cache."""
    target = place(entry, cache)
    make_folder(target.parent)
    published = file or (target if entry.text is None else target.with_suffix(".md"))
    if file is None:
        _download(entry, published, progress)
    else:
        _check(entry, file)
    if entry.text is not None:
        text = clean_markdown(published.read_bytes().decode()).encode()
        assert hashlib.sha256(text).hexdigest() == entry.text_sha256, "the manifest is older than `clean_markdown`"
        write_atomically(target, text)
    elif file is not None:
        write_atomically(target, FilePart.open(file).blocks())
    if published not in (file, target):
        published.unlink()


def _check(entry: Entry, file: Path) -> None:
    """Check that a file is what is published."""
    size = FilePart.open(file).size
    if size != entry.size:
        raise _wrong(file, f"{size:,} bytes instead of {entry.size:,}")
    if sha256_of(file) != entry.sha256:
        raise _wrong(file, "its SHA-256 is not the catalogue's")


def _download(entry: Entry, target: Path, progress: Progress) -> None:
    import pooch
    import requests

    def receive(url: str, temporary: str, _: Any) -> None:
        os.unlink(temporary)  # pooch's own file is private to this user, whatever the umask
        with open(temporary, "wb") as file:
            for block in _blocks(entry, progress):
                file.write(block)

    try:
        with _silent(pooch.get_logger()):
            pooch.retrieve(
                entry.url, f"sha256:{entry.sha256}", fname=target.name, path=target.parent, downloader=receive
            )
    except requests.exceptions.RequestException as fault:
        raise _unreachable(entry, fault) from fault
    except ValueError as fault:  # pooch's word for a wrong hash
        raise _wrong(entry.url, "its SHA-256 is not the catalogue's") from fault
    except OSError as fault:
        cause = fault.__cause__ if isinstance(fault.__cause__, OSError) else fault  # pooch rewords some
        raise storage_error(target.parent, cause, "cannot be written") from fault


def _blocks(entry: Entry, progress: Progress) -> Iterator[bytes]:
    """The bytes that the server sends, exactly as many as expected."""
    import requests

    received = 0
    headers = {"User-Agent": "charlstm", "Accept-Encoding": "identity"}
    with requests.Session() as session:
        del session.adapters["http://"]  # so a redirect to http fails as an unknown scheme does
        with session.get(entry.url, headers=headers, timeout=TIMEOUT, stream=True) as response:
            response.raise_for_status()
            announced = response.headers.get("Content-Length", "")
            if announced.isdigit() and int(announced) > entry.size:
                raise _wrong(entry.url, f"{int(announced):,} bytes announced instead of {entry.size:,}")
            try:
                for block in response.iter_content(_BLOCK):
                    received += len(block)
                    if received > entry.size:
                        raise _wrong(entry.url, f"longer than the {entry.size:,} bytes expected")
                    yield block
                    progress(received)
            except requests.exceptions.ChunkedEncodingError:
                pass  # the connection broke: the count of bytes says so below
    if received < entry.size:
        raise _wrong(entry.url, f"cut off after {received:,} of {entry.size:,} bytes")


def _wrong(where: object, what: str) -> CorruptError:
    return CorruptError(what, where=where, hint="It was not stored.")


def _unreachable(entry: Entry, fault: Exception) -> CharlstmError:
    import requests

    root: BaseException = fault
    while root.__context__ is not None:
        root = root.__context__
    if isinstance(fault, requests.exceptions.InvalidSchema):
        what = f"only https is fetched ({fault})"
    elif isinstance(fault, requests.exceptions.HTTPError) and fault.response is not None:
        what = f"the server answered {fault.response.status_code} {fault.response.reason}"
    elif isinstance(root, TimeoutError):
        what = f"the server was silent for {TIMEOUT:.0f} s"
    else:
        what = f"cannot be reached ({getattr(root, 'strerror', None) or root})"
    hint = "If you have it already, name its place with `from`."
    # A server's answer may have several lines.
    return NotFoundError(" ".join(what.split()), where=entry.url, hint=hint)


@contextmanager
def _silent(logger: Any) -> Iterator[None]:
    """Keep a logger's messages below a warning from being printed."""
    level = logger.level
    logger.setLevel("WARNING")
    try:
        yield
    finally:
        logger.setLevel(level)
