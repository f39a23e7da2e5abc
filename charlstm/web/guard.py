"""What stands before every request: who asks, from which page, and how much is sent. Pure ASGI.

A page of the web can make a browser send requests to this machine, under a name that it has let point here (DNS
rebinding) or from a form. So the host must be one of this server's own, to the letter; a request that a page makes
must come from this server's own page; and what computes takes JSON only, which no form sends.
"""

from __future__ import annotations

import asyncio
import hmac
import ipaddress
from collections.abc import Callable
from dataclasses import dataclass

from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from charlstm.web.errors import Refusal, error_response

MOST_BYTES = 256 * 1024
"""Of a body: 64 k characters of any script."""
_BODY_SECONDS = 10.0
_OPEN = ("/api/", "/v1/")
"""Where a token is asked for: all that computes."""

HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self' data:; worker-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
    "X-Accel-Buffering": "no",
}
"""Of every answer. With these `innerHTML` throws, and nothing is loaded from elsewhere."""


@dataclass(frozen=True)
class Access:
    """Who may ask."""

    hosts: frozenset[str] = frozenset()
    """The values of `Host` that are answered; none are all of them, which takes a token."""
    token: str = ""
    """What a client has to know; empty if nothing."""
    origins: frozenset[str] = frozenset()
    """The origins of pages elsewhere that may ask."""

    @classmethod
    def to(cls, host: str, port: int, token: str = "", origins: frozenset[str] = frozenset()) -> Access:
        """Who may ask a server at an address.

        Args:
            host: as a person gave it: a name or a number of this machine.
            port: its port.
            token: what a client has to know.
            origins: the origins of pages elsewhere that may ask.

        Returns:
            The rules.
        """
        if not is_loopback(host):
            return cls(frozenset(), token, origins)
        names = {"localhost", "127.0.0.1", "[::1]", f"[{host}]" if ":" in host else host}
        hosts = {f"{name}:{port}" for name in names} | (names if port == 80 else set())
        return cls(frozenset(hosts), token, origins)


def is_loopback(host: str) -> bool:
    """Whether a host is reached from this machine only."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class Guard:
    """An application behind its checks.

    Args:
        app: the application.
        access: who may ask.
        crowded: whether there are too many to be answered now.
    """

    def __init__(self, app: ASGIApp, access: Access, crowded: Callable[[], bool]) -> None:
        self._app, self._access, self._crowded = app, access, crowded

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Check a request, and pass it on."""
        headers = Headers(scope=scope)
        origin = headers.get("origin", "")
        more = dict(HEADERS)
        if self._access.origins:
            more["Vary"] = "Origin"
        if origin in self._access.origins:
            more["Access-Control-Allow-Origin"] = origin
        reply: ASGIApp = self._app
        try:
            if self._crowded():
                raise Refusal(503, "Too many are connected; try again soon.", "busy", connection="close")
            self._check_sender(scope, headers)
            if scope["method"] == "OPTIONS" and origin in self._access.origins:
                wanted = headers.get("access-control-request-headers", "content-type")
                allowed = {"Methods": "GET, POST", "Headers": wanted, "Max-Age": "600"}
                named = {f"Access-Control-Allow-{name}": value for name, value in allowed.items()}
                reply = Response(status_code=204, headers=named)
            else:
                self._check_token(scope, headers)
            if scope["method"] == "POST":
                receive = await _with_body(headers, receive)
        except Refusal as fault:
            reply = await error_response(None, fault)
        await reply(scope, receive, _adding(more, send))

    def _check_sender(self, scope: Scope, headers: Headers) -> None:
        if "content-length" in headers and "transfer-encoding" in headers:  # a proxy may see another request in it
            raise Refusal(400, "A request has a length or is chunked, not both.", "two_lengths", connection="close")
        host, access = headers.get("host", "").lower(), self._access
        if access.hosts and host not in access.hosts:
            raise Refusal(403, f"This server is not called {host!r:.80}.", "wrong_host")
        origins, site = headers.getlist("origin"), headers.get("sec-fetch-site", "none")
        if origins and origins[0] in access.origins and len(origins) == 1:
            return
        if origins and origins != [f"{scope['scheme']}://{host}"]:
            raise Refusal(403, "Only this server's own page may ask.", "wrong_origin")
        visits = scope["method"] == "GET" and headers.get("sec-fetch-mode") == "navigate"
        if site not in ("none", "same-origin") and not visits:
            raise Refusal(403, "Only this server's own page may ask.", "wrong_site")

    def _check_token(self, scope: Scope, headers: Headers) -> None:
        if not self._access.token or not scope["path"].startswith(_OPEN):
            return
        kind, _, given = headers.get("authorization", "").partition(" ")
        right = hmac.compare_digest(given.strip().encode(), self._access.token.encode())
        if kind.lower() != "bearer" or not right:
            message = "This server asks for its token, as `Authorization: Bearer TOKEN` or as a client's API key."
            raise Refusal(401, message, "wrong_token", www_authenticate="Bearer")


def _adding(more: dict[str, str], send: Send) -> Send:
    """A `send` that adds headers to the response."""
    added = [(name.lower().encode(), value.encode("latin-1")) for name, value in more.items()]

    async def send_more(message: Message) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message.get("headers", ()), *added]}
        await send(message)

    return send_more


async def _with_body(headers: Headers, receive: Receive) -> Receive:
    """Read a body, and return a `receive` that has it.

    Raises:
        Refusal: it is no JSON, too large, or too slow.
    """
    kind, _, charset = headers.get("content-type", "").partition(";")
    if kind.strip().lower() != "application/json" or charset.strip().lower() not in ("", "charset=utf-8"):
        raise Refusal(415, "The body has to be JSON: `Content-Type: application/json`.", "not_json")
    too_large = Refusal(413, f"The body has more than {MOST_BYTES:,} bytes.", "too_large", connection="close")
    if int(headers.get("content-length", "0")) > MOST_BYTES:
        raise too_large
    body, more = b"", True
    try:
        async with asyncio.timeout(_BODY_SECONDS):
            while more:
                message = await receive()
                body, more = body + message.get("body", b""), message.get("more_body", False)
                if len(body) > MOST_BYTES:
                    raise too_large
    except TimeoutError:
        raise Refusal(408, "The body did not come in time.", "too_slow", connection="close") from None
    whole = iter([{"type": "http.request", "body": body, "more_body": False}])

    async def receive_whole() -> Message:
        return next(whole, None) or await receive()

    return receive_whole
