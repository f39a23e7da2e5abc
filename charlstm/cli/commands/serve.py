"""``charlstm serve``: networks of this machine for a browser, and for programs that speak OpenAI's interface."""

from __future__ import annotations

import os
from functools import partial
from itertools import chain, count
from pathlib import Path
from socket import gethostname
from typing import TYPE_CHECKING, Annotated

import typer

from charlstm.cli import options
from charlstm.cli.load_model import read_model
from charlstm.cli.options import DEFAULT_ROOT, Cache, Root
from charlstm.errors import NotFoundError, UsageError
from charlstm.paths import starter_folder

if TYPE_CHECKING:
    from charlstm.checkpoint.format import Checkpoint
    from charlstm.engine.products import Precision
    from charlstm.tokenizers import Ids
    from charlstm.web.models import Served

EPILOG = """Examples:

\b
  charlstm serve                          the newest run and the starter, at http://127.0.0.1:8000
  charlstm serve --open                   and show the page
  charlstm serve my-1 my-2 --port 0       two runs, at any port that is free
  charlstm serve my-1 --host 0.0.0.0      for other machines too; they need the token that is printed
"""

app = options.one_command()


@app.command(epilog=EPILOG)
def serve(
    models: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="MODEL",
            help="Names of runs, folders, files, 'latest' or 'starter'. [default: the newest run and the starter]",
            show_default=False,
        ),
    ] = None,
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="0 takes any that is free.")] = 8000,
    host: Annotated[
        str, typer.Option("--host", help="The address to listen at; one that other machines reach takes a token.")
    ] = "127.0.0.1",
    token: Annotated[
        str | None,
        typer.Option(
            "--token",
            envvar="CHARLSTM_TOKEN",
            help="What a client has to know. [default: none, or a random one if other machines can ask]",
            show_default=False,
        ),
    ] = None,
    allow_origin: Annotated[
        list[str] | None,
        typer.Option("--allow-origin", metavar="URL", help="A page elsewhere that may ask, too; may be repeated."),
    ] = None,
    precision: options.Precision = None,
    show: Annotated[bool, typer.Option("--open", help="Show the page in a browser.")] = False,
    root: Root = DEFAULT_ROOT,
    cache: Cache = None,
) -> None:
    """Open networks to a browser and to programs, on this machine.

    The page is at the address that is printed. Programs made for OpenAI's completions use the same address with /v1
    behind it, and any API key. Only this machine can ask, and of pages only the server's own, unless it is told
    otherwise. Ctrl-C ends it. Needs Starlette and uvicorn: pip install starlette uvicorn.
    """
    _check_installed()
    if token is not None and not (token.isascii() and token.isprintable() and len(token.split()) == 1):
        raise UsageError("--token must be of visible ASCII characters, without blanks")
    served = _load(models or [], root, options.cache_or_default(cache), precision)
    from charlstm.web.desk import Desk
    from charlstm.web.guard import Access, is_loopback
    from charlstm.web.models import Library
    from charlstm.web.server import Server, listen

    socket = listen(host, port)
    port = socket.getsockname()[1]
    if token is None and not is_loopback(host):
        from secrets import token_urlsafe

        token = token_urlsafe(16)
    access = Access.to(host, port, token or "", frozenset(origin.rstrip("/") for origin in allow_origin or ()))
    everywhere = host in ("0.0.0.0", "::")
    address = _address(gethostname() if everywhere else host, port, token)
    print(f"{address} serves {' and '.join(each.id for each in served)}; Ctrl-C ends it", flush=True)
    if show:
        _open(_address("127.0.0.1", port, token) if everywhere else address)
    server = Server(Desk(Library(served)), access)
    try:
        server.run(sockets=[socket])
    except KeyboardInterrupt:
        if len(server.turns):  # the search for units cannot be stopped, and torch would end with an abort
            os._exit(130)
        raise


def _check_installed() -> None:
    try:
        import starlette  # noqa: F401
        import uvicorn  # noqa: F401
    except ImportError as fault:
        what = f"the server needs {fault.name}, which is not installed"
        raise UsageError(what, hint="pip install starlette uvicorn") from fault


def _load(references: list[str], root: Path, cache: Path, precision: Precision | None) -> list[Served]:
    """Read the networks: those that are named, else the newest run and the starter."""
    from charlstm.engine.load import load_engine_with_threads, writing_precision
    from charlstm.web.models import Served

    found = [read_model(reference, root) for reference in references] or _newest_and_starter(root)
    served: dict[str, Served] = {}
    for path, checkpoint in {path.resolve(): (path, checkpoint) for path, checkpoint in found}.values():
        name = path.parent.name if path.name == "model.safetensors" else path.stem
        name = next(each for each in chain([name], (f"{name}-{n}" for n in count(2))) if each not in served)
        texts = partial(_own_text, path, checkpoint, cache), partial(_training_ids, checkpoint, cache)
        chosen = writing_precision(checkpoint.architecture, precision)
        served[name] = Served(name, checkpoint, load_engine_with_threads(checkpoint, precision=chosen), *texts)
    return list(served.values())


def _newest_and_starter(root: Path) -> list[tuple[Path, Checkpoint]]:
    newest = read_model(None, root)
    if newest[0].parent == starter_folder():
        return [newest]
    try:
        return [newest, read_model("starter", root)]
    except NotFoundError:  # an installation without it
        return [newest]


def _own_text(path: Path, checkpoint: Checkpoint, cache: Path) -> str:
    """The text whose units are looked for."""
    from charlstm.cli.reading import own_text

    try:
        return own_text(checkpoint, path, _UNITS_TEXT, cache, hint="Train it again, or serve it where that is.")[0]
    except UsageError as fault:
        raise NotFoundError(fault.what, where=checkpoint.run.name) from fault


def _training_ids(checkpoint: Checkpoint, cache: Path) -> Ids:
    from charlstm.corpora.training_text import training_ids

    try:
        return training_ids(checkpoint, None, cache).ids
    except NotFoundError as fault:
        fault.hint = ""  # it tells of an option that this command lacks
        raise


_UNITS_TEXT = 20_000
"""Characters in which units are looked for."""


def _address(host: str, port: int, token: str | None) -> str:
    """What a browser opens."""
    return f"http://{f'[{host}]' if ':' in host else host}:{port}/" + (f"#token={token}" if token else "")


def _open(address: str) -> None:
    """Show a page in a browser, which may be one of this terminal that returns only when it is left."""
    import threading
    import webbrowser

    threading.Thread(target=webbrowser.open, args=(address,), daemon=True).start()
