"""A network as one readable file of NumPy: `numpy_parts`, specialised to what this network is, and its weights."""

from __future__ import annotations

import ast
import base64
import io
import shlex
import sys
import textwrap
from collections.abc import Iterator
from importlib import resources
from itertools import groupby
from typing import Any, NamedTuple

import numpy as np

from charlstm import __version__
from charlstm.checkpoint.format import Checkpoint, StoredAs, convert
from charlstm.checkpoint.int8 import pack_matrix
from charlstm.errors import UsageError
from charlstm.export.numpy_settings import known
from charlstm.export.specialise import Definition, imports, specialised
from charlstm.nn.architecture import Architecture
from charlstm.nn.shapes import parameter_count

MODULES = (
    "pieces", "tokens", "arrays", "cells", "attention", "ngrams", "matches", "network", "sampling", "writing",
    "filling", "command",
)  # fmt: skip
"""The modules of `numpy_parts` in the order in which a program has them."""
LARGEST_INSIDE = 16 << 20
"""Characters of weights in a program: more are put beside it unless that is forbidden."""

_LINE = 100  # characters of weights in a line
_WIDTH = 118  # characters of a line of code
_LAST = 'if __name__ == "__main__":\n    main()'


class Program(NamedTuple):
    """A program."""

    source: str
    beside: bytes | None
    """The file of weights beside it, if they are not inside."""


def stored_as(checkpoint: Checkpoint) -> StoredAs:
    """How the weights of a checkpoint are stored.

    Args:
        checkpoint: the network.
    """
    if checkpoint.is_int8:
        return "int8"
    halves = all(tensor.dtype == np.float16 for tensor in checkpoint.tensors.values())
    return "float16" if halves else "float32"


def check_name(name: str) -> None:
    """Check that a program of this name does not stand in the way of what it imports.

    Args:
        name: of its file, without the suffix.

    Raises:
        UsageError: a module of Python or NumPy itself has this name.
    """
    if name in sys.stdlib_module_names or name == "numpy":
        what = f"a program with this name would hide the module {name} from NumPy and itself"
        raise UsageError(what, where=f"{name}.py", hint="Choose another one with `output`.")


def numpy_program(checkpoint: Checkpoint, name: str, *, dtype: StoredAs, beside: bool | None = None) -> Program:
    """Write the program of a network.

    Args:
        checkpoint: the network.
        name: of the program's file, without its suffix.
        dtype: how the weights are stored; it computes in float32.
        beside: whether they are in a file of their own, ``NAME.npz``; None is yes if they are large.

    Returns:
        The program; it needs NumPy and Python 3.10 or newer.

    Raises:
        UsageError: a weight is too large for ``dtype``.
    """
    archive = _archive(checkpoint, dtype)
    if beside is None:
        beside = len(archive) * 4 / 3 > LARGEST_INSIDE
    settings = {**known(checkpoint), "INT8": dtype == "int8", "BESIDE": beside, "WEIGHTS": ""}
    parts = resources.files(f"{__package__}.numpy_parts")
    modules = [parts.joinpath(f"{module}.py").read_text("utf-8") for module in MODULES]
    comments = _comments(parts.joinpath("settings.py").read_text("utf-8"))
    entry = "fill" if checkpoint.architecture.bidirectional else "write"
    definitions = specialised(modules, settings, (entry, "main"))
    names = {each for definition in definitions for each in definition.names}
    head = [
        f'"""{_description(checkpoint, name, dtype)}"""',
        "from __future__ import annotations",
        imports(modules, names),
        "\n".join(_setting(key, settings[key], comments[key]) for key in comments if key in names - {"WEIGHTS"}),
    ]
    body = [*_sections(definitions), *([] if beside else [_weights(archive)]), _LAST]
    return Program("\n\n".join(head) + "\n\n\n" + "\n\n\n".join(body) + "\n", archive if beside else None)


def _archive(checkpoint: Checkpoint, dtype: StoredAs) -> bytes:
    """The weights as an ``.npz`` file; in int8 each matrix is whole numbers, and its rows have a scale each."""
    arrays: dict[str, Any] = {}
    for name, tensor in convert(checkpoint, dtype).tensors.items():
        if dtype == "int8" and tensor.ndim == 2:
            arrays[name], arrays[f"{name}.scale"] = pack_matrix(tensor)
        else:
            arrays[name] = tensor
    file = io.BytesIO()
    np.savez_compressed(file, **arrays)
    return file.getvalue()


def _weights(archive: bytes) -> str:
    """The weights as a long text, which ends the program."""
    text = base64.b64encode(archive).decode("ascii")
    lines = [text[begin : begin + _LINE] for begin in range(0, len(text), _LINE)]
    return "\n".join((_rule("The weights, as an .npz file in base64"), "", 'WEIGHTS = """', *lines, '"""'))


def _sections(definitions: list[Definition]) -> Iterator[str]:
    """The code: what is from one module stands under its docstring, as a comment."""
    for section, group in groupby(definitions, key=lambda definition: definition.section):
        begin = _rule(section)
        for is_function, several in groupby(group, key=lambda definition: definition.is_function):
            sources = [definition.source.rstrip("\n") for definition in several]
            between = "\n\n\n" if is_function else "\n"
            yield (begin + ("\n\n\n" if is_function else "\n\n")) * bool(begin) + between.join(sources)
            begin = ""


def _rule(section: str) -> str:
    """A docstring as a comment that begins a part of the program."""
    first, *others = section.splitlines()
    return "\n".join(
        (f"# ---- {first.removesuffix('.')} ".ljust(_WIDTH, "-"), *(f"# {line}".rstrip() for line in others))
    )


def _comments(source: str) -> dict[str, str]:
    """What `numpy_parts.settings` says about each setting, in its order; nothing about some."""
    comments, name = {}, ""
    for node in ast.parse(source).body:
        if isinstance(node, ast.Assign | ast.AnnAssign):
            name = ast.unparse(node.targets[0] if isinstance(node, ast.Assign) else node.target)
            comments[name] = ""
        elif name and isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            comments[name] = str(node.value.value)
    return comments


def _setting(name: str, value: Any, comment: str) -> str:
    """The line that sets a name; long lists take several."""
    line = f"{name} = {_literal(value)}"
    if not comment and (len(line) <= _WIDTH or isinstance(value, str)):
        return line
    if len(f"{line}  # {comment}") <= _WIDTH:
        return f"{line}  # {comment}"
    if isinstance(value, str):
        return f"# {comment}\n{line}"
    opening, closing = ("(", ")") if isinstance(value, tuple) else ("{", "}")
    rows = [""]
    for item in map(_literal, value) if isinstance(value, tuple) else _pairs(value):
        if len(rows[-1]) + len(item) > _WIDTH - 4:
            rows.append("")
        rows[-1] += f"{item}, "
    body = [f"    {row.rstrip()}" for row in rows]
    return "\n".join(([f"# {comment}"] if comment else []) + [f"{name} = {opening}", *body, closing])


def _literal(value: Any) -> str:
    """A value as it is written in a program, with double quotes where both are as good."""
    if isinstance(value, tuple):
        return f"({', '.join(map(_literal, value))}{',' * (len(value) == 1)})"
    if isinstance(value, dict):
        return f"{{{', '.join(_pairs(value))}}}"
    if isinstance(value, str) and "'" not in value and '"' not in value:
        return f'"{repr(value)[1:-1]}"'
    return repr(value)


def _pairs(value: dict[Any, Any]) -> Iterator[str]:
    for key, each in value.items():
        yield f"{_literal(key)}: {_literal(each)}"


def _description(checkpoint: Checkpoint, name: str, dtype: StoredAs) -> str:
    """The docstring: what the program does, what it computes, and where it is from."""
    architecture, fills = checkpoint.architecture, checkpoint.architecture.bidirectional
    does = "fills blanks" if fills else "writes like the text that it was trained on"
    call, options, length = ("fill", "", "") if fills else ("write", " -n 300 -t 0.8", ", 300")
    text, simple = ("The s__ was rising.", "__") if fills else ("The ", "")
    if checkpoint.load_tokenizer().unknown_characters(text.replace("_", "")):
        text = simple
    count = f"{parameter_count(architecture):,} numbers"
    weights = textwrap.fill(f"Its weights are {count}, stored as {dtype}. {_origin(checkpoint)}", _WIDTH)
    imported = f'\n    >>> import {name}\n    >>> {name}.{call}("{text}"{length})\n' if name.isidentifier() else ""
    return f"""{_plain(name)}: a network that {does}, in NumPy and nothing else.

    python {shlex.quote(f"{_plain(name)}.py")} "{text}"{options}
{imported}
At each token, from the bottom up{"" if fills else " (in `step`)"}:

{textwrap.indent(chr(10).join(_structure(architecture)), "    ")}

{weights}
The code is part of charlstm {_plain(__version__)}: MIT License, Copyright (c) 2026 the charlstm authors.
"""


def _structure(architecture: Architecture) -> Iterator[str]:
    """What the network computes, step by step."""
    layers, hidden = architecture.num_layers, architecture.hidden_size
    sides = "".join(f" + {side.summary()}" for side in architecture.enabled.values())
    yield f"embedding, {architecture.embedding_size} numbers{sides}"
    member = f"{architecture.ensemble} times " if architecture.ensemble > 1 else ""
    direction = " forwards and as many backwards" if architecture.bidirectional else ""
    reads = "; each reads the embedding, too" if architecture.skip_connections else ""
    yield f"{member}{layers} layer{'s' * (layers > 1)} of {hidden} units{direction}: {architecture.cell}{reads}"
    if architecture.attention_window:
        yield f"attention to the last {architecture.attention_window} steps"
    if architecture.bidirectional:
        yield "both directions merged"
    yield f"softmax over {architecture.vocab_size} tokens"


def _origin(checkpoint: Checkpoint) -> str:
    """One sentence or two about where the network is from."""
    provenance = checkpoint.provenance
    corpus, bits = provenance.corpus, provenance.bits_per_char
    trained = f", trained on {_plain(corpus.name)} (SHA-256 {_plain(corpus.sha256)[:16]}…)" if corpus.name else ""
    score = "" if bits is None else f" It needs {bits:.3f} bits for a character of that text which it has not read."
    return f'It is charlstm\'s network "{_plain(checkpoint.run.name)}"{trained}.{score}'


def _plain(text: str) -> str:
    """A name as it may stand in a docstring."""
    return "".join(character if character.isprintable() and character not in '"\\' else "_" for character in text)
