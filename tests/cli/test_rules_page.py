"""Every command of docs/rules.md, and its first program, write what the page says."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest

from tests.command_line import Cli

PAGE = (Path(__file__).parents[2] / "docs" / "rules.md").read_text("utf-8")
COMMANDS = re.findall(r"^\$ charlstm (.+)\n((?:(?!\$ |```).*\n)+)", PAGE, re.MULTILINE)


@pytest.mark.parametrize(("command", "shown"), COMMANDS, ids=[command for command, _ in COMMANDS])
def test_a_command_writes_what_is_shown(
    command: str, shown: str, tmp_path: Path, monkeypatch: Any, capsys: Any
) -> None:
    ran = Cli(tmp_path, monkeypatch, capsys)(*shlex.split(command))
    if shown.startswith("charlstm: "):
        assert (ran.code, ran.out, ran.err) == (2, "", shown)
    else:
        assert (ran.code, ran.out.rstrip("\n")) == (0, shown.rstrip("\n"))


def test_the_first_program_writes_the_rhymes_of_the_page(capsys: Any) -> None:
    program = re.findall("```python\n(.+?)```", PAGE, re.DOTALL)[0]
    exec(program, {})
    rhymes, cold = capsys.readouterr().out.split("indoor.\n", 1)
    assert f"{rhymes}indoor.\n" in PAGE
    assert set(re.findall("[a-z]+", cold.lower())) <= {"calm", "and", "cold"}


def test_all_commands_of_the_page_are_tried() -> None:
    assert len(COMMANDS) == PAGE.count("\n$ charlstm ") >= 9
