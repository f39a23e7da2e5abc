"""What a pipe or file gets: no table ends its lines with blanks, and no text loses those that it has."""

from __future__ import annotations

import sys

import pytest

from charlstm.cli.views.terminal import stdout_console
from tests.command_line import Cli
from tests.fake_checkpoints import make_checkpoint
from tests.trained_checkpoints import prose, trained_on

SHORT = ("--max-time", "1s", "--seeds", "1")
COMMANDS = {
    "plan": ("train", "book.txt", "--dry-run", "--device", "cpu", "--init-from", "none"),
    "runs": ("checkpoints", "list"),
    "a run": ("checkpoints", "show", "my-1"),
    "two runs": ("checkpoints", "compare", "my-1", "other-1"),
    "texts": ("corpora", "list"),
    "a text": ("corpora", "show", "english"),
    "a text in numbers": ("corpora", "stats", "book.txt"),
    "a text checked": ("corpora", "check", "book.txt"),
    "a score": ("eval", "my-1", "short.txt"),
    "surprise": ("eval", "my-1", "short.txt", "--surprise"),
    "gates": ("inspect", "gates", "my-1", "some text", "--unknown", "skip"),
    "embeddings": ("inspect", "embeddings", "my-1"),
    "copies": ("originality", "my-1", "--length", "100"),
    "a sweep": ("sample", "my-1", "--sweep", "temperature=0.2,1", "--length", "30"),
    "an experiment": ("lab", "count", "--cells", "rnn,lstm", "--parameters", "200", *SHORT),
}


@pytest.fixture
def cli(tmp_path, monkeypatch, capsys):
    trained_on(tmp_path, prose(4000).encode())
    make_checkpoint(tmp_path / "checkpoints" / "other-1" / "model.safetensors", hidden=8)
    tmp_path.joinpath("short.txt").write_text("A text that ends in blanks   \n" * 3)
    return Cli(tmp_path, monkeypatch, capsys)


@pytest.mark.parametrize("name", COMMANDS)
def test_no_line_ends_with_blanks(cli, name):
    result = cli(*COMMANDS[name])
    assert result.code == 0, result.err
    lines = result.out.splitlines()
    assert len(lines) > 1
    assert [line for line in lines if line != line.rstrip()] == []


def test_a_filled_text_keeps_its_blanks(cli):
    assert cli("fill", "my-1", "_a  \nb ").out[1:] == "a  \nb \n"
    assert cli("fill", "my-1", "_a  \nb \n").out[1:] == "a  \nb \n"
    assert [line[-3:] for line in cli("fill", "my-1", "_a  ", "-n", "2").out.splitlines()] == ["a  "] * 2


def test_a_terminal_gets_the_whole_width(monkeypatch, capsys):
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    stdout_console().out("a  \nb", highlight=False)
    assert capsys.readouterr().out == "a  \nb\n"
