"""Trainings of a second: a tiny network on a short text, run by the command line in this process."""

from __future__ import annotations

import sys
from pathlib import Path

from charlstm.cli import app
from tests.trained_checkpoints import prose

SHAPE = (
    "--hidden-size",
    "8",
    "--num-layers",
    "1",
    "--embedding-size",
    "4",
    "--ngram-order",
    "0",
    "--match-orders",
    "2",
)
BATCH = ("--batch-size", "4", "--seq-len", "16", "--streams", "8", "--ensemble", "1")
PLAIN = ("--device", "cpu", "--precision", "fp32", "--threads", "1", "--preview", "0", "--init-from", "none", "-q")


def train_command(name: str, steps: int, *more: str) -> list[str]:
    """The words of a training of so many steps, evaluated after each fifth."""
    budget = ("--max-steps", str(steps), "--eval-every", "5")
    return ["train", "text.txt", "--name", name, *budget, *SHAPE, *BATCH, *PLAIN, *more]


def prepare(folder: Path, characters: int = 6000) -> Path:
    """A folder with a text."""
    folder.mkdir(exist_ok=True)
    (folder / "text.txt").write_text(prose(characters), "utf-8")
    return folder


def run(folder: Path, words: list[str], monkeypatch, capsys) -> tuple[int, str]:
    """Run a command in a folder: its exit code, and what it said on stderr."""
    monkeypatch.chdir(folder)
    monkeypatch.setenv("CHARLSTM_CACHE", str(folder / "cache"))
    monkeypatch.setenv("CHARLSTM_CHECKPOINTS", str(folder / "checkpoints"))
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr(sys, "argv", ["charlstm", *words])
    capsys.readouterr()
    code = app._run()
    return code, capsys.readouterr().err
