"""Programs made of modules: what is known beforehand is decided, and what is then not called is left out.

The modules are real ones, which are linted, type-checked and tested as they are. Of them a program gets

1. everything, with each ``if`` whose test names only known settings replaced by the branch that is taken,
2. of that what its entry functions use, and what that uses, in the order of the modules,
3. before it the imports that this needs.

Source is cut out line by line, so comments stay where they are.
"""

from __future__ import annotations

import ast
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

_INDENT = 4
_Place = tuple[list[ast.stmt], int]
"""A block of statements, and the index of one of them."""


@dataclass(frozen=True)
class Definition:
    """A function or a constant at the top level of a module."""

    name: str
    source: str
    section: str
    """The docstring of its module."""

    @property
    def is_function(self) -> bool:
        """Whether it is a function."""
        return self.source.startswith(("def ", "@"))

    @property
    def names(self) -> set[str]:
        """Every name in it."""
        return {node.id for node in ast.walk(ast.parse(self.source)) if isinstance(node, ast.Name)}


def specialised(modules: Sequence[str], settings: Mapping[str, Any], entries: Sequence[str]) -> list[Definition]:
    """Decide what is known, and keep what is used.

    Args:
        modules: the source of each module; no two define one name.
        settings: the values of known names.
        entries: the functions that the program is for.

    Returns:
        The definitions, in order.
    """
    known = {each.name: each for module in modules for each in _definitions(decided(module, settings))}
    wanted, used = list(entries), set()
    while wanted:
        name = wanted.pop()
        if name in known and name not in used:
            used.add(name)
            wanted += known[name].names
    return [definition for name, definition in known.items() if name in used]


def decided(source: str, settings: Mapping[str, Any]) -> str:
    """Replace every ``if`` whose test names only settings by the branch that is taken; it has no ``elif``.

    Args:
        source: of a module.
        settings: the values of known names.

    Returns:
        The source without those. What follows a branch that is taken and returns is left out, too.
    """
    while place := next(_decidable(ast.parse(source), settings), None):
        block, index = place
        node = block[index]
        assert isinstance(node, ast.If)
        taken = bool(eval(compile(ast.Expression(node.test), "test", "eval"), dict(settings)))
        branch = node.body if taken else node.orelse
        returns = bool(branch) and isinstance(branch[-1], ast.Return)
        end = block[-1].end_lineno if returns else node.end_lineno
        lines = source.splitlines(keepends=True)
        kept = _dedented(lines, node, branch) if branch else []
        source = "".join((*lines[: node.lineno - 1], *kept, *lines[end:]))
    return source


def imports(modules: Sequence[str], names: Iterable[str]) -> str:
    """The imports that a program needs, sorted; none of one module from another.

    Args:
        modules: the source of each module.
        names: every name in the program.

    Returns:
        The lines: those of the standard library, and then the others.
    """
    plain: set[str] = set()
    of_module: dict[str, set[str]] = defaultdict(set)
    wanted = set(names)
    for node in (node for module in modules for node in ast.parse(module).body):
        if isinstance(node, ast.Import):
            used = [alias for alias in node.names if (alias.asname or alias.name) in wanted]
            plain |= {ast.unparse(ast.Import([alias])) for alias in used}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.module.startswith(__package__):
            of_module[node.module] |= {alias.name for alias in node.names if alias.name in wanted}
    lines = sorted(plain)
    lines += [
        f"from {name} import {', '.join(sorted(of_module[name]))}" for name in sorted(of_module) if of_module[name]
    ]
    groups = [[line for line in lines if _is_standard(line) == standard] for standard in (True, False)]
    return "\n\n".join("\n".join(group) for group in groups if group)


def _is_standard(line: str) -> bool:
    return line.split()[1].split(".")[0] in sys.stdlib_module_names


def _definitions(source: str) -> Iterator[Definition]:
    tree, lines = ast.parse(source), source.splitlines(keepends=True)
    section = ast.get_docstring(tree) or ""
    for node in tree.body:
        if isinstance(node, ast.FunctionDef):
            name, begin = node.name, min((each.lineno for each in node.decorator_list), default=node.lineno)
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            target = node.targets[0] if isinstance(node, ast.Assign) else node.target
            name, begin = ast.unparse(target), node.lineno
        else:
            continue
        yield Definition(name, "".join(lines[begin - 1 : node.end_lineno]), section)


def _decidable(tree: ast.Module, settings: Mapping[str, Any]) -> Iterator[_Place]:
    """Each ``if`` that can be decided, the outer ones first."""
    for node in ast.walk(tree):
        for block in (getattr(node, "body", []), getattr(node, "orelse", [])):
            for index, statement in enumerate(block if isinstance(block, list) else []):
                if isinstance(statement, ast.If):
                    names = {inner.id for inner in ast.walk(statement.test) if isinstance(inner, ast.Name)}
                    if names and names <= settings.keys():
                        yield block, index


def _dedented(lines: list[str], node: ast.If, branch: list[ast.stmt]) -> Iterator[str]:
    """The lines of a branch, with the comments before its first statement, where the ``if`` was."""
    before = node.test if branch is node.body else node.body[-1]
    begin = before.end_lineno or 0
    while branch is node.orelse and lines[begin].strip() != "else:":
        begin += 1
    begin += branch is node.orelse
    for line in lines[begin : branch[-1].end_lineno]:
        yield line[_INDENT:] if line.strip() else line
