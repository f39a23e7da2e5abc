"""A training that is killed again and again loses nothing, and ends with the weights of one that never was."""

from __future__ import annotations

import itertools
import multiprocessing
import os
import random
import signal
import sys
from pathlib import Path

import numpy as np
import pytest

from charlstm.checkpoint import format as checkpoint_format
from charlstm.checkpoint.run import MODEL, RESUME
from charlstm.files import temporary_for
from tests.torture.file_calls import Call, FileCalls
from tests.torture.small_runs import prepare, train_command

pytestmark = pytest.mark.skipif(os.name == "nt", reason="processes of POSIX")

STEPS = 60
DEEP = ("--num-layers", "2", "--dropout", "0.2", "--weight-drop", "0.1")
LONGEST = 1.0
"""Seconds after which a training is killed, at the latest."""


def train_in_folder(folder: str, name: str, kill_at: int | None) -> None:
    """Begin a run or go on with it, saving after each step; with ``kill_at`` die inside a save, at that call."""
    from charlstm.cli import app

    os.chdir(folder)
    os.environ["CHARLSTM_CACHE"] = str(Path(folder, "cache"))
    sys.stderr = open(os.devnull, "w")  # noqa: SIM115 - for the life of this process
    sys.argv = ["charlstm", *train_command(name, STEPS, *DEEP, "--save-every", "0.001s", "--resume", "auto")]

    saving = itertools.count()

    def act(number: int, call: Call) -> None:
        if temporary_for(Path(call.path).name) in (MODEL, RESUME) and next(saving) == kill_at:
            os.kill(os.getpid(), signal.SIGKILL)

    with FileCalls(Path(folder, "checkpoints"), act).watched():
        code = app._run()
    os._exit(code)


@pytest.fixture(scope="module")
def trainer():
    """Start processes that have torch loaded, as a fresh one would after two seconds."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["charlstm.training.loop", "charlstm.cli.run_training", "tests.torture.test_killed"])

    def start(folder: Path, name: str, kill_at: int | None = None):
        process = context.Process(target=train_in_folder, args=(str(folder), name, kill_at))
        process.start()
        return process

    return start


def content(folder: Path) -> dict[str, dict[str, np.ndarray]]:
    """The tensors of both files of a run, and the losses that it came to."""
    saved = {name: checkpoint_format.verify(folder / name) for name in (MODEL, RESUME)}
    return {name: each.tensors for name, each in saved.items()}


@pytest.mark.slow
@pytest.mark.timeout(7200)
@pytest.mark.rounds(30, full=1000)
def test_killed_again_and_again(trainer, tmp_path: Path, rounds: int) -> None:
    prepare(tmp_path)
    whole = trainer(tmp_path, "whole")
    whole.join()
    assert whole.exitcode == 0
    want = content(tmp_path / "checkpoints" / "whole")
    chance, kills, inside, number = random.Random(1), 0, 0, 0
    while kills < rounds:
        number += 1
        name = f"run{number}"
        folder = tmp_path / "checkpoints" / name
        code = None
        while code != 0:
            had = {each for each in (MODEL, RESUME) if (folder / each).exists()}
            in_a_save = kills % 2 == 1
            kill_at = int(2 ** chance.uniform(0, 9)) if in_a_save else None
            process = trainer(tmp_path, name, kill_at)
            if not in_a_save:
                process.join(chance.uniform(0, LONGEST))
                process.kill()
            process.join(120)
            code = process.exitcode
            assert code in (0, -signal.SIGKILL), code
            kills += code != 0
            inside += code != 0 and in_a_save
            for each in (MODEL, RESUME):
                if (folder / each).exists():
                    checkpoint_format.verify(folder / each)
            assert all((folder / each).exists() for each in had), "a checkpoint is lost"
        got = content(folder)
        for each, tensors in want.items():
            assert tensors.keys() == got[each].keys()
            for tensor, array in tensors.items():
                np.testing.assert_array_equal(array, got[each][tensor], err_msg=f"{each}: {tensor}")
    assert inside >= rounds // 3
