"""The application: its routes, and the files of the page."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

from charlstm import __version__
from charlstm.errors import CharlstmError
from charlstm.page.site import served_files
from charlstm.web import completions, playground
from charlstm.web.desk import Desk
from charlstm.web.errors import error_response, json_response
from charlstm.web.guard import Access, Guard
from charlstm.web.reply import Reply
from charlstm.web.turns import Job, Turns

_OPENAPI = Path(__file__).with_name("openapi.json")
_Handler = Callable[[Desk, Job, bytes], bytes | None]

COMPUTED: dict[str, _Handler] = {
    "/api/score": playground.score_text,
    "/api/generate": playground.generate,
    "/api/fan": playground.fan_out,
    "/api/trace": playground.trace,
    "/api/fill": playground.fill,
    "/api/units": playground.units,
    "/v1/completions": completions.complete,
}
"""What takes a JSON body, and computes."""


def application(desk: Desk, turns: Turns, access: Access, crowded: Callable[[], bool]) -> ASGIApp:
    """Make the application.

    Args:
        desk: the networks.
        turns: who may compute.
        access: who may ask.
        crowded: whether there are too many to be answered now.

    Returns:
        The application behind its guard.
    """
    told: dict[str, Callable[[Request], Response]] = {
        "/api/models": lambda request: json_response(playground.models(desk)),
        "/v1/models": lambda request: json_response(completions.models(desk)),
        "/v1/models/{name:path}": lambda request: json_response(completions.model(desk, request.path_params["name"])),
        "/health": lambda request: json_response({"status": "ok", "version": __version__, "busy": len(turns)}),
        "/openapi.json": lambda request: Response(_OPENAPI.read_bytes(), media_type="application/json"),
        **{f"/{path}": partial(_file, *file) for path, file in served_files().items()},
    }
    routes = [Route(path, _computed(desk, turns, handler), methods=["POST"]) for path, handler in COMPUTED.items()]
    routes.append(Route("/v1/chat/completions", _telling(_no_chat), methods=["POST"]))
    routes += [Route(path, _telling(answer)) for path, answer in told.items()]
    app = Starlette(routes=routes, exception_handlers=dict.fromkeys(_CAUGHT, error_response))
    app.router.redirect_slashes = False
    return Guard(app, access, crowded)


_CAUGHT: tuple[Any, ...] = (HTTPException, CharlstmError, Exception)


def _computed(desk: Desk, turns: Turns, handler: _Handler) -> Any:
    async def endpoint(request: Request) -> Any:
        body = await request.body()
        return Reply(turns, lambda job: handler(desk, job, body))

    return endpoint


def _telling(answer: Callable[[Request], Response]) -> Any:
    async def endpoint(request: Request) -> Response:
        return answer(request)

    return endpoint


def _file(content: bytes, kind: str, request: Request) -> Response:
    return Response(content, media_type=kind)


def _no_chat(request: Request) -> Response:
    return _no_such_page("These networks continue texts and do not chat: use /v1/completions.")


def _no_such_page(message: str) -> Response:
    raise HTTPException(404, message)
