"""Options for damaged texts and trainings on a terminal of 40 columns, without colours, dumb, and in a closed pipe."""

from __future__ import annotations

import re
import sys

import pytest

from charlstm.cli import app
from tests.command_line import start
from tests.fake_checkpoints import make_checkpoint
from tests.torture.printers import terminal

SMALL = ("--hidden-size", "8", "--num-layers", "1", "--batch-size", "4", "--seq-len", "16", "--max-steps", "3")
COMMANDS = {
    "check": ("corpora", "check", "auto.txt", "--encoding", "auto"),
    "numbers": ("corpora", "stats", "bad.txt", "--bad-bytes", "replace"),
    "score": ("eval", "my-1", "bad.txt", "--bad-bytes", "replace", "--unknown", "skip"),
    "training": ("train", "auto.txt", "--encoding", "auto", "--on-divergence", "rollback", *SMALL),
    "plan": ("train", "bad.txt", "--bad-bytes", "replace", "--on-divergence", "rollback", "--dry-run"),
}


@pytest.mark.slow
@pytest.mark.parametrize("look", [{}, {"NO_COLOR": "1"}, {"TERM": "dumb"}], ids=["40 columns", "NO_COLOR", "dumb"])
@pytest.mark.parametrize("name", COMMANDS)
def test_they_fit_a_narrow_terminal_and_keep_to_its_colours(tmp_path, monkeypatch, look, name):
    words = COMMANDS[name]
    make_checkpoint(tmp_path / "checkpoints" / "my-1" / "model.safetensors")
    (tmp_path / "auto.txt").write_bytes("A caf\u00e9 with \u201cquotes\u201d.\n".encode("cp1252") * 300)
    (tmp_path / "bad.txt").write_bytes(b"A text with one bad byte: \xff.\n" * 300)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CHARLSTM_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("CHARLSTM_CHECKPOINTS", raising=False)
    if words[0] == "train":
        words = (*words, "--device", "cpu", "--init-from", "none")
    with terminal(monkeypatch) as shown:
        for variable, value in {"COLUMNS": "40", **look}.items():
            monkeypatch.setenv(variable, value)
        monkeypatch.setattr(sys, "argv", ["charlstm", *words])
        assert app._run() == 0, shown.getvalue()
    text = shown.getvalue()
    if look:
        assert not re.search(r"\x1b\[[0-9;]*[34][0-8]", text), "no colours"
    if "TERM" in look:
        assert "\x1b" not in text
    lines = re.split("[\r\n]", re.sub(r"\x1b\[[0-9;]*[A-Za-z]", "", text))
    assert [line for line in lines if len(line) > 40 and len(line.split()) > 1] == []


@pytest.mark.parametrize("name", ["check", "numbers"])
def test_a_pipe_that_is_closed_early_is_no_error(tmp_path, name):
    (tmp_path / "auto.txt").write_bytes("A caf\u00e9 with \u201cquotes\u201d.\n".encode("cp1252") * 300)
    (tmp_path / "bad.txt").write_bytes(b"A text with one bad byte: \xff.\n" * 300)
    with start(*COMMANDS[name], folder=tmp_path) as process:
        process.stdout.close()
        said = process.stderr.read()
    assert (process.returncode, "Traceback" in said) == (0, False), said
