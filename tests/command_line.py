"""Run the command line from tests: in this process where that is enough, otherwise as a process of its own."""

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from charlstm.cli import app


@dataclass
class Result:
    code: int
    out: str
    err: str


class Cli:
    """The command line in this process, with its own folder and cache, and its output captured."""

    def __init__(self, folder: Path, monkeypatch, capsys):
        self.folder, self._monkeypatch, self._capsys = folder, monkeypatch, capsys
        monkeypatch.chdir(folder)
        monkeypatch.setenv("CHARLSTM_CACHE", str(folder / "cache"))
        monkeypatch.delenv("CHARLSTM_CHECKPOINTS", raising=False)
        monkeypatch.setenv("COLUMNS", "80")

    def __call__(self, *args: str) -> Result:
        self._monkeypatch.setattr(sys, "argv", ["charlstm", *args])
        self._capsys.readouterr()
        code = app._run()
        out, err = self._capsys.readouterr()
        return Result(code, out, err)


def start(*args: str, folder: Path, **options) -> subprocess.Popen:
    """Start the command line as a process of its own."""
    environment = {**os.environ, "CHARLSTM_CACHE": str(folder / "cache"), "PYTHONUNBUFFERED": "1"}
    environment.pop("CHARLSTM_CHECKPOINTS", None)
    return subprocess.Popen(
        [sys.executable, "-m", "charlstm", *args],
        cwd=folder,
        env=environment,
        stdin=options.pop("stdin", subprocess.DEVNULL),
        stdout=options.pop("stdout", subprocess.PIPE),
        stderr=options.pop("stderr", subprocess.PIPE),
        text=options.pop("text", True),
        **options,
    )
