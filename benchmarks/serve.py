"""How soon does ``charlstm serve`` answer, also beside clients that mean no good, and how soon does it stop?

Run: ``python -m benchmarks.serve [MODEL] [--rounds 60]``

The server is a process of its own, and each request comes in a connection of its own. In milliseconds, the median and
the 95th percentile of all rounds:

- ``first token``: from the beginning of the connection to the first token of drawn text, after a text of 20 characters;
  after 2,000 that were read before, in which the last word is another one; and after 2,000 that were not;
- ``score``: of 10,000 characters of which the last is new, as for a person who types;
- ``16 tokens``: a whole answer of ``/v1/completions``; alone, and beside 50 hostile clients, ten of each kind: some
  begin a request and never end it, some announce a body and never send it, some ask for as much text as there is and
  never read it, some for the same thirteen times over and read it, and some ask without end from the page of another
  server. These have a process of their own, too;
- ``stop``: from the moment in which a client closes its connection to the moment in which nothing computes any more.

Last, the tokens per second of one stream of 5,000. The last line is the record of the run as JSON.
"""

from __future__ import annotations

import json
import multiprocessing
import random
import socket
import statistics
import subprocess
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from benchmarks import records
from benchmarks.runs import CHARLSTM
from charlstm.corpora.catalogue import bundled

HOSTILE = 50
_LONG, _TYPED = 2000, 10_000
Address = tuple[str, int]


def main() -> None:
    """Measure, print a table, record."""
    parser = records.parser(__doc__)
    parser.add_argument("model", nargs="?", default="starter")
    parser.add_argument("--rounds", type=int, default=60)
    options = parser.parse_args()
    record = records.begin("serve")
    with subprocess.Popen([*CHARLSTM, "serve", options.model, "--port", "0"], stdout=subprocess.PIPE) as server:
        assert server.stdout is not None
        try:
            url = server.stdout.readline().decode().split()[0]
            host, _, port = url.removeprefix("http://").rstrip("/").rpartition(":")
            measure(record, (host, int(port)), options.rounds)
        finally:
            server.terminate()
    record.show()
    record.finish(options)


def measure(record: records.Record, address: Address, rounds: int) -> None:
    """Measure all there is.

    Args:
        record: receives the figures.
        address: of the server.
        rounds: of each.
    """
    text = "".join(path.read_text("utf-8") for path in bundled().values())
    chance = random.Random(1)

    def cut(length: int) -> str:
        begin = chance.randrange(len(text) - length)
        return text[begin : begin + length]

    def word() -> str:
        return "".join(chance.choices("abcdefghijklmnop", k=8)) + " "

    known, typed = cut(_LONG - 9), cut(_TYPED)
    measured: dict[str, Callable[[], float]] = {
        "first token after 20 characters": lambda: first_token(address, cut(20)),
        f"first token after {_LONG:,} known characters": lambda: first_token(address, known + word()),
        f"first token after {_LONG:,} new characters": lambda: first_token(address, cut(_LONG)),
        f"score of {_TYPED:,} characters, one of them new": lambda: whole(
            address, "/api/score", {"text": typed[:-1] + chance.choice("abcdefgh"), "from": _TYPED - 1}
        ),
        "16 tokens, alone": lambda: sixteen(address, cut(40)),
        "stop": lambda: stop(address, cut(40)),
    }
    for row, run in measured.items():
        _add(record, row, [run() for _ in range(rounds + 1)][1:])
    hostile = multiprocessing.get_context("spawn").Process(target=beset, args=(address, HOSTILE), daemon=True)
    hostile.start()
    try:
        while busy(address) < HOSTILE // 5:
            time.sleep(0.05)
        _add(record, f"16 tokens, beside {HOSTILE} hostile clients", [
            sixteen(address, cut(40)) for _ in range(rounds)
        ])  # fmt: skip
    finally:
        hostile.kill()
    while busy(address):
        time.sleep(0.05)
    began = time.perf_counter()
    ask(address, "/api/generate", {"text": cut(40), "length": 5000})
    record.add("one stream of 5,000", "tokens per second", "tokens per second", 5000 / (time.perf_counter() - began))


def _add(record: records.Record, row: str, values: list[float]) -> None:
    record.add(row, "median", "milliseconds", statistics.median(values))
    record.add(row, "95th percentile", "milliseconds", sorted(values)[int(len(values) * 0.95)])


# ---- requests -------------------------------------------------------------------------------------------------------


def send(address: Address, path: str, body: dict[str, Any], origin: str = "") -> socket.socket:
    """Open a connection and send a request, which closes it.

    Args:
        address: of the server.
        path: what is asked for.
        body: of the request.
        origin: of the page that asks, if it is one.

    Returns:
        The connection, of which nothing has been read.
    """
    data = json.dumps(body).encode()
    head = [f"POST {path} HTTP/1.1", f"Host: {address[0]}:{address[1]}", "Connection: close"]
    head += ["Content-Type: application/json", f"Content-Length: {len(data)}"]
    head += [f"Origin: {origin}"] if origin else []
    connection = socket.create_connection(address)
    connection.sendall("\r\n".join([*head, "", ""]).encode() + data)
    return connection


def ask(address: Address, path: str, body: dict[str, Any]) -> bytes:
    """Ask, and read the whole answer.

    Args:
        address: of the server.
        path: what is asked for.
        body: of the request.

    Returns:
        The answer, which is a good one.
    """
    with send(address, path, body) as connection:
        answer = b"".join(iter(lambda: connection.recv(1 << 16), b""))
    if not answer.startswith(b"HTTP/1.1 200"):
        raise SystemExit(f"{path}: {answer[:500].decode()}")
    return answer


def whole(address: Address, path: str, body: dict[str, Any]) -> float:
    """Milliseconds until an answer has been read.

    Args:
        address: of the server.
        path: what is asked for.
        body: of the request.
    """
    began = time.perf_counter()
    ask(address, path, body)
    return 1000 * (time.perf_counter() - began)


def sixteen(address: Address, text: str) -> float:
    """Milliseconds of a completion of 16 tokens.

    Args:
        address: of the server.
        text: what is continued.
    """
    return whole(address, "/v1/completions", {"prompt": text, "max_tokens": 16})


def first_token(address: Address, text: str) -> float:
    """Milliseconds until the first token of a stream has come.

    Args:
        address: of the server.
        text: what is continued.
    """
    began = time.perf_counter()
    with send(address, "/api/generate", {"text": text, "length": 100}) as connection:
        answer = b""
        while b"event: text" not in answer:
            answer += connection.recv(1 << 16)
        return 1000 * (time.perf_counter() - began)


def stop(address: Address, text: str) -> float:
    """Milliseconds from the closing of a connection to the end of the work for it.

    Args:
        address: of the server.
        text: what is continued.
    """
    connection = send(address, "/api/generate", {"text": text, "length": 5000})
    connection.recv(1000)
    time.sleep(0.1)
    connection.close()
    began = time.perf_counter()
    while busy(address):
        pass
    return 1000 * (time.perf_counter() - began)


def busy(address: Address) -> int:
    """How many requests the server is at work on.

    Args:
        address: of the server.
    """
    with socket.create_connection(address) as connection:
        connection.sendall(
            f"GET /health HTTP/1.1\r\nHost: {address[0]}:{address[1]}\r\nConnection: close\r\n\r\n".encode()
        )
        answer = b"".join(iter(lambda: connection.recv(1 << 16), b""))
    return int(json.loads(answer.partition(b"\r\n\r\n")[2])["busy"])


# ---- clients that mean no good --------------------------------------------------------------------------------------


def beset(address: Address, count: int) -> None:
    """Be so many hostile clients, until this process is killed.

    Args:
        address: of the server.
        count: how many.
    """
    for number in range(count):
        threading.Thread(target=_trouble, args=(address, number % 5), daemon=True).start()
    time.sleep(3600)


def _trouble(address: Address, kind: int) -> None:
    everything = {"text": "The ", "length": 5000, "rows": 4}
    while True:
        time.sleep(0.1)
        with suppress(OSError, SystemExit):
            if kind == 0:
                with socket.create_connection(address) as connection:
                    connection.sendall(b"POST /api/generate HTTP/1.1\r\nHost: ")
                    connection.recv(1)
            elif kind == 1:
                with send(address, "/api/score", {}) as connection:
                    connection.sendall(b"POST /api/score HTTP/1.1\r\nContent-Length: 9999\r\n\r\n{")
                    connection.recv(1)
            elif kind == 2:
                with send(address, "/api/generate", everything):
                    time.sleep(20)
            elif kind == 3:
                ask(address, "/v1/completions", {"prompt": "The ", "max_tokens": 5000, "n": 13})
            else:
                with send(address, "/api/score", {"text": "The "}, "http://evil.example") as connection:
                    connection.recv(1)


if __name__ == "__main__":
    main()
