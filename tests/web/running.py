"""A real server on a real socket, of small networks, and clients that speak to it byte by byte."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from charlstm.checkpoint.format import Checkpoint
from charlstm.engine.load import load_engine
from charlstm.web.desk import Desk
from charlstm.web.guard import Access
from charlstm.web.models import Library, Served
from charlstm.web.server import Server, listen
from tests.api.networks import random_model

ALPHABET = "\n abcdefgh"


def served(name: str = "small", **settings: Any) -> Served:
    """A network of the alphabet "\\n abcdefgh" with random weights, the same each time."""
    checkpoint = random_model(**settings).checkpoint
    return Served(name, checkpoint, load_engine(checkpoint), lambda: "abc fed cab head\n" * 60)


def served_bytes(name: str = "bytes") -> Served:
    """A network of bytes, which reads any text."""
    checkpoint = random_model(vocab_size=256).checkpoint
    checkpoint = Checkpoint("model", checkpoint.tensors, checkpoint.run, {"kind": "byte"}, checkpoint.provenance)
    return Served(name, checkpoint, load_engine(checkpoint))


class Slow:
    """A network whose steps take some milliseconds, and are counted."""

    def __init__(self, engine: Any, seconds: float = 0.005) -> None:
        self._engine, self._seconds = engine, seconds
        self.vocab_size, self.tokenizer = engine.vocab_size, engine.tokenizer
        self.freeze, self.expand, self.select, self.join = engine.freeze, engine.expand, engine.select, engine.join
        self.steps = 0

    def step(self, tokens: Any, state: Any) -> Any:
        self.steps += 1
        time.sleep(self._seconds)
        return self._engine.step(tokens, state)


def slow(name: str = "slow", seconds: float = 0.005) -> Served:
    """A network that is `Slow`."""
    quick = served(name)
    return Served(name, quick.checkpoint, Slow(quick.engine, seconds))  # type: ignore[arg-type]


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Running:
    """A server that runs in a thread."""

    server: Server
    port: int
    desk: Desk
    thread: threading.Thread = field(default_factory=threading.Thread)

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.port}"

    def connect(self, timeout: float = 30) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout)

    def raw(self, data: bytes) -> Answer:
        """Send some bytes; return the first answer."""
        with self.connect() as connection:
            connection.sendall(data)
            return read_answer(connection)

    def ask(self, method: str, path: str, body: Any = None, headers: Mapping[str, str | None] | None = None) -> Answer:
        """Send a request as a plain client does; a header that is None is left out."""
        return self.raw(request(self.host, method, path, body, headers))

    def post(self, path: str, **body: Any) -> Any:
        """Send a request, and return its JSON; it has to be answered well."""
        answer = self.ask("POST", path, body)
        assert answer.status == 200, answer.body
        return answer.json() if answer.headers["content-type"] == "application/json" else answer.body

    def events(self, **body: Any) -> list[tuple[str, Any]]:
        """Ask for drawn text; return all events."""
        answer = self.ask("POST", "/api/generate", body)
        assert answer.status == 200, answer.body
        assert answer.headers["content-type"] == "text/event-stream"
        return events_of(answer.body)


def request(host: str, method: str, path: str, body: Any, headers: Mapping[str, str | None] | None) -> bytes:
    data = b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
    usual: dict[str, str | None] = {"Host": host, "Connection": "close"}
    if method == "POST":
        usual |= {"Content-Type": "application/json", "Content-Length": str(len(data))}
    lines = [f"{name}: {value}" for name, value in {**usual, **(headers or {})}.items() if value is not None]
    return "\r\n".join([f"{method} {path} HTTP/1.1", *lines, "", ""]).encode("latin-1") + data


def read_answer(connection: socket.socket) -> Answer:
    data = b""
    while b"\r\n\r\n" not in data:
        more = connection.recv(65536)
        if not more:
            return Answer(0, {}, data)
        data += more
    head, _, body = data.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
    chunked = headers.get("transfer-encoding") == "chunked"
    length = int(headers.get("content-length", "0"))
    while not body.endswith(b"0\r\n\r\n") if chunked else len(body) < length:
        more = connection.recv(65536)
        if not more:  # the connection has ended, as it does at once after the answer to HEAD
            break
        body += more
    body = _dechunked(body) if chunked else body
    return Answer(int(first.split()[1]), headers, body)


def _dechunked(data: bytes) -> bytes:
    body = b""
    while data:
        size, _, data = data.partition(b"\r\n")
        length = int(size, 16)
        body, data = body + data[:length], data[length + 2 :]
    return body


def events_of(stream: bytes) -> list[tuple[str, Any]]:
    """The events of a stream, each with its name and its data."""
    events = []
    for block in stream.decode().split("\n\n"):
        lines = dict(line.split(": ", 1) for line in block.split("\n") if not line.startswith(":") and line)
        if lines:
            data = lines["data"]
            events.append((lines.get("event", ""), data if data == "[DONE]" else json.loads(data)))
    return events


@contextmanager
def running(*models: Served, send_buffer: int = 0, **access: Any) -> Iterator[Running]:
    """A server of these networks on a port that is free; the system keeps so many bytes that a client does not read."""
    listening = listen("127.0.0.1", 0)
    if send_buffer:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, send_buffer)
    port = listening.getsockname()[1]
    desk = Desk(Library(models))
    server = Server(desk, Access.to(access.pop("host", "127.0.0.1"), port, **access))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
    thread.start()
    try:
        while not server.started:
            time.sleep(0.005)
        yield Running(server, port, desk, thread)
    finally:
        server.should_exit = True
        thread.join(10)
        assert not thread.is_alive()
