"""Fifty clients that mean no good, until they are killed: ``python -m tests.torture.hostile_clients PORT``.

Of each kind there are as many: who sends half a request and waits, who does not read, who leaves in the middle with a
reset, who wants all there is, and who floods the server with requests that it refuses.
"""

from __future__ import annotations

import os
import random
import socket
import struct
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress

from tests.web.running import request

CLIENTS = 50
LONG = {"text": "The tide", "length": 5000, "temperature": 1.0, "min_p": 0}


def stall(port: int, chance: random.Random) -> None:
    """Half a request, or its head and half its body; then nothing until the server has had enough."""
    whole = request(f"127.0.0.1:{port}", "POST", "/api/score", {"text": "The tide"}, None)
    with connect(port) as connection:
        connection.sendall(whole[: chance.randrange(1, len(whole))])
        connection.recv(4096)


def refuse_to_read(port: int, chance: random.Random) -> None:
    """Four long texts, of which nothing is read."""
    with connect(port) as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.sendall(request(f"127.0.0.1:{port}", "POST", "/api/generate", {**LONG, "rows": 4}, None))
        time.sleep(chance.uniform(5, 20))


def abort(port: int, chance: random.Random) -> None:
    """A long text, and a reset at any moment of it."""
    path, body = chance.choice(
        [("/api/generate", LONG), ("/v1/completions", {"prompt": "The tide", "max_tokens": 5000})]
    )
    with connect(port) as connection:
        connection.sendall(request(f"127.0.0.1:{port}", "POST", path, body, None))
        time.sleep(chance.uniform(0, 0.5))
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def want_all(port: int, chance: random.Random) -> None:
    """As much as one may ask for, read to its end."""
    body = {"prompt": "The tide", "max_tokens": 5000, "n": chance.randint(1, 13)}
    with connect(port) as connection:
        connection.sendall(request(f"127.0.0.1:{port}", "POST", "/v1/completions", body, None))
        while connection.recv(65536):
            pass


def flood(port: int, chance: random.Random) -> None:
    """A hundred requests on one connection, each of which is refused."""
    refused = request(f"127.0.0.1:{port}", "POST", "/api/score", {"text": "a" * 1000},
                      {"Origin": "http://evil.com", "Connection": "keep-alive"})  # fmt: skip
    with connect(port) as connection:
        for _ in range(100):
            connection.sendall(refused)
            connection.recv(65536)


KINDS: tuple[Callable[[int, random.Random], None], ...] = (stall, refuse_to_read, abort, want_all, flood)


def connect(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), 60)


def client(port: int, number: int) -> None:
    chance = random.Random(number)
    while True:
        with suppress(OSError):
            KINDS[number % len(KINDS)](port, chance)
        time.sleep(0.01)


def main() -> None:
    """Attack, until killed."""
    os.nice(19)
    for number in range(CLIENTS):
        threading.Thread(target=client, args=(int(sys.argv[1]), number), daemon=True).start()
    threading.Event().wait()


if __name__ == "__main__":
    main()
