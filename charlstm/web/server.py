"""The server itself: its socket, its connections, its end."""

from __future__ import annotations

import asyncio
import errno
import socket
from typing import Any

import h11
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from charlstm.errors import StorageError, UsageError
from charlstm.web.app import application
from charlstm.web.desk import Desk
from charlstm.web.errors import Refusal, describe, to_json
from charlstm.web.guard import HEADERS, Access
from charlstm.web.turns import Turns

CONNECTIONS = 256
"""At most; more are answered with 503."""
_IDLE = 10.0
"""Seconds in which a request has to begin and its headers have to come, and in which a client has to read on."""
_GRACE = 0.5
"""Seconds that open streams get to end."""


def listen(host: str, port: int) -> socket.socket:
    """Open the socket of a server.

    Args:
        host: a name or number of this machine.
        port: 0 takes any that is free.

    Returns:
        The socket, which listens.

    Raises:
        UsageError: the port is taken, or there is no such host here.
        StorageError: the port may not be used.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=128)
    except OSError as fault:
        if fault.errno == errno.EADDRINUSE:
            hint = f"Choose another, such as `port={port % 65535 + 1}`, or `port=0` for any that is free."
            raise UsageError(f"port {port} is taken by another program", hint=hint) from fault
        if fault.errno in (errno.EACCES, errno.EPERM):
            raise StorageError(f"no permission to use port {port}", hint="Choose one above 1023.") from fault
        raise UsageError(f"`host={host}` is no address of this machine ({fault.strerror})") from fault


class Server(uvicorn.Server):
    """A server of networks.

    Args:
        desk: the networks.
        access: who may ask.
    """

    def __init__(self, desk: Desk, access: Access) -> None:
        self.turns = Turns()
        super().__init__(
            uvicorn.Config(
                application(desk, self.turns, access, self._crowded),
                http=_Connection,
                loop="asyncio",
                ws="none",
                lifespan="off",
                log_config=None,
                log_level="error",
                access_log=False,
                proxy_headers=False,
                server_header=False,
                timeout_keep_alive=30,
                timeout_graceful_shutdown=1,
            )
        )

    def _crowded(self) -> bool:
        return len(self.server_state.connections) > CONNECTIONS

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop what computes; let streams say so; close the connections of those who do not read it."""
        self.turns.close()
        asyncio.get_running_loop().call_later(_GRACE, self._abort)
        await super().shutdown(sockets)

    def _abort(self) -> None:
        for connection in list(self.server_state.connections):
            connection.transport.abort()


class _Connection(H11Protocol):
    """A connection that is closed when nothing comes, or nothing is read, for long."""

    def __init__(self, *args: Any, **settings: Any) -> None:
        super().__init__(*args, **settings)
        self._waiting: dict[str, asyncio.TimerHandle] = {}

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if len(self.connections) > 2 * CONNECTIONS:  # that many are not even answered: files are limited, too
            transport.abort()
        self._expect("request")

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.cycle is not None and not self.cycle.response_complete:
            self._met("request")
        else:
            self._expect("request")

    def pause_writing(self) -> None:
        super().pause_writing()
        self._expect("reading")

    def resume_writing(self) -> None:
        super().resume_writing()
        self._met("reading")

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        for what in list(self._waiting):
            self._met(what)

    def send_400_response(self, msg: str) -> None:
        """Refuse what is no HTTP as everything else is refused; if an answer is under way already, only close."""
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            content = to_json(describe(Refusal(400, "This is no request in HTTP/1.1.", "not_http"))[1])
            length = {"Content-Length": str(len(content)), "Content-Type": "application/json", "Connection": "close"}
            headers = [*length.items(), *HEADERS.items()]
            for event in (h11.Response(status_code=400, headers=headers), h11.Data(data=content), h11.EndOfMessage()):
                self.transport.write(self.conn.send(event) or b"")
        if self.cycle is not None:  # whose answer would come behind this one
            self.cycle.disconnected = True
        self.transport.close()

    def _expect(self, what: str) -> None:
        if what not in self._waiting:
            self._waiting[what] = self.loop.call_later(_IDLE, self.transport.abort)

    def _met(self, what: str) -> None:
        if what in self._waiting:
            self._waiting.pop(what).cancel()
