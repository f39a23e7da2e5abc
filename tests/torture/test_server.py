"""Whatever is sent to the server: a refusal in one line of JSON or a closed connection, and it goes on for the others.

The hosts, origins, types and plain mistakes in a body are the tables of ``tests/web/test_guard.py``, a client that
leaves or does not read those of ``tests/web/test_streams.py``; here is what remains.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from charlstm.web import guard
from charlstm.web import server as server_module
from tests.command_line import start
from tests.fake_checkpoints import make_checkpoint
from tests.torture.processes import processor_time, resident_memory
from tests.web.running import Running, read_answer, request, running, served, served_bytes

CLOSED = 0
"""In place of a status: the connection is closed, and nothing is answered."""
SCORE = b'{"text": "abc"}'
CHUNKED = "Transfer-Encoding: chunked"


def post(path: str, body: bytes, *headers: str, length: bool = True) -> bytes:
    """A request in bytes; HOST stands for the server's name."""
    lines = [f"POST {path} HTTP/1.1", "Host: HOST", "Content-Type: application/json"]
    if length:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, *headers, "", ""]).encode("latin-1") + body


def chunked(body: bytes) -> bytes:
    return post("/api/score", body, CHUNKED, length=False)


def get(path: str, *headers: str) -> bytes:
    return "\r\n".join([f"GET {path} HTTP/1.1", "Host: HOST", *headers, "", ""]).encode("latin-1")


def fields(path: str, text: str) -> bytes:
    return post(path, text.encode())


HOSTILE: dict[str, tuple[int, bytes]] = {
    # ---- where a request ends: what a proxy in front could see otherwise
    "a length, and chunks": (400, post("/api/score", b"f\r\n" + SCORE + b"\r\n0\r\n\r\n", CHUNKED)),
    "two lengths": (400, post("/api/score", SCORE, "Content-Length: 3")),
    "a list of lengths": (400, post("/api/score", SCORE, "Content-Length: 15, 3", length=False)),
    "a length below 0": (400, post("/api/score", SCORE, "Content-Length: -1", length=False)),
    "a length with a sign": (400, post("/api/score", SCORE, "Content-Length: +15", length=False)),
    "a hexadecimal length": (400, post("/api/score", SCORE, "Content-Length: 0xf", length=False)),
    "a length as Python writes it": (400, post("/api/score", SCORE, "Content-Length: 1_5", length=False)),
    "a length in other digits": (400, post("/api/score", SCORE, "Content-Length: \xb2", length=False)),
    "no length": (400, post("/api/score", SCORE, "Content-Length:", length=False)),
    "a length of 25 digits": (400, post("/api/score", SCORE, "Content-Length: " + "9" * 25, length=False)),
    "a length of 30,000 digits": (400, post("/api/score", SCORE, "Content-Length: " + "9" * 30_000, length=False)),
    "chunked twice": (400, chunked(b"0\r\n\r\n").replace(b"chunked", b"chunked\r\nTransfer-Encoding: identity")),
    "chunked and packed": (400, post("/api/score", b"0\r\n\r\n", "Transfer-Encoding: gzip, chunked", length=False)),
    "nearly chunked": (400, post("/api/score", b"0\r\n\r\n", "Transfer-Encoding: xchunked", length=False)),
    "a blank before a colon": (400, post("/api/score", b"0\r\n\r\n", "Transfer-Encoding : chunked", length=False)),
    "a chunk without a length": (400, chunked(b"xyz\r\n")),
    "a chunk below 0": (400, chunked(b"-1\r\n")),
    "a chunk longer than it says": (400, chunked(b"3\r\nabcdef\r\n0\r\n\r\n")),
    "a chunk of 2^160 bytes": (400, chunked(b"f" * 40 + b"\r\nab")),
    "a chunk of 64 GB that does not come": (408, chunked(b"fffffffff\r\nab")),
    "a chunk with a long remark": (408, chunked(b"1;" + b"x" * 70_000 + b"\r\na\r\n")),
    "headers behind the chunks without end": (400, chunked(b"0\r\n" + b"A: b\r\n" * 20_000)),
    "a bad chunk in a body that is not read": (400, get("/api/score", CHUNKED) + b"xyz\r\n" * 9),
    "a second request in a body": (405, get("/api/score", "Content-Length: 43") + get("/health").ljust(43, b" ")),
    # ---- other protocols
    "TLS": (400, bytes.fromhex("16030100a5010000a10303") + bytes(160)),
    "HTTP/2": (403, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    "HTTP/0.9": (CLOSED, b"GET /\r\n"),
    "a web socket": (405, get("/api/generate", "Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13",
                              "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==")),
    "HTTP/2 after an upgrade": (405, get("/api/generate", "Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c")),
    "a proxy to elsewhere": (404, b"CONNECT evil.com:443 HTTP/1.1\r\nHost: HOST\r\n\r\n"),
    "of the server as a whole": (404, b"OPTIONS * HTTP/1.1\r\nHost: HOST\r\n\r\n"),
    "an echo of the headers": (405, b"TRACE / HTTP/1.1\r\nHost: HOST\r\n\r\n"),
    "an unknown method": (404, b"BREW /pot HTTP/1.1\r\nHost: HOST\r\n\r\n"),
    "a method of 70,000 letters": (405, b"A" * 70_000 + b" / HTTP/1.1\r\nHost: HOST\r\n\r\n"),
    "a method with a blank": (400, b"GE T / HTTP/1.1\r\nHost: HOST\r\n\r\n"),
    "a mail": (400, b"HELO evil.com\r\nMAIL FROM:<a@evil.com>\r\n\r\n"),
    "zeros": (400, bytes(100_000)),
    "empty lines": (400, b"\r\n" * 50_000),
    # ---- paths
    "a path with a zero": (400, b"GET /\0 HTTP/1.1\r\nHost: HOST\r\n\r\n"),
    "a path with a hidden zero": (404, get("/%00")),
    "a path that is no UTF-8": (404, get("/v1/models/%ed%a0%80%ff")),
    "a path in other letters": (400, "GET /v1/models/漢 HTTP/1.1\r\nHost: HOST\r\n\r\n".encode()),
    "a path with a header in it": (404, get("/%0d%0aSet-Cookie:%20a=b")),
    "a path of 60,000 letters": (404, get("/v1/models/" + "a" * 60_000)),
    "a path with a tab": (400, b"GET\t/health HTTP/1.1\r\nHost: HOST\r\n\r\n"),
    # ---- headers
    "a header with a zero": (400, get("/health", "X: a\0b")),
    "a header without a name": (400, get("/health", ": a")),
    "a header without a colon": (400, get("/health", "abc")),
    "a host on two lines": (403, get("/health").replace(b"HOST", b"HOST\r\n .evil.com")),
    "a host behind a bare line feed": (403, b"GET /health HTTP/1.1\nHost: evil.com\n\n"),
    "lines that end otherwise": (CLOSED, b"GET /health HTTP/1.1\rHost: HOST\r\r"),
    "20,000 headers and no host": (400, b"GET /health HTTP/1.1\r\n" + b"X: y\r\n" * 20_000 + b"\r\n"),
    "headers that do not end": (CLOSED, b"GET /health HTTP/1.1\r\nHo"),
    "a body that is to be asked for": (413, post("/api/score", b"", "Expect: 100-continue", "Content-Length: 99999999",
                                                 length=False)),
    # ---- bodies
    "a body that does not come": (408, post("/api/score", b"{", "Content-Length: 15", length=False)),
    "chunks that do not come": (408, chunked(b"1\r\n")),
    "a packed body": (400, post("/api/score", bytes.fromhex("1f8b0800"), "Content-Encoding: gzip")),
    "UTF-16": (400, post("/api/score", '{"text": "abc"}'.encode("utf-16"))),
    "UTF-32": (400, post("/api/score", '{"text": "abc"}'.encode("utf-32-le"))),
    "30,000 objects in each other": (400, fields("/api/generate", '{"a":' * 30_000 + "1" + "}" * 30_000)),
    "60,000 lists in each other": (400, fields("/api/generate", f'{{"text": {"[" * 60_000}{"]" * 60_000}}}')),
    "900 lists in each other": (400, fields("/api/generate", f'{{"text": {"[" * 900}{"]" * 900}}}')),
    "a name of half a character": (400, fields("/api/generate", r'{"\ud800": 1}')),
    "a model of half a character": (400, fields("/api/generate", r'{"text": "abc", "model": "\ud800"}')),
    "a model elsewhere": (404, fields("/api/generate", '{"text": "abc", "model": "../../etc/passwd"}')),
    "a field that comes twice": (400, fields("/api/generate", '{"text": "abc", "text": 3}')),
    # ---- numbers
    "a number that is infinite": (400, fields("/api/generate", '{"text": "abc", "temperature": 1e999}')),
    "a number that is minus infinite": (400, fields("/api/generate", '{"text": "abc", "top_p": -1e999}')),
    "a number of 4,000 digits": (400, fields("/api/generate", f'{{"text": "abc", "seed": {"9" * 4000}}}')),
    "a number of 5,000 digits": (400, fields("/api/generate", f'{{"text": "abc", "seed": {"9" * 5000}}}')),
    "a seed of 65 bits": (400, fields("/api/generate", f'{{"text": "abc", "seed": {1 << 64}}}')),
    "true for a number": (400, fields("/api/generate", '{"text": "abc", "length": true}')),
    "a million million characters": (400, fields("/api/generate", '{"text": "abc", "length": 1000000000000}')),
    "a unit that there is not": (400, fields("/api/generate", json.dumps(
        {"text": "abc", "hold": {"layer": 0, "part": "h", "unit": 1 << 70, "value": 1}}))),
    "a part by a name of Python": (400, fields("/api/generate", json.dumps(
        {"text": "abc", "hold": {"layer": 0, "part": "__class__", "unit": 0, "value": 1}}))),
    "an id above all": (400, fields("/v1/completions", f'{{"prompt": [{1 << 70}]}}')),
    "an id below 0": (400, fields("/v1/completions", '{"prompt": [-1]}')),
    "a bias for no id": (400, fields("/v1/completions", '{"prompt": "a", "logit_bias": {"²": 1}}')),
    "a bias for an id of 5,000 digits": (400, fields("/v1/completions", json.dumps(
        {"prompt": "a", "logit_bias": {"1" * 5000: 1}}))),
    "21,845 prompts": (400, fields("/v1/completions", json.dumps({"prompt": ["a"] * 21_845}))),
    "a stretch of no length": (400, fields("/api/trace", f'{{"text": "abc", "from": 2, "to": {1 << 70}}}')),
    "a blank of 10^23 characters": (400, fields("/api/fill", f'{{"text": "{{{10**23}}}"}}')),
    # ---- what would take for ever
    "a rule of 10^9 states": (400, fields("/api/generate", json.dumps(
        {"text": "abc", "match": "((a{1,1000}){1,1000}){1,1000}"}))),
    "a rule of large states": (400, fields("/api/generate", json.dumps({"text": "abc", "match": "(.*a){30}.{300}b"}))),
    "a rule in itself": (400, fields("/api/generate", json.dumps(
        {"text": "abc", "match": "(" * 900 + "a" + ")" * 900}))),
}  # fmt: skip
"""What is sent, and the status that it gets."""


@pytest.fixture(scope="module")
def attacked() -> Iterator[Running]:
    """A server that loses its patience after a second."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(server_module, "_IDLE", 1.5)
        patch.setattr(guard, "_BODY_SECONDS", 1.0)
        with running(served("small"), served_bytes()) as server:
            yield server


def answers_to(server: Running, data: bytes) -> bytes:
    """All that a server sends to some bytes until it closes the connection, or says nothing more for a moment."""
    received = b""
    with server.connect(20) as connection, suppress(TimeoutError, ConnectionResetError, BrokenPipeError):
        connection.sendall(data.replace(b"HOST", server.host.encode()))
        while more := connection.recv(65536):
            received += more
            connection.settimeout(0.3)
    return received


@pytest.mark.parametrize("name", HOSTILE)
def test_it_is_refused_in_one_line_and_the_server_goes_on(
    attacked: Running, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    status, data = HOSTILE[name]
    received = answers_to(attacked, data)
    head, _, body = received.partition(b"\r\n\r\n")
    assert (int(head.split()[1]) if head else CLOSED) == status
    if status:
        assert b"application/json" in head
        assert b"nosniff" in head
        body = body.partition(b"HTTP/1.1 ")[0]
        assert set(json.loads(body)["error"]) == {"message", "type", "param", "code"}
        assert b"\n" not in body
    assert b" 200 " not in received
    assert b" 500 " not in received
    assert attacked.post("/api/score", text="abc")["texts"] == ["a", "b", "c"]
    assert len(attacked.server.turns) == 0
    assert not caplog.records


def test_there_are_sixty_of_them_at_least() -> None:
    assert len({data for _, data in HOSTILE.values()}) >= 60


@pytest.mark.parametrize(
    ("before", "count"),
    [
        (get("/health"), 1),
        (post("/api/score", SCORE), 1),
        (post("/api/generate", b'{"text": "abc", "length": 300}'), 1),
        (get("/health") * 200, 200),
    ],
)
def test_a_pipeline_is_answered_up_to_what_is_no_request(
    attacked: Running, caplog: pytest.LogCaptureFixture, before: bytes, count: int
) -> None:
    received = answers_to(attacked, before + b"\0nonsense\r\n\r\n")
    assert received.count(b"HTTP/1.1 200 OK") == count
    assert received.count(b"HTTP/1.1 400 ") == 1
    assert b"not_http" in received[received.rindex(b"HTTP/1.1 ") :]
    assert not caplog.records


def test_what_comes_behind_an_answer_and_is_no_request_ends_the_connection(
    attacked: Running, caplog: pytest.LogCaptureFixture
) -> None:
    """The request is refused before its body has come; what then comes is not even a chunk."""
    with attacked.connect(5) as connection:
        data = chunked(b"").replace(b"\r\n\r\n", b"\r\nOrigin: http://evil.com\r\n\r\n")
        connection.sendall(data.replace(b"HOST", attacked.host.encode()))
        assert read_answer(connection).status == 403
        connection.sendall(b"xyz\r\n")
        with suppress(ConnectionResetError):
            assert connection.recv(100) == b""
    assert not caplog.records


# ---- fifty at once --------------------------------------------------------------------------------------------------

WARM_UP = 10.0
"""Seconds of the attack after which memory is counted: each kind of request has been answered by then."""


def first_character(port: int) -> float:
    """Seconds until the first character of a text has come."""
    began = time.perf_counter()
    with socket.create_connection(("127.0.0.1", port), 30) as connection:
        body = {"text": "The tide", "length": 5}
        connection.sendall(request(f"127.0.0.1:{port}", "POST", "/api/generate", body, None))
        received = b""
        while b"event: text" not in received:
            more = connection.recv(4096)
            assert more, received
            received += more
        return time.perf_counter() - began


def first_characters(port: int, seconds: float) -> list[float]:
    """The same again and again, five times a second, in ascending order."""
    end, took = time.monotonic() + seconds, []
    while time.monotonic() < end:
        took.append(first_character(port))
        time.sleep(0.2)
    return sorted(took)


def p95(ascending: list[float]) -> float:
    return ascending[len(ascending) * 95 // 100]


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/schedstat").exists(), reason="figures are read from /proc")
@pytest.mark.timeout(5000)
@pytest.mark.rounds(120, full=3600)
def test_fifty_clients_that_stall_abort_and_flood(tmp_path: Path, rounds: int) -> None:
    """A round is a second.

    The clients are another process, and the least urgent one of the machine: what is measured is how long the server
    lets an honest client wait. A machine that is busy with other things lets the server itself wait, which is no fault
    of it: of the time beside the clients the share counts in which the thread that answers could run when it wanted
    to, as the system tells; and the same server's time without the clients is taken off, the slower of before and
    after.
    """
    make_checkpoint(tmp_path / "checkpoints" / "small" / "model.safetensors", hidden=128)
    with start("serve", "small", "--port", "0", folder=tmp_path) as server:
        assert server.stdout is not None
        assert server.stderr is not None
        port = int(server.stdout.readline().split()[0].rstrip("/").rpartition(":")[2])
        first_characters(port, 3)
        alone = p95(first_characters(port, 20))
        environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
        with subprocess.Popen(
            [sys.executable, "-m", "tests.torture.hostile_clients", str(port)], env=environment
        ) as clients:
            try:
                first_characters(port, WARM_UP)
                before = resident_memory(server.pid)
                ran, waited = processor_time(server.pid)
                beside = p95(first_characters(port, rounds))
                ran, waited = (now - then for now, then in zip(processor_time(server.pid), (ran, waited), strict=True))
                after = resident_memory(server.pid)
                assert clients.poll() is None, "the attack went on"
            finally:
                clients.kill()
        deadline = time.monotonic() + 5
        while health(port)["busy"] and time.monotonic() < deadline:
            time.sleep(0.1)
        assert health(port)["busy"] == 0, "a generation is stuck"
        alone = max(alone, p95(first_characters(port, 20)))
        server.terminate()
        assert server.stderr.read() == ""
    assert after - before < 20e6
    most = 0.1 if rounds >= 600 else 0.5  # CI's machine has other tests to run meanwhile
    assert beside * ran / (ran + waited) - alone < most, (beside, alone, ran, waited)


def health(port: int) -> dict[str, int]:
    with socket.create_connection(("127.0.0.1", port), 30) as connection:
        connection.sendall(request(f"127.0.0.1:{port}", "GET", "/health", None, None))
        answer: dict[str, int] = read_answer(connection).json()
        return answer
