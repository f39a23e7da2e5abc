"""Wherever memory runs out: exit code 5 and one line that says what to do, or all goes well; what was saved is whole.

A limit of addresses stands for a machine with little memory. Its heights are those at which some command begins to
fail: from what Python itself needs to more than any needs.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch

from charlstm.checkpoint import format as checkpoint_format
from charlstm.checkpoint.run import MODEL, RESUME
from charlstm.cli.room import check_room
from charlstm.training import loop
from charlstm.training.step import TrainStep
from tests.command_line import start
from tests.torture.small_runs import PLAIN, prepare, run, train_command

linux = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the limit is another, or none")

LOWEST, HIGHEST = 50e6, 4e9
"""Bytes: Python alone takes 22 million, torch 600 million."""

COMMANDS = {
    "a small network": train_command("new", 10, "--force"),
    "a huge network": [
        *("train", "text.txt", "--name", "new", "--force", "--max-steps", "2", "--batch-size", "16", "--seq-len", "16"),
        *("--hidden-size", "1500", "--num-layers", "2", *PLAIN),
    ],
    "a run that goes on": ["train", "--resume", "old", "--max-steps", "15", "-q"],
    "a sample": ["sample", "old", "--length", "200"],
    "a score": ["eval", "old", "text.txt", "--json"],
    "blanks": ["fill", "old", "ab___ cd"],
    "units": ["inspect", "units", "old"],
    "surprise": ["inspect", "surprise", "old", "abc"],
    "ONNX": ["export", "onnx", "old", "--force"],
    "a program": ["export", "numpy", "old", "--force"],
    "a check": ["corpora", "check", "text.txt"],
}


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run."""
    folder = prepare(tmp_path_factory.mktemp("memory"))
    process = start(*train_command("old", 10), folder=folder)
    _, said = process.communicate(timeout=120)
    assert process.returncode == 0, said
    return folder


def run_within(size: float, words: list[str], folder: Path) -> tuple[int, str]:
    """Run a command in so many bytes of addresses: its exit code, and what it said on stderr."""
    import resource

    limit = int(size), int(size)
    process = start(*words, folder=folder, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, limit))
    _, said = process.communicate(timeout=120)
    return process.returncode, said


@linux
@pytest.mark.slow
@pytest.mark.timeout(7200)
@pytest.mark.rounds(5, full=120)
@pytest.mark.parametrize("name", COMMANDS)
def test_at_every_height_one_line_or_success(begun: Path, name: str, rounds: int) -> None:
    codes = []
    for number in range(rounds):
        size = LOWEST * (HIGHEST / LOWEST) ** (number / (rounds - 1))
        code, said = run_within(size, COMMANDS[name], begun)
        where = f"{size / 1e6:.0f} MB: exit {code}: {said}"
        assert code in (0, 5), where
        assert "Traceback" not in said, where
        if code == 5:
            (line,) = (line for line in said.splitlines() if line.startswith("charlstm: "))
            assert line.startswith("charlstm: out of memory. ") or "GB are free. " in line, where
        for file in begun.glob("checkpoints/*/*.safetensors"):
            checkpoint_format.verify(file)
        for file in (MODEL, RESUME):
            assert (begun / "checkpoints" / "old" / file).exists(), where
        codes.append(code)
    assert codes[0] == 5
    assert codes[-1] == 0, "the highest limit is enough"
    assert codes == sorted(codes, reverse=True), codes


@linux
@pytest.mark.slow
def test_where_one_trains_the_line_names_a_smaller_batch(begun: Path) -> None:
    code, said = run_within(750e6, COMMANDS["a huge network"], begun)
    assert code == 5
    assert "Lower --batch-size, --seq-len, --hidden-size or --num-layers; what was saved is kept." in said


@pytest.mark.parametrize("where", ["a network", "a step", "an evaluation"])
def test_a_gpu_that_is_full_is_told_as_a_machine_that_is(tmp_path: Path, monkeypatch, capsys, where: str) -> None:
    """There is no GPU here; torch's error stands for it."""

    def full(*given: object, **settings: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB. GPU 0 has a total of 16 GiB")

    owner, method = {
        "a network": (loop.CharLM, "to"),
        "a step": (TrainStep, "__call__"),
        "an evaluation": (loop.Validation, "choose"),
    }[where]
    monkeypatch.setattr(owner, method, full)
    folder = prepare(tmp_path / "here")
    code, said = run(folder, train_command("full", 10), monkeypatch, capsys)
    hint = "Lower --batch-size, --seq-len, --hidden-size or --num-layers; what was saved is kept."
    assert (code, said) == (5, f"charlstm: out of memory. {hint}\n")


def test_room_is_refused_where_there_is_none() -> None:
    check_room(1 << 20)
    with pytest.raises(MemoryError):
        check_room(1 << 60)
