"""Every public function and method of two or more arguments documents each of them in a Google ``Args:`` section."""

import ast
import re
from pathlib import Path

PACKAGE = Path(__file__).parent.parent / "charlstm"

TYPER_COMMANDS = PACKAGE / "cli" / "commands"
"""The docstring of a command is its help page, and the help of each argument stands in the argument's annotation."""


def public_functions(body, class_node=None):
    """The public functions and methods below a list of statements, and the class of each method."""
    for node in body:
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            yield from public_functions(node.body, node)
        elif isinstance(node, ast.FunctionDef) and (node.name in ("__init__", "__call__") or node.name[0] != "_"):
            yield node, class_node


def argument_names(function):
    every = [*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs]
    return [argument.arg for argument in every if argument.arg not in ("self", "cls")]


def documented_arguments(docstring):
    """The names before the colons of an ``Args:`` section; ``a, b: …`` documents both."""
    section = re.search(r"^Args:\n((?:[ ]{4}.*\n?|\n)+)", docstring, re.MULTILINE)
    if not section:
        return set()
    entries = re.findall(r"^ {4}(\*{0,2}\w+(?:, \*{0,2}\w+)*)(?: \([^)]*\))?:", section[1], re.MULTILINE)
    return {name.strip("* ") for entry in entries for name in entry.split(",")}


def undocumented():
    trees = {path: ast.parse(path.read_text("utf-8")) for path in sorted(PACKAGE.rglob("*.py"))}
    docstrings = {}
    for tree in trees.values():
        for function, class_node in public_functions(tree.body):
            owner = f"{class_node.name}." if class_node else ""
            docstrings[owner + function.name] = ast.get_docstring(function) or ""
    for path, tree in trees.items():
        for function, class_node in public_functions(tree.body):
            names = argument_names(function)
            if len(names) < 2 or path.parent == TYPER_COMMANDS:
                continue
            documented = class_node if function.name == "__init__" else function
            docstring = ast.get_docstring(documented) or ""
            reference = re.match(r"See `([\w.]+)`", docstring)  # of an override or a delegate: documented there
            if reference:
                name = reference[1]
                targets = (name, f"{name}.{function.name}", f"{name}.__call__")
                docstring = next((docstrings[target] for target in targets if target in docstrings), "")
            missing = [name for name in names if name not in documented_arguments(docstring)]
            if missing:
                owner = f"{class_node.name}." if class_node else ""
                place = path.relative_to(PACKAGE.parent)
                yield f"{place}:{function.lineno} {owner}{function.name}: {', '.join(missing)}"


def test_every_argument_of_a_public_function_is_documented():
    missing = list(undocumented())
    assert not missing, f"{len(missing)} functions lack arguments in their docstring:\n" + "\n".join(missing)
