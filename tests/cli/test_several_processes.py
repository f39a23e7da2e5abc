"""``charlstm train`` in several processes, as torchrun and ``--nproc`` start it, and ``--resume auto``."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from charlstm.checkpoint import format as checkpoint_format
from charlstm.cli import launch
from charlstm.errors import UsageError
from charlstm.training.plan import probe
from tests.command_line import Cli, start
from tests.ranks import free_port

TEXT = "The quick brown fox jumps over the lazy dog; 12 wizards (and 3 cats) watch.\n" * 30
SMALL = ("my.txt", "--hidden-size", "8", "--num-layers", "1", "--batch-size", "4", "--seq-len", "16", "--preview", "0",
         "--threads", "1", "--device", "cpu", "--precision", "fp32", "--optimizer", "adamw", "--seed", "3")  # fmt: skip
EVERYTHING = {"model.safetensors", "resume.safetensors", "metrics.jsonl", "report.html", ".lock"}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    (tmp_path / "my.txt").write_text(TEXT)
    return tmp_path


@pytest.fixture
def cli(folder, monkeypatch, capsys):
    machine = probe.Machine("cpu", "fp32", 5e10, 8 << 30, "made up")
    monkeypatch.setattr(probe, "probe", lambda *_: machine)
    return Cli(folder, monkeypatch, capsys)


def start_as_torchrun(world, *args, folder):
    """Start one run in several processes, one by one."""
    torchrun = {"WORLD_SIZE": str(world), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port())}
    processes = []
    for rank in range(world):
        with pytest.MonkeyPatch.context() as environment:
            for name, value in {**torchrun, "RANK": str(rank), "LOCAL_RANK": str(rank)}.items():
                environment.setenv(name, value)
            processes.append(start("train", *args, folder=folder))
    return processes


def finish(process, seconds=60):
    """The exit code of a process, its stdout and its stderr."""
    out, err = process.communicate(timeout=seconds)
    return process.returncode, out, err


def recorded_steps(folder, name):
    lines = (folder / "checkpoints" / name / "metrics.jsonl").read_text().splitlines()
    return [json.loads(line)["step"] for line in lines]


def saved_step(folder, name):
    path = folder / "checkpoints" / name / "resume.safetensors"
    return checkpoint_format.read(path).provenance.step


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def wait_for(condition, seconds=60):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it takes too long"
        time.sleep(0.05)


@pytest.mark.slow
def test_nproc_trains_as_one_process_would_and_the_same_command_again_changes_nothing(folder, cli):
    both = start("train", *SMALL, "--max-steps", "20", "--nproc", "2", "-n", "two", "--resume", "auto", folder=folder)
    code, out, err = finish(both)
    assert (code, out) == (0, ""), err
    assert err.count("done: checkpoints/two") == 1
    assert err.count("network 1×8") == 1
    assert [path.name for path in (folder / "checkpoints").iterdir()] == ["two"]
    assert {path.name for path in (folder / "checkpoints/two").iterdir()} == EVERYTHING
    before = contents(folder / "checkpoints/two")
    again = cli("train", *SMALL, "--max-steps", "20", "-n", "two", "--resume", "auto")
    assert again.code == 0, again.err
    assert "used up" in again.err
    assert contents(folder / "checkpoints/two") == before


@pytest.mark.slow
def test_sigterm_to_nproc_saves_and_one_process_can_resume(folder, cli):
    both = start("train", *SMALL, "--max-steps", "1000000", "--nproc", "2", "-n", "two", "--json", folder=folder)
    for line in both.stdout:
        if '"StepDone"' in line:
            break
    both.send_signal(signal.SIGTERM)
    code, out, err = finish(both)
    assert code == 143, err
    assert err.count("Continue with: charlstm train --resume two") == 1, err
    assert json.loads(out.splitlines()[-1])["reason"] == "interrupted"
    at = saved_step(folder, "two")
    assert json.loads(out.splitlines()[-1])["step"] == at
    assert cli("train", "--resume", "two", "--max-steps", str(at + 5)).code == 0
    assert saved_step(folder, "two") == at + 5


@pytest.mark.slow
def test_a_mistake_is_reported_once_with_its_exit_code(folder):
    code, out, err = finish(start("train", *SMALL, "--batch-size", "5", "--nproc", "2", "-n", "a", folder=folder))
    assert (code, out) == (2, "")
    assert err == (
        "charlstm: a batch of 5 does not divide by 2 processes. "
        "Each process trains on equally many rows; use --batch-size 4.\n"
    )
    assert not (folder / "checkpoints").exists()


@pytest.mark.slow
def test_a_text_that_differs_on_another_machine_is_one_line(folder):
    (folder / "elsewhere").mkdir()
    (folder / "elsewhere/my.txt").write_text(TEXT.replace("fox", "cat"))
    torchrun = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port()), "LOCAL_RANK": "0"}
    processes = []
    for rank, where in enumerate((folder, folder / "elsewhere")):
        with pytest.MonkeyPatch.context() as environment:
            for name, value in {**torchrun, "RANK": str(rank)}.items():
                environment.setenv(name, value)
            processes.append(start("train", *SMALL, "--max-steps", "9", folder=where))
    (code, _, err), (other_code, other_out, other_err) = map(finish, processes)
    assert (code, other_code, other_out, other_err) == (2, 2, "", "")
    assert err.startswith("charlstm: process 1 on "), err
    assert err.endswith(
        "my.txt: the text here is not the one that process 0 has. Copy the same files to every machine.\n"
    )
    assert not (folder / "checkpoints").exists()


@pytest.mark.slow
def test_a_killed_process_is_reported(folder):
    first, second = start_as_torchrun(2, *SMALL, "--max-steps", "1000000", "-n", "a", "--json", folder=folder)
    for line in first.stdout:
        if '"StepDone"' in line:
            break
    second.kill()
    code, _, err = finish(first)
    assert code == 1
    assert err == (
        "charlstm: another process of this run has ended, or cannot be reached. What was saved is kept; "
        "with --resume auto the same command continues from the last save.\n"
    )
    second.communicate()


@pytest.mark.slow
def test_killed_under_torchrun_it_restarts_and_ends_as_the_uninterrupted_run(folder):
    long = (*SMALL, "--max-steps", "400", "--eval-every", "100", "--save-every", "0.1s", "-q", "--resume", "auto")
    uninterrupted = start("train", *long, "-n", "whole", "--nproc", "2", folder=folder)
    assert finish(uninterrupted)[0] == 0
    torchrun = subprocess.Popen(
        [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "--max-restarts", "3",
         "-m", "charlstm", "train", *long, "-n", "killed"],
        cwd=folder, env={**os.environ, "CHARLSTM_CACHE": str(folder / "cache")},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    resume = folder / "checkpoints/killed/resume.safetensors"
    for rank in (1, 0):
        before = resume.stat().st_mtime_ns if resume.exists() else 0
        wait_for(lambda before=before: resume.exists() and resume.stat().st_mtime_ns > before)
        os.kill(workers(torchrun.pid)[rank], signal.SIGKILL)
    code, out, err = finish(torchrun)
    assert (code, out) == (0, ""), err
    assert saved_step(folder, "killed") == saved_step(folder, "whole") == 400
    assert recorded_steps(folder, "killed") == sorted(recorded_steps(folder, "killed"))
    runs = (folder / "checkpoints" / name / "resume.safetensors" for name in ("whole", "killed"))
    one, other = (checkpoint_format.read(path).tensors for path in runs)
    assert one.keys() == other.keys()
    for name in one:
        np.testing.assert_array_equal(one[name], other[name], err_msg=name)
    before = contents(resume.parent)
    assert finish(start("train", *long, "-n", "killed", folder=folder))[0] == 0
    assert contents(resume.parent) == before


def workers(pid):
    """The worker processes of a torchrun, by local rank."""
    found = {}
    for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        with contextlib.suppress(OSError):
            for entry in Path(f"/proc/{child}/environ").read_bytes().split(b"\0"):
                if entry.startswith(b"LOCAL_RANK="):
                    found[int(entry.partition(b"=")[2])] = int(child)
    return found


# ---- --resume auto, in one process ----------------------------------------------------------------------------------


AUTO = (*SMALL, "--max-steps", "6", "--name", "a", "--resume", "auto")


def test_auto_starts_resumes_and_leaves_a_finished_run_as_it_is(cli):
    assert cli("train", *AUTO).code == 0
    kept = contents(cli.folder / "checkpoints/a")
    assert cli("train", *AUTO).code == 0
    assert contents(cli.folder / "checkpoints/a") == kept
    more = cli("train", *AUTO, "--max-steps", "9")
    assert more.code == 0, more.err
    assert "after step 6" in more.err
    assert saved_step(cli.folder, "a") == 9


def test_a_run_can_be_resumed_with_the_settings_it_was_started_with(cli):
    (cli.folder / "short.txt").write_text("abcdefghij" * 5)
    command = (
        "train",
        "short.txt",
        "--hidden-size",
        "8",
        "--batch-size",
        "64",
        "--max-steps",
        "3",
        "--name",
        "short",
        "-q",
    )
    assert cli(*command).code == 0
    same = cli("train", "--resume", "short", "--batch-size", "64", "--hidden-size", "8", "--max-steps", "5", "-q")
    assert same.code == 0, same.err
    assert cli(*command, "--resume", "auto").code == 0
    assert cli("train", "--resume", "short", "--hidden-size", "9", "--max-steps", "7").code == 2


def test_auto_keeps_the_automatic_budget_beside_the_given_one(cli):
    timed = ("train", *SMALL, "--max-time", "10m", "--name", "short", "--resume", "auto", "-q")
    started = cli(*timed)
    assert started.code == 0, started.err
    kept = contents(cli.folder / "checkpoints/short")
    assert checkpoint_format.read(cli.folder / "checkpoints/short/resume.safetensors").run.train.epochs == 12
    assert cli(*timed).code == 0
    assert contents(cli.folder / "checkpoints/short") == kept, "the same command, after the end, changes nothing"


def test_auto_restarts_what_was_killed_before_its_first_save(cli):
    assert cli("train", *AUTO).code == 0
    run = cli.folder / "checkpoints/a"
    (run / "resume.safetensors").unlink()
    refused = cli("train", *AUTO)
    assert refused.code == 2
    assert "cannot be resumed" in refused.err
    assert "--force" in refused.err
    lines = (run / "metrics.jsonl").read_text().splitlines(keepends=True)
    (run / "metrics.jsonl").write_text("".join(lines[:-1]))  # as a kill leaves it, without Stopped
    assert cli("train", *AUTO).code == 0
    assert saved_step(cli.folder, "a") == 6


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("--resume", "auto"), "--name or --out"),
        (("--resume", "auto", "--name", "a", "--force"), "--force"),
        (("--resume", "auto", "--name", "a", "--dry-run"), "--dry-run"),
        (("--resume", "auto", "--name", "a/b"), "a/b"),
        (("--nproc", "0"), "must be 1 to 1024"),
    ],
)
def test_contradicting_options_are_one_line(cli, args, message):
    done = cli("train", "my.txt", *args)
    assert done.code == 2
    assert message in done.err
    assert len(done.err.splitlines()) == 1


def test_auto_refuses_settings_that_are_not_the_runs(cli):
    assert cli("train", *AUTO).code == 0
    for option, value in (("--lr", "0.1"), ("--hidden-size", "16"), ("--seed", "4")):
        refused = cli("train", *AUTO, option, value)
        assert refused.code == 2
        assert option in refused.err
    (cli.folder / "other.txt").write_text(TEXT)
    assert "sources" in cli("train", "other.txt", *AUTO[1:]).err


def test_a_run_that_stopped_early_has_ended(cli):
    early = (*AUTO, "--max-steps", "500", "--patience", "1", "--eval-every", "1", "--lr", "5")
    assert cli("train", *early).code == 0
    kept = contents(cli.folder / "checkpoints/a")
    again = cli("train", *early)
    assert again.code == 0
    assert "early" in again.err
    assert contents(cli.folder / "checkpoints/a") == kept


TORCHRUN = {"WORLD_SIZE": "8", "RANK": "5", "LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "4", "MASTER_ADDR": "::1",
            "MASTER_PORT": "29500"}  # fmt: skip


@pytest.fixture
def environment(monkeypatch):
    """Sets variables of torchrun, and removes the others."""

    def set_to(**values):
        for name in TORCHRUN:
            monkeypatch.delenv(name, raising=False)
        for name, value in values.items():
            monkeypatch.setenv(name, value)

    set_to()
    return set_to


def test_without_torchrun_there_is_one_process(environment):
    assert launch.torchrun_ranks() is None
    assert launch.must_start_processes(2)
    assert not launch.must_start_processes(1)
    assert not launch.must_start_processes(None)
    for alone in ({"WORLD_SIZE": ""}, {"WORLD_SIZE": "1"}, {"RANK": "0"}):
        environment(**alone)
        assert launch.torchrun_ranks() is None


def test_torchrun_describes_each_process_in_the_environment(environment):
    environment(**TORCHRUN)
    assert launch.torchrun_ranks() == (5, 8, 1)
    assert launch.is_secondary()
    assert not launch.must_start_processes(4)
    with pytest.raises(UsageError, match="torchrun"):
        launch.must_start_processes(2)


@pytest.mark.parametrize("name", ["RANK", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT"])
def test_an_incomplete_environment_of_torchrun_is_refused(environment, name):
    for absent in ({}, {name: ""}):
        environment(**{**{key: value for key, value in TORCHRUN.items() if key != name}, **absent})
        with pytest.raises(UsageError, match=f"WORLD_SIZE=8, but no {name}.*unset WORLD_SIZE"):
            launch.torchrun_ranks()
        assert not launch.is_secondary(), "the one line must be printed"


@pytest.mark.parametrize(("name", "value"), [("RANK", "five"), ("RANK", "8"), ("RANK", "-1"), ("WORLD_SIZE", "many")])
def test_a_contradictory_environment_of_torchrun_is_refused(environment, name, value):
    environment(**{**TORCHRUN, name: value})
    with pytest.raises(UsageError, match=f"{name}={value}"):
        launch.torchrun_ranks()
    assert not launch.is_secondary()


def test_a_left_over_world_size_is_one_line_at_once(cli, environment):
    environment(WORLD_SIZE="4")
    done = cli("train", *SMALL)
    assert (done.code, done.out) == (2, "")
    assert done.err == (
        "charlstm: the environment has WORLD_SIZE=4, but no RANK, LOCAL_RANK, MASTER_ADDR, MASTER_PORT. "
        "Start all processes with torchrun; for a single process, unset WORLD_SIZE.\n"
    )


IMPATIENT = """
from datetime import timedelta
from charlstm.cli import interrupts
from charlstm.cli.app import main

load_torch = interrupts.load_torch

def load_torch_and_hurry():
    load_torch()
    from charlstm.training import rendezvous
    rendezvous.JOIN_TIMEOUT = timedelta(seconds=1)

interrupts.load_torch = load_torch_and_hurry
main()
"""


@pytest.mark.parametrize(("rank", "prefix"), [(0, "charlstm: "), (1, "charlstm: process 1: ")])
def test_processes_that_nobody_joins_end_with_one_line(folder, rank, prefix):
    environment = {**os.environ, "CHARLSTM_CACHE": str(folder / "cache"), "WORLD_SIZE": "2", "RANK": str(rank),
                   "LOCAL_RANK": "0", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port())}  # fmt: skip
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", IMPATIENT, "train", *SMALL], cwd=folder, env=environment,
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr == (
        f"{prefix}not all 2 processes of this run have started within 1 seconds. "
        "Start all of them together; for a single process, unset WORLD_SIZE.\n"
    )
    assert time.monotonic() - began < 30
    assert not (folder / "checkpoints").exists()


def test_a_word_in_place_of_a_number_in_the_environment_is_one_line(cli, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "many")
    done = cli("train", *SMALL)
    assert done.code == 2
    assert done.err.count("\n") == 1
    assert "WORLD_SIZE=many" in done.err
