"""An answer that is computed while its client waits; when the client goes, the work ends."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from starlette.types import Message, Receive, Scope, Send

from charlstm.errors import CharlstmError
from charlstm.web.errors import describe, to_json
from charlstm.web.turns import Job, Part, Turns, Work

_log = logging.getLogger(__name__)
STREAM = "text/event-stream"
_QUIET = 10.0
"""Seconds without a word after which a stream says that it is alive."""


def event(data: Any, name: str = "") -> bytes:
    """A server-sent event.

    Args:
        data: its data, for JSON.
        name: of the event; OpenAI's have none.
    """
    return (f"event: {name}\n".encode() if name else b"") + b"data: " + to_json(data) + b"\n\n"


class Reply:
    """A response, as Starlette calls it.

    Args:
        turns: of the server.
        work: what is asked for.
    """

    def __init__(self, turns: Turns, work: Work) -> None:
        self._turns, self._work = turns, work

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Compute and send the answer.

        Raises:
            Exception: what went wrong before anything was sent.
        """
        parts: asyncio.Queue[Part] = asyncio.Queue()
        job = self._turns.begin(self._work, parts.put_nowait)
        sending, leaving = asyncio.ensure_future(_send(job, parts, send)), asyncio.ensure_future(_left(receive))
        try:
            await asyncio.wait({sending, leaving}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._turns.stop(job)
            sending.cancel()
            leaving.cancel()
            await asyncio.wait({sending, leaving})
        if not sending.cancelled():
            sending.result()  # raises what went wrong before anything was sent


async def _left(receive: Receive) -> None:
    """Return when the client is gone."""
    while (await receive())["type"] != "http.disconnect":
        pass


async def _send(job: Job, parts: asyncio.Queue[Part], send: Send) -> None:
    """Send the parts of an answer as they come.

    Raises:
        Exception: what went wrong, if nothing has been sent.
    """
    part = await parts.get()
    if isinstance(part, Exception):
        raise part
    streams = job.media_type == STREAM
    headers = [(b"content-type", job.media_type.encode())]
    if not streams:
        headers.append((b"content-length", str(len(part or b"")).encode()))
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    while streams and part is not None:
        if isinstance(part, Exception):
            part = _error(part)
        await send(_body(part, more=True))
        await asyncio.sleep(job.pause)
        part = await _next(parts)
    await send(_body(part or b"", more=False))


def _error(fault: Exception) -> bytes:
    """The event of an error; one that is ours is told in the terminal, too."""
    if not isinstance(fault, CharlstmError):
        _log.error("a fault within a stream", exc_info=fault)
    return event(describe(fault)[1], "error")


async def _next(parts: asyncio.Queue[Part]) -> Part:
    """The next part, or a comment if there is none for long."""
    try:
        async with asyncio.timeout(_QUIET):
            return await parts.get()
    except TimeoutError:
        return b": still computing\n\n"


def _body(part: Any, *, more: bool) -> Message:
    return {"type": "http.response.body", "body": part, "more_body": more}
