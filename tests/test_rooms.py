"""The house stands as drawn: imports point to the left, only the command line prints, no torch where none is needed."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "charlstm"

ROOMS = (
    "errors schemas durations events files paths cpu",
    "tokenizers nn report page",
    "config settings_file",
    "checkpoint corpora",
    "engine evaluation",
    "sampling filling inspect",
    "training",
    "tuning lab",
    "api",
    "export",
    "web",
    "cli",
)
"""A module imports only from rooms to the left of its own, and from its own. Rows are for the eye."""

ORDER = {room: place for place, room in enumerate(" ".join(ROOMS).split())}
README_LINE = " → ".join(f"`{row}`" for row in ROOMS)

TORCH_FREE = {
    *("errors", "schemas", "durations", "events", "files", "paths", "cpu", "tokenizers", "report", "page", "config"),
    *("settings_file", "checkpoint", "corpora", "sampling", "filling"),
}
"""Rooms whose modules import no torch, not even inside a function."""

WORKER = PACKAGE / "tuning" / "worker.py"
"""The one module below the command line that is also a process: its last statement gives it the standard streams."""

PASTED = PACKAGE / "export" / "numpy_parts" / "command.py"
"""The one module that never runs here: it is pasted into programs, and prints what they print."""

SURROUNDINGS = {"sys.argv", "sys.exit", "sys.stdin", "sys.stdout", "os.environ", "os.getenv"}


def modules():
    return [path for path in PACKAGE.rglob("*.py") if path.name != "__main__.py" and path.parent.name != "data"]


def room_of(path):
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return parts[0]


def imports_of(path, *, at_import_only=False):
    """Every module named by an import statement of a file."""
    tree = ast.parse(path.read_text("utf-8"))
    typing_only = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        for inner in ast.walk(node)
    }
    nodes = tree.body if at_import_only else ast.walk(tree)
    for node in nodes:
        if id(node) in typing_only and at_import_only:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                submodule = f"{node.module}.{alias.name}"
                place = PACKAGE.parent.joinpath(*submodule.split("."))
                yield submodule if place.is_dir() or place.with_suffix(".py").exists() else node.module


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_point_to_the_left_only(path):
    room = room_of(path)
    if room == "__init__":
        return
    assert room in ORDER, f"{room} is no room of the house"
    for name in imports_of(path):
        parts = name.split(".")
        assert parts[0] != "click", "Typer has a click of its own"
        if parts[0] == "charlstm" and len(parts) > 1:
            assert ORDER[parts[1]] <= ORDER[room], f"{room} may not import {name}"


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_below_the_command_line_nothing_prints_exits_or_reads_the_surroundings(path):
    if room_of(path) == "cli" or path == PASTED:
        return
    names = {name.split(".")[0] for name in imports_of(path)}
    assert not names & {"typer", "rich", "tqdm"}
    if room_of(path) in TORCH_FREE:
        assert "torch" not in names
    tree = ast.parse(path.read_text("utf-8"))
    if path == WORKER:
        *tree.body, start = tree.body
        assert isinstance(start, ast.If), "the last statement starts the process"
        assert ast.unparse(start.test) == "__name__ == '__main__'"
        assert len(start.body) == 1
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            assert node.func.id not in {"print", "exit", "quit", "input"}
        if isinstance(node, ast.Attribute):
            assert ast.unparse(node) not in SURROUNDINGS


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_below_the_command_line_no_message_has_a_flag(path):
    if room_of(path) == "cli" or path == PASTED:
        return
    tree = ast.parse(path.read_text("utf-8"))
    docstrings = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings:
            flags = re.findall(r"(?<![\w-])--[a-z]\S*", node.value.replace("pip install --upgrade", ""))
            assert not flags, f"line {node.lineno}: a message names the setting, and the command line its option"


def test_no_cycle_among_modules():
    def module_name(path):
        parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
        return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)

    names = {module_name(path): path for path in modules()}
    graph = {name: {n for n in imports_of(path, at_import_only=True) if n in names} for name, path in names.items()}
    done, open_now = set(), []

    def visit(name):
        assert name not in open_now, " → ".join([*open_now[open_now.index(name) :], name])
        if name in done:
            return
        open_now.append(name)
        for other in graph[name] - {name}:
            visit(other)
        done.add(open_now.pop())

    for name in graph:
        visit(name)


@pytest.mark.parametrize("command", [["--help"], ["train", "--help"], ["--version"]])
def test_help_loads_neither_torch_nor_numpy(command):
    script = (
        "import sys\n"
        "from charlstm.cli.app import main\n"
        f"sys.argv = ['charlstm', *{command!r}]\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "heavy = {'torch', 'numpy', 'sentencepiece', 'tqdm'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, timeout=60)


def test_sampling_on_a_cpu_loads_no_torch():
    script = (
        "import sys\n"
        "from charlstm.cli.app import main\n"
        "sys.argv = ['charlstm', 'sample', 'starter', '--length', '5', '--seed', '1']\n"
        "try: main()\n"
        "except SystemExit as end: assert not end.code\n"
        "heavy = {'torch', 'sentencepiece'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, timeout=60)


@pytest.mark.parametrize("page", ["README.md", "docs/architecture.md"])
def test_the_pages_draw_the_same_rooms(page):
    assert README_LINE in (PACKAGE.parent / page).read_text("utf-8")
