"""The page as files for a server, and as one file with networks in it."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Any

from charlstm.page.bundle import bundle

ENTRY = "ui/app.js"
PIECE = 800_000
"""Bytes in one element, a multiple of 4: a browser stalls on a text of many megabytes."""

_TYPES = {".js": "text/javascript", ".css": "text/css", ".html": "text/html"}
_SERVED = '<link rel="stylesheet" href="page.css">\n<script type="module" src="ui/app.js"></script>'
_CARD = "A network and the page to play with it, made by charlstm. Nothing that is written here leaves this file."


@dataclass(frozen=True)
class Embedded:
    """A network that is part of a page."""

    id: str
    file: bytes
    """Its checkpoint, as it stands on the disk."""
    facts: Mapping[str, Any]
    """What the page shows of it besides: name, bits per character, opening, what it writes after that, units."""


def served_files() -> dict[str, tuple[bytes, str]]:
    """Every file of the page by its path, with its content type; the page itself is at ``""``."""
    files = {
        path: (read(path).encode(), _TYPES[path[path.rindex(".") :]])
        for path in _paths()
        if path.endswith((".js", ".css"))
    }
    page = read("page.html").replace("<!-- head -->", _SERVED).replace("<!-- foot -->\n", "")
    return {"": (page.encode(), _TYPES[".html"]), **files}


def standalone_page(models: Sequence[Embedded]) -> str:
    """The page as one file, which needs no network and no server.

    Args:
        models: the networks in it, at least one; the first is asked first.

    Returns:
        HTML.

    Raises:
        ValueError: a file of the page holds what would end its element, so it cannot stand in one file.
    """
    style, script = read("page.css"), bundle(ENTRY, read)
    if "</script" in script or "</style" in style:
        raise ValueError("the page's own text would end its element")
    policy = (
        f"default-src 'none'; script-src {_hash(script)} 'wasm-unsafe-eval' blob:; style-src {_hash(style)}; "
        "worker-src blob:; img-src data: blob:; base-uri 'none'; form-action 'none'; "
        "require-trusted-types-for 'script'; trusted-types charlstm"
    )
    head = (
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        f'<meta name="description" content="{_CARD}">\n<style>{style}</style>'
    )
    listed, blocks = [], []
    for number, model in enumerate(models):
        pieces = list(_pieces(model.file))
        names = [f"weights-{number}-{piece}" for piece in range(len(pieces))]
        blocks += [_block(name, piece) for name, piece in zip(names, pieces, strict=True)]
        listed.append({"id": model.id, "pieces": names, **model.facts})
    blocks.append(_block("models", _embedded_json(listed)))
    foot = "\n".join([*blocks, f'<script id="script">{script}</script>', ""])
    return read("page.html").replace("<!-- head -->", head).replace("<!-- foot -->\n", foot)


def read(path: str) -> str:
    """The text of a file of the page.

    Args:
        path: within this folder, with slashes.
    """
    return resources.files("charlstm.page").joinpath(path).read_text("utf-8")


def _paths() -> Iterator[str]:
    """The path of every file of the page, with slashes."""
    waiting = [(resources.files("charlstm.page"), "")]
    while waiting:
        folder, prefix = waiting.pop()
        for entry in folder.iterdir():
            if entry.is_dir():
                waiting.append((entry, f"{prefix}{entry.name}/"))
            else:
                yield prefix + entry.name


def _pieces(file: bytes) -> Iterator[str]:
    """A file, compressed, in pieces of base85, a sixteenth shorter than base64; ``,`` stands for ``<``."""
    packed = gzip.compress(file, 9, mtime=0)
    for begin in range(0, len(packed), PIECE):
        yield base64.b85encode(packed[begin : begin + PIECE]).decode().replace("<", ",")


def _block(name: str, text: str) -> str:
    return f'<script type="text/plain" id="{name}">{text}</script>'


def _embedded_json(value: Any) -> str:
    """JSON that can stand in an element: nothing in it ends the element or a line of a script."""
    text = json.dumps(value, ensure_ascii=True, allow_nan=False)
    return text.replace("<", "\\u003c")


def _hash(text: str) -> str:
    """The source expression of a content security policy for an inline text."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
