"""Clients that leave, that are slow, that never read; and the server's own end."""

from __future__ import annotations

import json
import os
import signal
import socket
import struct
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import openai
import pytest

from charlstm.web import guard, reply
from charlstm.web import server as server_module
from charlstm.web.turns import PLACES
from tests.command_line import start
from tests.web.running import Running, Slow, read_answer, request, running, served, slow

SETTINGS = {"temperature": 1.0, "min_p": 0}


def ask_for(server: Running, path: str, **body: Any) -> socket.socket:
    """Send a request and read nothing."""
    connection = server.connect()
    connection.sendall(request(server.host, "POST", path, body, {"Connection": "keep-alive"}))
    return connection


def steps_of(server: Running) -> int:
    engine = server.desk.library.find(None).engine
    assert isinstance(engine, Slow)
    return engine.steps


def wait_until_steps(server: Running, more: int) -> None:
    target = steps_of(server) + more
    while steps_of(server) < target:
        time.sleep(0.002)


ENDLESS: dict[str, tuple[str, dict[str, Any]]] = {
    "a stream of the page": ("/api/generate", {"text": "abc", "length": 5000}),
    "three rows of it": ("/api/generate", {"text": "abc", "length": 5000, "rows": 3}),
    "a stream of OpenAI's": ("/v1/completions", {"prompt": "abc", "max_tokens": 5000, "stream": True}),
    "no stream": ("/v1/completions", {"prompt": "abc", "max_tokens": 5000}),
    "an echo": ("/v1/completions", {"prompt": "abc" * 1000, "max_tokens": 0, "echo": True}),
    "a score": ("/api/score", {"text": "abc" * 1000}),
    "a fan": ("/api/fan", {"text": "abc" * 1000}),
    "blanks": ("/api/fill", {"text": "abc {1-60} fed {1-60} abc"}),
    "a suffix": ("/v1/completions", {"prompt": "abc", "suffix": "fed", "max_tokens": 64}),
}


@pytest.mark.parametrize("how", ["closes", "resets"])
@pytest.mark.parametrize("case", ENDLESS)
def test_a_client_that_leaves_stops_the_work_within_a_tenth_of_a_second(case: str, how: str) -> None:
    path, body = ENDLESS[case]
    with running(slow(seconds=0.004)) as server:
        connection = ask_for(server, path, **body)
        wait_until_steps(server, 20)
        if how == "resets":
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.close()
        time.sleep(0.1)
        after = steps_of(server)
        time.sleep(0.3)
        assert steps_of(server) == after
        assert len(server.server.turns) == 0


def test_a_network_that_reads_both_ways_stops_too() -> None:
    both = served("both", bidirectional=True)
    predict, calls = both.engine.predict, []  # type: ignore[union-attr]

    def slowly(*given: Any) -> Any:
        calls.append(1)
        time.sleep(0.004)
        return predict(*given)

    both.engine.predict = slowly  # type: ignore[union-attr, method-assign]
    with running(both) as server:
        for path, body in (("/api/score", {"text": "abc" * 1000}), ("/api/fill", {"text": "abc {1-60} fed"})):
            calls.clear()
            connection = ask_for(server, path, **body)
            while len(calls) < 10:
                time.sleep(0.002)
            connection.close()
            time.sleep(0.1)
            after = len(calls)
            time.sleep(0.2)
            assert len(calls) == after


def test_the_clients_own_cancelling_stops_the_work() -> None:
    with running(slow()) as server, openai.OpenAI(base_url=f"http://{server.host}/v1", api_key="x") as client:
        stream = client.completions.create(model="slow", prompt="abc", max_tokens=5000, stream=True)
        for _, _chunk in zip(range(5), stream, strict=False):
            pass
        stream.close()
        time.sleep(0.1)
        after = steps_of(server)
        time.sleep(0.2)
        assert steps_of(server) == after


def test_a_client_that_reads_nothing_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its text is drawn, as for any other; then its connection is closed, though not all of it was sent."""
    monkeypatch.setattr(server_module, "_IDLE", 1.0)
    body = {"text": "abc", "length": 5000, "rows": 4, **SETTINGS}
    with running(served(), send_buffer=4096) as server, socket.socket() as lazy:
        lazy.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        lazy.connect(("127.0.0.1", server.port))
        lazy.sendall(request(server.host, "POST", "/api/generate", body, {"Connection": "keep-alive"}))
        (state,) = _states(server)
        while len(server.server.turns):
            time.sleep(0.02)
        assert state.cycle is not None
        assert not state.cycle.response_complete
        server.post("/api/score", text="abc")
        deadline = time.monotonic() + 20
        while server.server.server_state.connections and time.monotonic() < deadline:
            time.sleep(0.05)
        assert not server.server.server_state.connections


def _states(server: Running) -> list[Any]:
    """The connections of a server, once there are some."""
    while not server.server.server_state.connections:
        time.sleep(0.005)
    time.sleep(0.1)
    return list(server.server.server_state.connections)


def test_who_says_nothing_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_module, "_IDLE", 0.5)
    monkeypatch.setattr(guard, "_BODY_SECONDS", 0.5)
    with running(served()) as server:
        silent, half, body = (server.connect() for _ in range(3))
        half.sendall(b"GET /health HTTP/1.1\r\nHost: ")
        whole = request(server.host, "POST", "/api/score", {"text": "abc"}, None)
        body.sendall(whole[:-5])
        assert read_answer(body).status == 408
        for connection in (silent, half, body):
            began = time.monotonic()
            with suppress(ConnectionResetError):
                assert connection.recv(100) == b""
            assert time.monotonic() - began < 5
            connection.close()


def test_a_connection_serves_one_request_after_another(server: Running) -> None:
    with server.connect() as connection:
        for text in ("abc", "fed", "a" * 3000):
            connection.sendall(request(server.host, "POST", "/api/score", {"text": text}, {"Connection": "keep-alive"}))
            assert "".join(read_answer(connection).json()["texts"]) == text


def test_requests_that_come_together_are_all_answered(server: Running) -> None:
    def ask(seed: int) -> str:
        answer = server.post("/v1/completions", prompt="abc", max_tokens=100, seed=seed % 4)
        return str(answer["choices"][0]["text"])

    with ThreadPoolExecutor(24) as pool:
        texts = list(pool.map(ask, range(48)))
    assert [len(set(texts[seed::4])) for seed in range(4)] == [1] * 4


def test_a_newcomer_does_not_wait_for_long_ones() -> None:
    with running(slow()) as server:
        long = [ask_for(server, "/api/generate", text="abc", length=5000, **SETTINGS) for _ in range(10)]
        wait_until_steps(server, 300)
        began = time.monotonic()
        server.post("/v1/completions", prompt="abc", max_tokens=10)
        assert time.monotonic() - began < 0.5, "13 steps of 5 ms, while the others have hours of work"
        for connection in long:
            connection.close()


def test_the_first_token_is_sent_at_once_and_a_busy_server_says_that_it_is_alive(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(reply, "_QUIET", 0.1)
    with running(slow(seconds=0.3)) as server:
        connection = ask_for(server, "/api/generate", text="a", length=2, **SETTINGS)
        data = b""
        while b"event: end" not in data:
            data += connection.recv(4096)
        connection.close()
        assert b": still computing\n\n" in data
        assert data.index(b"event: text") < data.rindex(b"event: text")


def test_there_is_a_last_place(monkeypatch: pytest.MonkeyPatch) -> None:
    with running(slow(seconds=0.02)) as server:
        taken = [ask_for(server, "/api/generate", text="abc", length=5000, **SETTINGS) for _ in range(PLACES)]
        while len(server.server.turns) < PLACES:
            time.sleep(0.01)
        refused = server.ask("POST", "/api/generate", {"text": "abc"})
        assert (refused.status, refused.headers["retry-after"]) == (503, "1")
        assert server.ask("GET", "/health").json()["busy"] == PLACES
        taken.pop().close()
        while len(server.server.turns) == PLACES:
            time.sleep(0.01)
        assert server.ask("POST", "/api/generate", {"text": "abc", "length": 1}).status == 200
        for connection in taken:
            connection.close()


def test_too_many_connections_are_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_module, "CONNECTIONS", 3)
    with running(slow()) as server:
        others = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(3)]
        while len(server.server.server_state.connections) < 3:
            time.sleep(0.01)
        refused = server.ask("GET", "/health")
        assert (refused.status, refused.headers["retry-after"]) == (503, "1")
        assert refused.json()["error"]["code"] == "busy"
        others.pop().close()
        while len(server.server.server_state.connections) > 2:
            time.sleep(0.01)
        assert server.ask("GET", "/health").status == 200
        for connection in others:
            connection.close()


def test_at_the_end_streams_say_that_they_were_stopped() -> None:
    with running(slow()) as server:
        page = ask_for(server, "/api/generate", text="abc", length=5000, rows=2, **SETTINGS)
        openais = ask_for(server, "/v1/completions", prompt="abc", max_tokens=5000, stream=True)
        whole = ask_for(server, "/v1/completions", prompt="abc", max_tokens=5000)
        wait_until_steps(server, 60)
        server.server.should_exit = True
        events = read_answer(page).body.decode()
        assert events.count('"reason":"stopped"') == 2
        assert "the server is being ended" in read_answer(openais).body.decode()
        assert read_answer(whole).status == 503
        for connection in (page, openais, whole):
            connection.close()
        server.thread.join(5)
        assert not server.thread.is_alive()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_ends_it_within_two_seconds_with_streams_open(number: signal.Signals, tmp_path: Path) -> None:
    with start("serve", "starter", "--port", "0", folder=tmp_path) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        address = process.stdout.readline().split()[0]
        host = address.removeprefix("http://").rstrip("/")
        port = int(host.rpartition(":")[2])
        body = {"text": "The tide", "length": 5000, "rows": 4, "speed": 5}
        streams = []
        for settings in (body, {**body, "speed": None}, {**body, "speed": None}):
            connection = socket.create_connection(("127.0.0.1", port), 30)
            connection.sendall(request(host, "POST", "/api/generate", settings, None))
            assert connection.recv(16)
            streams.append(connection)
        idle = socket.create_connection(("127.0.0.1", port), 30)
        began = time.monotonic()
        process.send_signal(number)
        code = process.wait(30)
        seconds = time.monotonic() - began
        for connection in (*streams, idle):
            connection.close()
        assert process.stderr.read() == ""
    assert code == (130 if number == signal.SIGINT else -number)
    assert seconds < 2


@pytest.mark.slow
def test_ctrl_c_does_not_wait_for_a_search_that_cannot_be_stopped(tmp_path: Path) -> None:
    with start("serve", "starter", "--port", "0", folder=tmp_path) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        host = process.stdout.readline().split()[0].removeprefix("http://").rstrip("/")
        with socket.create_connection(("127.0.0.1", int(host.rpartition(":")[2])), 30) as connection:
            connection.sendall(request(host, "POST", "/api/units", {}, None))
            time.sleep(6)  # torch has been loaded, and computes
            began = time.monotonic()
            process.send_signal(signal.SIGINT)
            code = process.wait(30)
        assert process.stderr.read() == ""
    assert (code, time.monotonic() - began < 2) == (130, True)


# ---- many at once ---------------------------------------------------------------------------------------------------


def hostile(server: Running, number: int) -> list[socket.socket]:
    """A client that means no good: it dawdles, never reads, lies about a length, or wants all there is."""
    kind = number % 5
    if kind == 0:  # headers that never end
        connection = server.connect()
        connection.sendall(b"POST /api/generate HTTP/1.1\r\nHost: ")
    elif kind == 1:  # a body that never comes
        connection = server.connect()
        connection.sendall(request(server.host, "POST", "/api/score", b"{", {"Content-Length": "9999"}))
    elif kind == 2:  # an answer that is never read
        connection = ask_for(server, "/api/generate", text="abc", length=5000, rows=4, **SETTINGS)
    elif kind == 3:  # all that there is, read
        connection = ask_for(server, "/v1/completions", prompt="abc", max_tokens=5000, n=13)
    else:  # from another page, again and again
        connection = server.connect()
        for _ in range(20):
            connection.sendall(request(server.host, "POST", "/api/score", {"text": "a"},
                                       {"Origin": "http://evil.com", "Connection": "keep-alive"}))  # fmt: skip
    return [connection]


@pytest.mark.slow
def test_fifty_hostile_clients_do_not_keep_an_honest_one_waiting() -> None:
    def ask() -> float:
        began = time.perf_counter()
        server.post("/v1/completions", prompt="abc fed", max_tokens=16)
        return time.perf_counter() - began

    with running(served(hidden_size=128)) as server:
        for _ in range(20):
            ask()
        alone = sorted(ask() for _ in range(60))
        connections = [each for number in range(50) for each in hostile(server, number)]
        time.sleep(0.2)
        beside = sorted(ask() for _ in range(60))
        for connection in connections:
            connection.close()
    assert beside[57] - alone[57] < 0.1


def test_the_extra_is_named_where_it_is_missing(tmp_path: Path) -> None:
    (tmp_path / "uvicorn.py").write_text("raise ModuleNotFoundError('no', name='uvicorn')")
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [os.sys.executable, "-m", "charlstm", "serve", "starter"],  # type: ignore[attr-defined]
        env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert done.stderr == "charlstm: the server needs uvicorn, which is not installed. pip install starlette uvicorn\n"


def test_answers_of_streams_can_be_read_as_lines(server: Running) -> None:
    answer = server.ask("POST", "/api/generate", {"text": "abc", "length": 100, "rows": 3})
    for line in answer.body.decode("ascii").split("\n"):
        name, _, data = line.partition(": ")
        assert name in ("", "event", "data")
        if name == "data":
            json.loads(data)
