"""Text that every machine already has: the interpreter's own documentation and sources, and Unicode's names.

Sources are read and parsed, never imported or run. The order is fixed, so the same interpreter gives the same text.
"""

from __future__ import annotations

import ast
import io
import sys
import sysconfig
import tokenize
import unicodedata
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from charlstm.errors import NotFoundError

# Tests and their deliberately broken files, other people's packages, generated tables, and copies of pip.
_LEFT_OUT = frozenset(
    {"test", "tests", "idle_test", "lib2to3", "site-packages", "dist-packages", "ensurepip", "pydoc_data", "encodings"}
)
_STATEMENTS = (ast.stmt, ast.excepthandler, ast.match_case)


@dataclass(frozen=True)
class LocalSource:
    """A source of text on every machine."""

    description: str
    licence: str
    pieces: Callable[[], Iterator[str]]


def python_docs() -> Iterator[str]:
    """Yield the topics of ``help()`` by name, then the docstrings of the standard library by file and line.

    Raises:
        NotFoundError: this Python was installed without its sources.
    """
    for _, text in sorted(_topics().items()):
        yield text.strip() + "\n\n"
    for source in python_source():
        yield from docstrings(source)


def python_source() -> Iterator[str]:
    """Yield the modules of the standard library by path, without tests.

    Raises:
        NotFoundError: this Python was installed without its sources.
    """
    root = Path(sysconfig.get_path("stdlib"))
    paths = [path for path in root.rglob("*.py") if not _LEFT_OUT.intersection(path.relative_to(root).parts)]
    if not paths:
        raise NotFoundError(
            "this Python was installed without the sources of its standard library", where="python:source"
        )
    for path in sorted(paths, key=lambda path: path.relative_to(root).parts):
        if source := _text(path):
            yield source


def unicode_names() -> Iterator[str]:
    """Yield the name of every character in order of code points, one per line.

    Names made by rule are left out: numbered ideographs and the like, and Hangul syllables.
    """
    for point in range(sys.maxunicode + 1):
        name = unicodedata.name(chr(point), "")
        if name and not name.startswith("HANGUL SYLLABLE ") and not name.endswith(f"-{point:04X}"):
            yield name + "\n"


LOCAL: dict[str, LocalSource] = {
    "python:docs": LocalSource("this Python's help topics and its library's docstrings", "PSF", python_docs),
    "python:source": LocalSource("the source of this Python's library", "PSF", python_source),
    "unicode:names": LocalSource("the names of Unicode's characters, one per line", "Unicode", unicode_names),
}


def _topics() -> dict[str, str]:
    path = Path(sysconfig.get_path("stdlib"), "pydoc_data", "topics.py")
    if not path.is_file():  # some systems package it separately
        return {}
    for statement in ast.parse(path.read_bytes()).body:
        if isinstance(statement, ast.Assign) and isinstance(statement.value, ast.Dict):
            topics: dict[str, str] = ast.literal_eval(statement.value)
            return topics
    return {}


def docstrings(source: str) -> Iterator[str]:
    """Yield the docstrings of a module, its classes and its functions by line, each followed by a blank line."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # odd escapes in old modules do not concern the user
            pending: list[ast.AST] = [ast.parse(source)]
    except (SyntaxError, ValueError):
        return
    while pending:
        node = pending.pop()
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
            text = (ast.get_docstring(node) or "").strip()
            if text:
                yield text + "\n\n"
        # Only statements hold definitions: expressions, most of the tree, need no visit.
        pending += [child for child in ast.iter_child_nodes(node) if isinstance(child, _STATEMENTS)][::-1]


def _text(path: Path) -> str:
    """The file's text with LF newlines; "" if it cannot be decoded."""
    try:
        data = path.read_bytes()
        encoding, _ = tokenize.detect_encoding(io.BytesIO(data).readline)
        text = io.StringIO(data.decode(encoding), newline=None).read()
    except (OSError, SyntaxError, ValueError):
        return ""
    return text if text.endswith("\n") or not text else text + "\n"
