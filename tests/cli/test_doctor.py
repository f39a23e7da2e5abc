"""``charlstm doctor``: what it says of a machine, and that its test finds what does not work."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

import charlstm
from charlstm.cli import doctor
from charlstm.errors import CharlstmError, CheckpointError
from tests.command_line import Cli


@pytest.fixture
def cli(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Cli:
    monkeypatch.setenv("HOME", str(tmp_path))
    return Cli(tmp_path, monkeypatch, capsys)


def test_it_says_what_a_bug_report_needs_and_tries_everything(cli: Cli) -> None:
    done = cli("doctor", "--json")
    assert done.code == 0
    told = json.loads(done.out)
    assert charlstm.__version__ in told["charlstm"]
    assert {"torch", "numpy", "typer", "optuna"} <= {each.split()[0] for each in told["packages"].split(", ")}
    assert re.search(r"\btorch \d+\.\d+", told["packages"])
    assert "GFLOP/s" in told["processor"]
    assert told["runs"].startswith("~/checkpoints: not there yet, can be written, ")
    assert "CHARLSTM_CACHE=~/cache" in told["environment"]
    assert re.fullmatch(r"passed in \d+\.\d s", told["self-test"])
    assert list(cli.folder.iterdir()) == []


def test_a_terminal_of_forty_columns_folds_between_words(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "self_test", lambda: 1.0)
    monkeypatch.setattr("charlstm.cli.commands.doctor.is_terminal", lambda stream: True)
    monkeypatch.setenv("COLUMNS", "40")
    out = cli("doctor").out
    folded = [line.removeprefix(" " * 13) for line in out.splitlines() if line.startswith(" " * 13)]
    assert len(folded) > 5
    assert all(len(line) < 27 or " " not in line for line in folded)
    assert out.endswith("self-test    passed in 1.0 s\n")


def test_what_does_not_work_is_its_exit_code(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: object) -> None:
        raise CheckpointError("the logits are far apart")

    monkeypatch.setattr(doctor, "_compare", fail)
    done = cli("doctor")
    assert done.code == 3
    assert done.out.endswith("self-test    failed: the logits are far apart\n")
    assert all(line == line.rstrip() for line in done.out.splitlines())


def test_an_engine_that_computes_something_else_is_found(tmp_path: Path) -> None:
    model = doctor._learn(tmp_path)
    doctor._compare(model)
    model.writer._head_bias = model.writer._head_bias + 0.01
    with pytest.raises(CharlstmError, match="apart with NumPy and with torch"):
        doctor._compare(model)


def test_a_folder_that_cannot_be_written_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor.os, "access", lambda *_: False)
    assert "cannot be written" in doctor._folder(tmp_path)


def test_a_file_in_the_way_of_a_folder_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", "utf-8")
    assert ": not there yet, cannot be written, " in doctor._folder(tmp_path / "file" / "cache")
    assert ": cannot be written, " in doctor._folder(tmp_path / "file")
    assert ": not there yet, can be written, " in doctor._folder(tmp_path / "cache")


def test_only_the_home_folder_itself_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "home", lambda: Path("/root"))
    paths = ("/root", "/root/runs", "/rootfs/runs", "/mnt/root/runs")
    assert [doctor._at_home(path) for path in paths] == ["~", "~/runs", "/rootfs/runs", "/mnt/root/runs"]
