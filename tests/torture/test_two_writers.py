"""Several processes at once: one trains a run, the cache stays right while it is cleaned, readers never wait."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from charlstm.checkpoint import format as checkpoint_format
from charlstm.checkpoint.run import LOCK, MODEL, RESUME
from charlstm.errors import UsageError
from charlstm.files import locked
from tests.command_line import start
from tests.torture.small_runs import prepare, train_command

pytestmark = [pytest.mark.skipif(os.name == "nt", reason="processes of POSIX"), pytest.mark.slow]


def wait_for(path: Path, process, seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while not path.exists():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end, f"no {path}"
        time.sleep(0.02)


def test_a_second_training_of_a_run_refuses_also_after_a_crash_of_the_first(tmp_path: Path) -> None:
    prepare(tmp_path)
    model, resume = (tmp_path / "checkpoints" / "one" / name for name in (MODEL, RESUME))
    words = train_command("one", 1_000_000, "--save-every", "0.2s")
    for crash in (False, True):
        saved = resume.stat().st_mtime_ns if resume.exists() else 0
        first = start(*words, "--resume", "auto", folder=tmp_path)
        try:
            wait_for(resume, first)
            while resume.stat().st_mtime_ns == saved:  # until this session has saved, so that it holds the lock
                time.sleep(0.02)
            for second in (("train", "--resume", "one"), (*words, "--force"), (*words, "--resume", "auto")):
                other = start(*second, folder=tmp_path)
                _, said = other.communicate(timeout=60)
                assert other.returncode == 2, said
                assert "another charlstm is training this run" in said
            checkpoint_format.verify(model)
        finally:
            first.send_signal(signal.SIGKILL if crash else signal.SIGINT)
            first.communicate(timeout=60)
        with locked(model.with_name(LOCK), UsageError("still locked")):
            pass


@pytest.mark.timeout(600)
def test_many_processes_on_one_cache_while_it_is_cleaned(tmp_path: Path) -> None:
    prepare(tmp_path)
    processes = [start(*train_command(f"run{number}", 10), folder=tmp_path) for number in range(10)]
    codes: dict[int, str] = {}
    while any(process.poll() is None for process in processes):
        cleaning = start("corpora", "clean", "--yes", folder=tmp_path)
        _, said = cleaning.communicate(timeout=120)
        assert cleaning.returncode == 0, said
    for number, process in enumerate(processes):
        _, said = process.communicate()
        codes[number] = said
        assert process.returncode == 0, said
    models = [checkpoint_format.verify(tmp_path / "checkpoints" / f"run{number}" / MODEL) for number in range(10)]
    for name, tensor in models[0].tensors.items():
        assert all((tensor == other.tensors[name]).all() for other in models), "the same settings, the same network"


def test_readers_do_not_wait_for_a_training(tmp_path: Path) -> None:
    prepare(tmp_path)
    training = start(*train_command("one", 1_000_000, "--save-every", "0.05s"), folder=tmp_path)
    try:
        model = tmp_path / "checkpoints" / "one" / MODEL
        wait_for(model, training)
        for number in range(300):
            checkpoint_format.verify(model)
            assert number or training.poll() is None
        reader = start("sample", "one", "--length", "50", folder=tmp_path)
        out, said = reader.communicate(timeout=60)
        assert (reader.returncode, len(out) > 20) == (0, True), said
        assert training.poll() is None
    finally:
        training.send_signal(signal.SIGINT)
        training.communicate(timeout=60)
