"""Several ES modules as one script.

A page that is opened from a disk may not load modules, so those of this folder are joined: each becomes a function that
returns what it exports, called once, after all that it imports. Nothing else changes, so the script reads like the
modules. They keep to two forms: ``import { a, b } from "./other.js";`` and ``export`` before a declaration.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable

_IMPORT = re.compile(r'^import\s*\{([^}]*)\}\s*from\s*"(\.[^"]+)";\n?', re.MULTILINE)
_EXPORT = re.compile(r"^export\s+((?:async\s+)?(?:function\*?|class|const|let)\s+(\w+))", re.MULTILINE)
_LEFT = re.compile(r"^(?:import|export)\b.*", re.MULTILINE)


def bundle(entry: str, read: Callable[[str], str]) -> str:
    """Join a module and all that it imports.

    Args:
        entry: its path, with slashes.
        read: returns the text of a module by its path.

    Returns:
        The script.

    Raises:
        ValueError: modules import each other in a circle, or one has an import or an export of another form.
    """
    parts: dict[str, str] = {}
    _add(entry, read, parts, ())
    return "".join(['"use strict";\n', *parts.values()])


def _add(path: str, read: Callable[[str], str], parts: dict[str, str], above: tuple[str, ...]) -> None:
    """Add a module behind those that it imports.

    Args:
        path: its path.
        read: as in `bundle`.
        parts: the text of each module so far, by its path; extended.
        above: the modules that are being added.
    """
    if path in parts:
        return
    if path in above:
        raise ValueError(f"modules import each other: {' → '.join((*above, path))}")
    text = read(path)
    imported = []
    for names, source in _IMPORT.findall(text):
        other = posixpath.normpath(posixpath.join(posixpath.dirname(path), source))
        _add(other, read, parts, (*above, path))
        imported.append(f"  const {{ {' '.join(names.replace(' as ', ': ').split())} }} = {_name(other)};\n")
    body = _EXPORT.sub(r"\1", _IMPORT.sub("", text))
    odd = _LEFT.search(body)
    if odd:
        raise ValueError(f"{path}: {odd[0]!r} is not one of the forms that can be joined")
    exported = ", ".join(name for _, name in _EXPORT.findall(text))
    parts[path] = (
        f"\n// {path}\nconst {_name(path)} = (() => {{\n{''.join(imported)}{body}\n  return {{ {exported} }};\n}})();\n"
    )


def _name(path: str) -> str:
    """The name of a module's exports."""
    return "module_" + re.sub(r"\W", "_", path.removesuffix(".js"))
