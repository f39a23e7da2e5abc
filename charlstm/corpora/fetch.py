"""Fetch a catalogue entry: https only, never more bytes than pinned, hashed while it streams, whole or not at all."""

from __future__ import annotations

import hashlib
import http.client
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import IO, Any

from charlstm.corpora.catalogue import Entry, place
from charlstm.corpora.read import FilePart
from charlstm.errors import CharlstmError, CorruptError, NotFoundError
from charlstm.files import storage_error, write_atomically

TIMEOUT = 30.0
"""Seconds without a byte after which a server counts as silent."""

_BLOCK = 1 << 16
Progress = Callable[[int], None]


def fetch(
    entry: Entry,
    cache: Path,
    *,
    from_file: Path | None = None,
    progress: Progress = lambda done: None,
    plain_http: bool = False,
) -> Path:
    """Bring an entry into the cache, from its address or from a file a person brought.

    Args:
        entry: what to fetch.
        cache: charlstm's cache folder.
        from_file: read this file instead of the network.
        progress: called with the number of bytes so far.
        plain_http: allow http:// too; for tests against a server on the same machine.

    Returns:
        Where it lies now. What lay there before stays until the new file is whole and checked.

    Raises:
        NotFoundError: no such file, no network, or the server does not have it.
        CorruptError: too long, too short, or another text.
        StorageError: the cache cannot be written.
    """
    target = place(entry, cache)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
    except OSError as fault:
        raise storage_error(target.parent, fault, "cannot be written") from fault
    if from_file is not None:
        write_atomically(target, _checked(entry, FilePart.open(from_file).blocks(), str(from_file), progress))
        return target
    with _open(entry, plain_http) as response:
        announced = response.headers.get("Content-Length", "")
        if announced.isdigit() and int(announced) > entry.size:
            raise _wrong(entry.url, f"{int(announced):,} bytes announced instead of {entry.size:,}")
        write_atomically(target, _checked(entry, _blocks(entry, response), entry.url, progress))
    return target


def _checked(entry: Entry, blocks: Iterable[bytes], where: str, progress: Progress) -> Iterator[bytes]:
    """The blocks, passed on; an error at the first byte too many, or at the end when it is another text."""
    digest, done = hashlib.sha256(), 0
    for block in blocks:
        done += len(block)
        if done > entry.size:
            raise _wrong(where, f"longer than the {entry.size:,} bytes it should be")
        digest.update(block)
        progress(done)
        yield block
    if done < entry.size:
        raise _wrong(where, f"cut off after {done:,} of {entry.size:,} bytes")
    if digest.hexdigest() != entry.sha256:
        raise _wrong(where, f"not the text of the catalogue: its SHA-256 is {digest.hexdigest()}")


def _wrong(where: str, what: str) -> CorruptError:
    return CorruptError(what, where=where, hint="Nothing was kept.")


def _open(entry: Entry, plain_http: bool) -> Any:
    """The server's answer, its body still to be read."""
    schemes = ("https", "http") if plain_http else ("https",)
    opener = urllib.request.OpenerDirector()
    handlers: list[type[urllib.request.BaseHandler]] = [
        urllib.request.ProxyHandler,
        urllib.request.HTTPSHandler,
        urllib.request.HTTPDefaultErrorHandler,
        urllib.request.HTTPErrorProcessor,
        urllib.request.UnknownHandler,
    ]
    if plain_http:
        handlers.append(urllib.request.HTTPHandler)
    for handler in handlers:
        opener.add_handler(handler())
    opener.add_handler(_Redirects(schemes))
    if not entry.url.startswith(tuple(f"{scheme}://" for scheme in schemes)):
        raise NotFoundError("only https is fetched", where=entry.url)
    request = urllib.request.Request(entry.url, headers={"User-Agent": "charlstm", "Accept-Encoding": "identity"})
    try:
        return opener.open(request, timeout=TIMEOUT)
    except (OSError, http.client.HTTPException) as fault:
        raise _unreachable(entry, fault) from fault


def _blocks(entry: Entry, response: IO[bytes]) -> Iterator[bytes]:
    try:
        while block := response.read(_BLOCK):
            yield block
    except http.client.IncompleteRead:
        return  # the count of bytes tells it better
    except (OSError, http.client.HTTPException) as fault:
        raise _unreachable(entry, fault) from fault


def _unreachable(entry: Entry, fault: Exception) -> CharlstmError:
    if isinstance(fault, urllib.error.HTTPError):
        fault.close()
        what = f"the server answered {fault.code} {fault.reason}"
    elif isinstance(fault, TimeoutError) or isinstance(getattr(fault, "reason", None), TimeoutError):
        what = f"the server was silent for {TIMEOUT:.0f} s"
    else:
        reason = getattr(fault, "reason", fault)
        what = f"cannot be reached ({getattr(reason, 'strerror', None) or reason})"
    hint = f"Got the file another way? charlstm corpora fetch {entry.name} --from FILE"
    # What a server says may have many lines.
    return NotFoundError(" ".join(what.split()), where=entry.url, hint=hint)


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows a redirect only to the schemes allowed."""

    def __init__(self, schemes: tuple[str, ...]) -> None:
        self._schemes = schemes

    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: Any, newurl: str
    ) -> urllib.request.Request | None:
        if newurl.partition(":")[0].lower() not in self._schemes:
            fp.close()
            raise NotFoundError(f"the server redirects to {newurl}, and only https is fetched", where=req.full_url)
        return super().redirect_request(req, fp, code, msg, headers, newurl)
