"""Every public function says what its arguments are (of two or more), what it returns, and what it raises itself.

Arguments stand in a Google ``Args:`` section. What is returned stands under ``Returns:`` or ``Yields:``, unless the
first sentence says it: "The mean loss of a text." or "Return the mean loss of a text."
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import charlstm.errors

PACKAGE = Path(__file__).parent.parent / "charlstm"

TYPER_COMMANDS = PACKAGE / "cli" / "commands"
"""The docstring of a command is its help page, and the help of each argument stands in the argument's annotation."""

SAYS_WHAT = {*("return", "yield"), *("the", "a", "an", "whether", "how", "bits", "seconds", "time", "texts")}
"""First words of a sentence that names what is returned."""

RETURNS_NOTHING = {None, "None", "NoReturn", "Iterator[None]"}


class Function(NamedTuple):
    place: str
    node: ast.FunctionDef
    docstring: str
    """That of its class for ``__init__``, and for "See `Other`" that of the other one."""

    @property
    def arguments(self) -> list[str]:
        parameters = self.node.args
        every = [*parameters.posonlyargs, *parameters.args, *parameters.kwonlyargs]
        return [argument.arg for argument in every if argument.arg not in ("self", "cls")]


def definitions(
    body: list[ast.stmt], class_node: ast.ClassDef | None = None
) -> Iterator[tuple[ast.FunctionDef, ast.ClassDef | None]]:
    """The public functions and methods below a list of statements, and the class of each method."""
    for node in body:
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            yield from definitions(node.body, node)
        elif isinstance(node, ast.FunctionDef) and (node.name in ("__init__", "__call__") or node.name[0] != "_"):
            yield node, class_node


def public_functions() -> Iterator[Function]:
    files = [path for path in sorted(PACKAGE.rglob("*.py")) if path.parent != TYPER_COMMANDS]
    found = [(path, *pair) for path in files for pair in definitions(ast.parse(path.read_text("utf-8")).body)]
    names = [f"{owner.name}.{node.name}" if owner else node.name for _, node, owner in found]
    docstrings = {name: ast.get_docstring(node) or "" for name, (_, node, _) in zip(names, found, strict=True)}
    for name, (path, node, owner) in zip(names, found, strict=True):
        docstring = ast.get_docstring(owner if owner is not None and node.name == "__init__" else node) or ""
        reference = re.match(r"See `([\w.]+)`", docstring)
        if reference:
            targets = (reference[1], f"{reference[1]}.{node.name}", f"{reference[1]}.__call__")
            docstring = next((docstrings[target] for target in targets if target in docstrings), "")
        yield Function(f"{path.relative_to(PACKAGE.parent)}:{node.lineno} {name}", node, docstring)


FUNCTIONS = list(public_functions())


def section(docstring: str, name: str) -> str:
    """The indented lines under ``name:``."""
    found = re.search(rf"^{name}:\n((?:[ ]{{4}}.*\n?|\n)+)", docstring, re.MULTILINE)
    return found[1] if found else ""


def documented_arguments(docstring: str) -> set[str]:
    """The names before the colons of an ``Args:`` section; ``a, b: …`` documents both."""
    names = r"^ {4}(\*{0,2}\w+(?:, \*{0,2}\w+)*)(?: \([^)]*\))?:"
    return {
        name.strip("* ")
        for entry in re.findall(names, section(docstring, "Args"), re.MULTILINE)
        for name in entry.split(",")
    }


def own_statements(node: ast.AST) -> Iterator[ast.AST]:
    """What is below a function, without the functions and classes defined in it."""
    for child in ast.iter_child_nodes(node):
        if not isinstance(child, ast.FunctionDef | ast.ClassDef | ast.Lambda):
            yield child
            yield from own_statements(child)


def raised(function: Function) -> set[str]:
    """The classes of the exceptions in its own ``raise`` statements."""
    statements = (node.exc for node in own_statements(function.node) if isinstance(node, ast.Raise))
    named = (fault.func if isinstance(fault, ast.Call) else fault for fault in statements)
    names = {ast.unparse(fault).split(".")[-1] for fault in named if fault is not None}
    return {name for name in names if name[0].isupper() and name != "NotImplementedError"}


def with_bases(name: str) -> set[str]:
    """The names of one of our exceptions and of the classes it is a kind of."""
    kind = getattr(charlstm.errors, name, None)
    return {base.__name__ for base in kind.__mro__} if kind else {name, "OSError"}


def test_every_argument_is_documented() -> None:
    missing = [
        f"{function.place}: {name}"
        for function in FUNCTIONS
        for name in function.arguments
        if len(function.arguments) > 1 and name not in documented_arguments(function.docstring)
    ]
    assert not missing, "\n".join(missing)


def test_every_function_of_several_arguments_says_what_it_returns() -> None:
    missing = [
        function.place
        for function in FUNCTIONS
        if len(function.arguments) > 1
        and (function.node.returns and ast.unparse(function.node.returns)) not in RETURNS_NOTHING
        and not section(function.docstring, "Returns")
        and not section(function.docstring, "Yields")
        and re.split(r"\W", function.docstring)[0].lower() not in SAYS_WHAT
    ]
    assert not missing, "\n".join(missing)


def test_every_function_says_what_it_raises() -> None:
    missing = [
        f"{function.place}: {name}"
        for function in FUNCTIONS
        for name in sorted(raised(function))
        if not any(re.search(rf"\b{base}\b", section(function.docstring, "Raises")) for base in with_bases(name))
    ]
    assert not missing, "\n".join(missing)
