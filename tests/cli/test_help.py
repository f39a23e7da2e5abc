"""Help pages: what they list, how wide they are, and that their examples work; and the exit codes of the root."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys

import pytest
import typer

from charlstm.cli.app import _run, app
from charlstm.cli.lazy_group import LINES
from charlstm.cli.spelling import as_option
from charlstm.config import all_settings

ROOT = typer.main.get_command(app)
EVERY = {name: ROOT.get_command(None, name) for name in (*LINES, "generate")}  # type: ignore[attr-defined]
COMMANDS = {name: command for name, command in EVERY.items() if not hasattr(command, "commands")}


def page(name: str) -> str:
    """The help page of a command at 80 columns."""
    with ROOT.make_context("charlstm", ["checkpoints"]) as parent:
        return str(COMMANDS[name].get_help(type(parent)(COMMANDS[name], info_name=name, parent=parent)))


@pytest.fixture(autouse=True)
def _eighty_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")


@pytest.mark.parametrize("name", ["", "checkpoints", "export", "lab"])
def test_without_arguments_the_whole_help_is_shown(name: str) -> None:
    bare, asked = (
        subprocess.run([sys.executable, "-m", "charlstm", *name.split(), *more], capture_output=True, text=True).stdout
        for more in ([], ["--help"])
    )
    assert bare.strip() == asked.strip()


@pytest.mark.parametrize(("key", "code"), [(KeyboardInterrupt, 130), (EOFError, 1)])
def test_a_question_without_an_answer(
    key: type[BaseException], code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def asked(**_: object) -> None:
        try:
            raise key
        except key:
            raise typer.Abort from None

    monkeypatch.setattr("charlstm.cli.app.app", asked)
    assert _run() == code
    assert capsys.readouterr().err == "\ncharlstm: nothing was done\n"


@pytest.mark.parametrize(
    ("code", "expected", "message"),
    [(None, 0, ""), (0, 0, ""), (3, 3, ""), (143, 143, ""), ("broken", 1, "charlstm: broken\n")],
)
def test_an_exit_code_passes_through(
    code: object, expected: int, message: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def leave(**_: object) -> None:
        sys.exit(code)  # type: ignore[arg-type]

    monkeypatch.setattr("charlstm.cli.app.app", leave)
    assert _run() == expected
    assert capsys.readouterr().err == message


def test_a_reader_that_has_seen_enough_is_no_error() -> None:
    script = f"{sys.executable} -m charlstm corpora list | head -c 1; echo $PIPESTATUS"
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout.splitlines()[-1].endswith("0")
    assert done.stderr == ""


@pytest.mark.parametrize("name", COMMANDS)
def test_every_example_can_be_typed(name: str) -> None:
    examples = re.findall(rf"charlstm ({name} ?.*?)(?=   |  [a-zA-Z]|$)", COMMANDS[name].epilog or "", re.M)
    assert len(examples) >= (0 if name == "generate" else 4)
    for example in examples:
        words = shlex.split(re.split(r" [|<>] ", example)[0])
        COMMANDS[name].make_context(name, words[1:])


@pytest.mark.parametrize("name", LINES)
def test_the_list_and_the_commands_own_help_begin_alike(name: str) -> None:
    assert EVERY[name].get_short_help_str(200) == LINES[name]
    assert len(LINES[name]) <= 80 - 15, "one line beside the names"


def test_only_the_command_in_use_is_imported() -> None:
    script = (
        "import sys\nfrom charlstm.cli.app import main\nsys.argv = ['charlstm', '--help']\n"
        "try: main()\nexcept SystemExit: pass\n"
        "print(*sys.modules, file=sys.stderr)\n"
    )
    told = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, timeout=60, text=True)
    assert not {"charlstm.cli.commands.train", "charlstm.cli.commands.sample", "charlstm.cli.commands.lab"} & set(
        told.stderr.split()
    )


@pytest.mark.parametrize("name", COMMANDS)
def test_usage_has_no_doubled_dots_or_brackets(name: str) -> None:
    usage = page(name).splitlines()[0]
    assert not re.search(r"\.\.\.[\]}]", usage), usage
    assert "[[" not in usage


def test_the_option_of_every_setting_exists_so_that_messages_can_name_it() -> None:
    shown = [option for parameter in COMMANDS["train"].params if not parameter.hidden for option in parameter.opts]
    for setting in all_settings():
        assert shown.count("sources" if setting == "sources" else as_option(setting)) == 1


@pytest.mark.parametrize("name", COMMANDS)
def test_one_letter_means_one_thing_in_all_commands(name: str) -> None:
    meanings = {"n": {"samples", "count"}, "t": {"temperature"}, "q": {"quiet"}, "h": {"help"}}
    for parameter in COMMANDS[name].params:
        letters = [option[1:] for option in parameter.opts if re.fullmatch(r"-\w", option)]
        if not getattr(parameter, "hidden", False):
            assert all(parameter.name in meanings.get(letter, {parameter.name}) for letter in letters), parameter.opts


def test_the_options_of_train_stand_under_headings_the_basic_ones_first() -> None:
    shown = page("train")
    headings = re.findall(r"^([A-Z].*):$", shown, re.M)
    assert headings[:2] == ["Arguments", "What to train, and for how long"]
    assert len(headings) >= 6
    parts = re.split(r"^[A-Z].*:$", shown, flags=re.M)[1:]
    under = {
        option: heading
        for heading, part in zip(headings, parts, strict=True)
        for option in re.findall(r"^  (?:-\w, )?(--(?:\[no-\])?[\w-]+)", part.replace("--[no-]", "--"), re.M)
    }
    assert under["--max-time"] == "What to train, and for how long"
    assert under["--hidden-size"] == "The network"
    assert [option for option, heading in under.items() if heading == "Others"] == ["--help"]
    told = {option for parameter in COMMANDS["train"].params if not getattr(parameter, "hidden", False)
            for option in parameter.opts if option.startswith("--")}  # fmt: skip
    assert told <= under.keys()
    columns = {line.index(text) for line in shown.splitlines() for text in re.findall(r"^  -.*?  +(\S.*)", line)}
    assert len(columns) == 1, "one column of help texts for all sections"
    assert all(len(line) <= 80 for line in shown.splitlines())


@pytest.mark.parametrize("columns", [40, 80, 120])
def test_the_page_of_train_is_as_wide_as_the_terminal(columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    lines = page("train").partition("Examples:")[0].splitlines()
    assert max(map(len, lines)) <= columns
    options = [line for line in lines if line.startswith("  -")]
    if columns == 40:
        assert all("  " not in line.strip() for line in options), "help stands below its option"
    beside = [line for line in options if re.search(r"\S  +\S", line)]
    assert columns == 40 or beside == options, "help stands beside its option"
