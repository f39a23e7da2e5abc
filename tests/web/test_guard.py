"""Who is answered: a table of hosts, origins and bodies, sent byte by byte to a real server."""

from __future__ import annotations

import json
import time

import pytest

from charlstm.page.site import served_files
from charlstm.web.guard import HEADERS, MOST_BYTES, Access, is_loopback
from tests.web.running import Running, request, running, served

HOSTS = {
    "127.0.0.1:{port}": 200,
    "localhost:{port}": 200,
    "LOCALHOST:{port}": 200,
    "[::1]:{port}": 200,
    None: 400,
    "": 403,
    "127.0.0.1": 403,
    "localhost": 403,
    "localhost:": 403,
    "localhost:80": 403,
    "localhost:0{port}": 403,
    "localhost:{port}0": 403,
    "localhost:{port} ": 200,  # blanks around a value are no part of it
    "localhost:{port}.evil.com": 403,
    "localhost.:{port}": 403,
    "localhost.evil.com:{port}": 403,
    "127.0.0.1.evil.com:{port}": 403,
    "127.0.0.1.nip.io:{port}": 403,
    "evil.com": 403,
    "evil.com:{port}": 403,
    "evil.com#localhost:{port}": 403,
    "evil.com@localhost:{port}": 403,
    "localhost:{port}@evil.com": 403,
    "localhost:{port},evil.com": 403,
    "[::1]": 403,
    "::1:{port}": 403,
    "[::1].evil.com:{port}": 403,
    "[::ffff:127.0.0.1]:{port}": 403,
    "0.0.0.0:{port}": 403,
    "127.0.0.2:{port}": 403,
    "127.1:{port}": 403,
    "2130706433:{port}": 403,
    "0x7f000001:{port}": 403,
    "http://localhost:{port}": 403,
}
"""What a client may call this server, and what it gets."""

ORIGINS = {
    "http://127.0.0.1:{port}": 200,
    "http://localhost:{port}": 403,  # it was asked as 127.0.0.1, so a page of localhost is another one
    "https://127.0.0.1:{port}": 403,
    "http://127.0.0.1": 403,
    "http://127.0.0.1:{port}/": 403,
    "http://127.0.0.1:{port}.evil.com": 403,
    "http://127.0.0.1:1": 403,
    "http://evil.com": 403,
    "http://evil.com:{port}": 403,
    "null": 403,
    "file://": 403,
    "": 403,
    "chrome-extension://abcdef": 403,
}
"""The page that asks, and what it gets."""


@pytest.mark.parametrize("path", ["/health", "/v1/models", "/", "/no/such/page"])
@pytest.mark.parametrize("host", HOSTS)
def test_the_host_has_to_be_this_servers_to_the_letter(server: Running, host: str | None, path: str) -> None:
    if host is None:
        for version in ("HTTP/1.0", "HTTP/1.1"):
            answer = server.raw(f"GET {path} {version}\r\n\r\n".encode())
            assert answer.status in (400, 403)
        return
    answer = server.ask("GET", path, headers={"Host": host.format(port=server.port)})
    expected = {200: {200, 404}}.get(HOSTS[host], {HOSTS[host]})
    assert answer.status in expected
    if answer.status == 403:
        assert answer.json()["error"]["code"] == "wrong_host"


def test_two_hosts_are_one_too_many(server: Running) -> None:
    answer = server.raw(f"GET /health HTTP/1.1\r\nHost: {server.host}\r\nHost: evil.com\r\n\r\n".encode())
    assert answer.status == 400


def test_the_name_in_the_request_line_counts_for_nothing(server: Running) -> None:
    answer = server.raw(f"GET http://{server.host}/health HTTP/1.1\r\nHost: evil.com\r\n\r\n".encode())
    assert answer.status == 403


@pytest.mark.parametrize("origin", ORIGINS)
def test_a_page_has_to_be_this_servers_own(server: Running, origin: str) -> None:
    answer = server.ask("POST", "/api/score", {"text": "abc"}, {"Origin": origin.format(port=server.port)})
    assert answer.status == ORIGINS[origin]
    assert "access-control-allow-origin" not in answer.headers


def test_two_origins_are_one_too_many(server: Running) -> None:
    own = f"http://{server.host}"
    data = request(server.host, "POST", "/api/score", {"text": "abc"}, {"Origin": f"{own}\r\nOrigin: {own}"})
    assert server.raw(data).status == 403


@pytest.mark.parametrize(
    ("site", "mode", "method", "status"),
    [
        ("same-origin", "cors", "POST", 200),
        ("none", "navigate", "GET", 200),
        ("cross-site", "navigate", "GET", 200),  # a link to the page
        ("cross-site", "no-cors", "GET", 403),  # a picture, a script
        ("same-site", "cors", "GET", 403),  # another port of this machine
        ("cross-site", "navigate", "POST", 403),  # a form
        ("cross-site", "cors", "POST", 403),
        ("same-site", "cors", "POST", 403),
        ("unheard-of", "cors", "POST", 403),
    ],
)
def test_what_browsers_say_of_a_request_is_believed(
    server: Running, site: str, mode: str, method: str, status: int
) -> None:
    headers = {"Sec-Fetch-Site": site, "Sec-Fetch-Mode": mode}
    path, body = ("/health", None) if method == "GET" else ("/api/score", {"text": "abc"})
    assert server.ask(method, path, body, headers).status == status


KINDS = {
    "application/json": 200,
    "Application/JSON; charset=UTF-8": 200,
    "application/json;charset=latin-1": 415,
    "text/plain": 415,
    "text/plain; application/json": 415,
    "application/x-www-form-urlencoded": 415,
    "multipart/form-data; boundary=x": 415,
    "application/jsonp": 415,
    "": 415,
}


@pytest.mark.parametrize("kind", [*KINDS, None])
def test_only_json_is_read(server: Running, kind: str | None) -> None:
    answer = server.ask("POST", "/api/score", {"text": "abc"}, {"Content-Type": kind})
    assert answer.status == KINDS.get(kind or "", 415)


BODIES: dict[bytes, str] = {
    b"": "not JSON",
    b"{": "not JSON",
    b"[]": "has to be a JSON object",
    b"null": "has to be a JSON object",
    b'"text"': "has to be a JSON object",
    b'{"text": NaN}': "NaN is no number",
    b'{"text": -Infinity}': "no number",
    b'{"text": "\xff"}': "not JSON",
    b'{"text": "\\ud800"}': "surrogates",
    b"[" * 100_000: "not JSON",
    b'{"text": ' + b"9" * 10_000 + b"}": "not JSON",
    b'{"text": "abc", "texts": ""}': "did you mean text?",
    b'{"model": "small"}': "`text` is missing",
    b'{"text": 3}': "`text=3` must be a text",
    b'{"text": "abc", "model": 3}': "`model=3` must be a text",
    b'{"text": "abc", "mix": []}': "`mix=[]` must be",
    b'{"text": "abc", "mix": [{"model": "small"}]}': "`weight` is missing",
    b'{"text": "abc", "mix": [{"model": "small", "weight": 1, "more": 1}]}': "'more' in `mix`",
    b'{"text": "abc", "mix": [{"model": "small", "weight": 0}]}': "are 0",
    b'{"text": "abc", "mix": [{"model": "small", "weight": 1}], "model": "small"}': "exclude each other",
}


@pytest.mark.parametrize("body", BODIES, ids=lambda body: repr(body[:40]))
def test_a_bad_body_is_told_what_is_wrong_with_it(server: Running, body: bytes) -> None:
    answer = server.ask("POST", "/api/score", body)
    error = answer.json()["error"]
    assert answer.status == 400
    assert BODIES[body] in error["message"]
    assert error["type"] == "invalid_request_error"


def test_the_page_is_told_of_no_choice_that_it_does_not_have(server: Running) -> None:
    for path, text in (("/api/score", "abcA"), ("/api/generate", "abcA"), ("/api/fill", "A__"), ("/api/score", "ab漢")):
        error = server.ask("POST", path, {"text": text}).json()["error"]
        assert error["code"] == "unknown_character"
        assert "unknown=" not in error["message"]
        assert error["message"].endswith(".")
        assert ("'a'" in error["message"]) == ("A" in text)


def test_an_error_names_the_field(server: Running) -> None:
    for body, name in (({"text": "abc", "foo": 1}, "foo"), ({"text": "abcz"}, "text"), ({"text": 3}, "text")):
        assert server.ask("POST", "/api/score", body).json()["error"]["param"] == name
    answer = server.ask("POST", "/api/score", {"text": "ab", "model": "nobody"})
    assert (answer.status, answer.json()["error"]["code"]) == (404, "not_found")
    assert answer.json()["error"]["message"].endswith(" is not served. These are: small, other, bytes, both.")


@pytest.mark.parametrize(
    ("method", "path", "code", "message"),
    [
        ("GET", "/nowhere", "no_such_page", "There is no such page; /openapi.json lists those there are."),
        (
            "GET",
            "/v1/completions",
            "wrong_method",
            "This page has to be asked with another method; /openapi.json says which.",
        ),
        (
            "POST",
            "/v1/chat/completions",
            "no_such_page",
            "These networks continue texts and do not chat: use /v1/completions.",
        ),
    ],
)
def test_a_request_that_reaches_nothing_is_told_where_to_look(
    server: Running, method: str, path: str, code: str, message: str
) -> None:
    error = server.ask(method, path, {} if method == "POST" else None).json()["error"]
    assert (error["code"], error["message"]) == (code, message)


def test_a_body_is_limited_whether_it_says_its_length_or_not(server: Running) -> None:
    large = json.dumps({"text": "a" * MOST_BYTES}).encode()
    assert server.ask("POST", "/api/score", large).status == 413
    chunk = b"10000\r\n" + b" " * 0x10000 + b"\r\n"
    head = request(server.host, "POST", "/api/score", None, {"Content-Length": None, "Transfer-Encoding": "chunked"})
    assert server.raw(head + chunk * (MOST_BYTES // 0x10000 + 1)).status == 413
    fits = json.dumps({"text": "a" * 10}).encode().ljust(MOST_BYTES)
    assert server.ask("POST", "/api/score", fits).status == 200


def test_a_length_that_is_announced_is_not_waited_for(server: Running) -> None:
    began = time.monotonic()
    assert server.ask("POST", "/api/score", b"", {"Content-Length": "999999999"}).status == 413
    assert time.monotonic() - began < 5


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/health", 200),
        ("HEAD", "/health", 200),
        ("GET", "/", 200),
        ("GET", "/nowhere", 404),
        ("GET", "/no/such/page", 404),
        ("GET", "/../../etc/passwd", 404),
        ("GET", "/%2e%2e/%2e%2e/etc/passwd", 404),
        ("GET", "/api/score", 405),
        ("POST", "/health", 405),
        ("PUT", "/api/score", 405),
        ("OPTIONS", "/api/score", 405),
        ("POST", "/v1/chat/completions", 404),
        ("POST", "/v1/completions/", 404),
        ("GET", "/v1/models/nobody", 404),
        ("POST", "/api/score", 400),
    ],
)
def test_every_answer_has_the_headers_that_keep_browsers_safe(
    server: Running, method: str, path: str, status: int
) -> None:
    answer = server.ask(method, path, {} if method == "POST" else None)
    assert answer.status == status
    assert {name: answer.headers.get(name.lower()) for name in HEADERS} == HEADERS
    assert "access-control-allow-origin" not in answer.headers
    assert "server" not in answer.headers
    if status >= 400 and method != "HEAD":
        assert set(answer.json()["error"]) == {"message", "type", "param", "code"}


def test_chat_is_told_where_to_go(server: Running) -> None:
    message = server.ask("POST", "/v1/chat/completions", {"messages": []}).json()["error"]["message"]
    assert "/v1/completions" in message


# ---- tokens, and pages elsewhere ------------------------------------------------------------------------------------


def test_with_a_token_all_that_computes_asks_for_it() -> None:
    cases: dict[str | None, int] = {
        None: 401, "": 401, "Bearer": 401, "Bearer ": 401, "Bearer secre": 401, "Bearer secret1": 401,
        "Basic secret": 401, "secret": 401, "Bearer sécret": 401, "Bearer secret": 200, "bearer secret": 200,
    }  # fmt: skip
    with running(served(), token="secret") as server:
        for path in ("/api/models", "/v1/models"):
            for given, status in cases.items():
                assert server.ask("GET", path, headers={"Authorization": given}).status == status, given
        refused = server.ask("POST", "/v1/completions", {"prompt": "a"})
        assert refused.headers["www-authenticate"] == "Bearer"
        assert server.ask("GET", "/").status == 200  # the page, which has yet to read the token from its address
        assert server.ask("GET", "/health").status == 200


def test_a_server_for_other_machines_is_called_anything_but_needs_its_token() -> None:
    with running(served(), host="0.0.0.0", token="secret") as server:
        elsewhere = {"Host": "studio.local:1234"}
        assert server.ask("GET", "/v1/models", headers=elsewhere).status == 401
        assert server.ask("GET", "/v1/models", headers=elsewhere | {"Authorization": "Bearer secret"}).status == 200
        rebound = elsewhere | {"Origin": "http://evil.com", "Authorization": "Bearer secret"}
        assert server.ask("GET", "/v1/models", headers=rebound).status == 403


def test_a_page_elsewhere_may_ask_if_it_was_named() -> None:
    friend = "https://notes.example"
    with running(served(), origins=frozenset({friend})) as server:
        asks = {"Origin": friend, "Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "cors"}
        before = server.ask("OPTIONS", "/api/score", headers=asks | {
            "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization, x-stainless-os",
        })  # fmt: skip
        assert before.status == 204
        assert before.headers["access-control-allow-origin"] == friend
        assert before.headers["access-control-allow-headers"] == "authorization, x-stainless-os"
        answer = server.ask("POST", "/api/score", {"text": "abc"}, asks)
        assert (answer.status, answer.headers["access-control-allow-origin"]) == (200, friend)
        assert answer.headers["vary"] == "Origin"
        for stranger in ("https://evil.example", "https://notes.example.evil.com", "http://notes.example", "null"):
            answer = server.ask("OPTIONS", "/api/score", headers=asks | {"Origin": stranger})
            assert answer.status == 403
            assert "access-control-allow-origin" not in answer.headers


@pytest.mark.parametrize(
    ("host", "known"),
    [("127.0.0.1", True), ("localhost", True), ("::1", True), ("127.3.2.1", True), ("0.0.0.0", False), ("::", False),
     ("192.168.1.4", False), ("localhost.evil.com", False), ("", False)],
)  # fmt: skip
def test_which_hosts_only_this_machine_reaches(host: str, known: bool) -> None:
    assert is_loopback(host) == known
    assert bool(Access.to(host, 8000, "token").hosts) == known


def test_the_usual_port_need_not_be_said() -> None:
    assert {"localhost", "127.0.0.1", "[::1]", "localhost:80"} <= Access.to("localhost", 80).hosts
    assert "localhost" not in Access.to("localhost", 8000).hosts


def test_the_page_is_served_from_a_table() -> None:
    with running(served()) as server:
        for name, kind in (("", "text/html"), ("page.css", "text/css"), ("ui/app.js", "text/javascript")):
            answer = server.ask("GET", f"/{name}")
            assert (answer.status, answer.headers["content-type"]) == (200, f"{kind}; charset=utf-8")
            assert answer.body == served_files()[name][0]
        for name in ("site.py", "page.html", "ui", "ui/", "ui/../site.py", "ui%2fapp.js/", "package.json"):
            assert server.ask("GET", f"/{name}").status == 404, name
