"""Errors as clients of OpenAI's interface expect them: a status, and a JSON object that says what to change."""

from __future__ import annotations

import json
import re
from http import HTTPStatus
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from charlstm.errors import CharlstmError, IncompatibleError, NotFoundError, UnknownCharacter, UsageError
from charlstm.web.turns import Busy, Closing

_KINDS: tuple[tuple[type[CharlstmError], int, str | None], ...] = (
    (Busy, 503, "busy"),
    (Closing, 503, "closing"),
    (UnknownCharacter, 400, "unknown_character"),
    (UsageError, 400, None),
    (IncompatibleError, 400, "incompatible"),
    (NotFoundError, 404, "not_found"),
)
_PAGES = {
    404: ("no_such_page", "There is no such page; /openapi.json lists those there are."),
    405: ("wrong_method", "This page has to be asked with another method; /openapi.json says which."),
}
"""What is said of a request that reaches nothing: a code and a message."""
_SETTING = re.compile(r"(?:`|there is no setting ')(\w+)")


class Refusal(Exception):  # noqa: N818 - not raised for a fault of ours
    """A request that is not looked into any further.

    Args:
        status: of the answer.
        message: what is wrong, and what to do.
        code: a word for programs.
        headers: more headers of the answer.
    """

    def __init__(self, status: int, message: str, code: str, **headers: str) -> None:
        super().__init__(message)
        self.status, self.code = status, code
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}


def to_json(value: Any) -> bytes:
    """Write a value as JSON, in ASCII: a lone surrogate, which an alphabet may hold, has no UTF-8."""
    if isinstance(value, dict):
        return b"{%b}" % b",".join(b"%b:%b" % (to_json(name), to_json(each)) for name, each in value.items())
    if isinstance(value, list) and len(value) > _PIECE:  # else a long one would let no other thread run meanwhile
        pieces = (value[begin : begin + _PIECE] for begin in range(0, len(value), _PIECE))
        return b"[%b]" % b",".join(to_json(piece)[1:-1] for piece in pieces)
    return json.dumps(value, allow_nan=False, separators=(",", ":")).encode("ascii")


_PIECE = 1024


def json_response(value: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """A response of one JSON value.

    Args:
        value: the value.
        status: of the response.
        headers: more headers.
    """
    return Response(to_json(value), status, headers, media_type="application/json")


def describe(fault: Exception) -> tuple[int, dict[str, Any]]:
    """The status and the JSON object of an error.

    Args:
        fault: the error; what is none of ours is not told in detail.
    """
    status, param = 500, None
    code: str | None = "fault"
    message = "The server has met a fault of its own; its terminal says more."
    if isinstance(fault, Refusal):
        status, code, message = fault.status, fault.code, str(fault)
    elif isinstance(fault, HTTPException):
        status = fault.status_code
        code, told = _PAGES.get(status, ("refused", fault.detail))
        message = told if fault.detail == HTTPStatus(status).phrase else fault.detail
    elif isinstance(fault, CharlstmError):
        known = ((status, code) for kind, status, code in _KINDS if isinstance(fault, kind))
        status, code = next(known, (500, "fault"))
        setting = _SETTING.match(fault.what)
        param = setting[1] if setting else None
        if isinstance(fault, UnknownCharacter):  # which may be in "line 2 of starts"
            param = str(fault.where).rpartition(" of ")[2]
        message = str(fault)
    kind = "invalid_request_error" if status < 500 else "server_error"
    return status, {"error": {"message": message, "type": kind, "param": param, "code": code}}


async def error_response(request: Request | None, fault: Exception) -> Response:
    """The response to an error: a client tries again after 503 and not after a fault of ours.

    Args:
        request: which it was.
        fault: the error.

    Returns:
        The response.
    """
    status, body = describe(fault)
    headers = dict(fault.headers or {}) if isinstance(fault, Refusal | HTTPException) else {}
    if status == 503:
        headers["Retry-After"] = "1"
    elif status >= 500:
        headers["x-should-retry"] = "false"
    return json_response(body, status, headers)
