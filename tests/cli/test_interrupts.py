"""Signals: which ones ask for an end, that ignored ones stay ignored, and that training saves before it ends."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from charlstm.checkpoint import format as checkpoint_format
from charlstm.cli.interrupts import StopRequest, postponed_interrupt, stop_signals
from charlstm.cli.launch import _signals_to_pass_on
from tests.command_line import start

TEXT = "The quick brown fox jumps over the lazy dog; 12 wizards (and 3 cats) watch.\n" * 30
ENDLESS = ("train", "my.txt", "--epochs", "1e6", "--hidden-size", "8", "--preview", "20", "--json", "--threads", "1",
           "--device", "cpu", "--precision", "fp32")  # fmt: skip
pytestmark = pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "my.txt").write_text(TEXT)
    return tmp_path


def wait_for_a_step(process: subprocess.Popen[str]) -> None:
    assert process.stdout is not None
    for line in process.stdout:
        if '"StepDone"' in line:
            return
    pytest.fail("the training has ended")


def saved_step(folder: Path) -> int:
    return int(checkpoint_format.read(folder / "checkpoints/my-1/resume.safetensors").provenance.step)


def test_a_closed_terminal_saves_and_ends_even_if_it_is_announced_twice(folder: Path) -> None:
    process = start(*ENDLESS, folder=folder)
    wait_for_a_step(process)
    for _ in range(2):  # the kernel sends one, the shell another
        process.send_signal(signal.SIGHUP)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 129, err
    last = json.loads(out.splitlines()[-1])
    assert last["reason"] == "interrupted"
    assert saved_step(folder) == last["step"]


def test_signals_ignored_at_the_start_stay_ignored(folder: Path) -> None:
    both = (signal.SIGINT, signal.SIGHUP)

    def ignore() -> None:  # what nohup does for SIGHUP, and a shell script for SIGINT of its background jobs
        for ignored in both:
            signal.signal(ignored, signal.SIG_IGN)

    process = start(*ENDLESS, folder=folder, preexec_fn=ignore)
    wait_for_a_step(process)
    for ignored in both:
        process.send_signal(ignored)
        for _ in range(3):
            wait_for_a_step(process)
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 143, err


def test_a_second_ctrl_c_leaves_at_once() -> None:
    script = (
        "import os, signal\n"
        "from charlstm.cli.interrupts import StopRequest\n"
        "with StopRequest() as request:\n"
        "    os.kill(os.getpid(), signal.SIGINT)\n"
        "    assert request()\n"
        "    os.kill(os.getpid(), signal.SIGINT)\n"
        "    print('still here')\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (130, "")
    assert "press Ctrl-C again" in done.stderr


def test_handlers_are_restored_and_the_exit_code_is_the_signals() -> None:
    before = [signal.getsignal(number) for number in stop_signals()]
    with StopRequest(quiet=True) as request:
        assert not request()
        signal.raise_signal(signal.SIGTERM)
        assert request()
        assert request.exit_code == 143
    assert [signal.getsignal(number) for number in stop_signals()] == before


def test_windows_has_no_sighup(monkeypatch: pytest.MonkeyPatch) -> None:
    assert set(stop_signals()) == {signal.SIGINT, signal.SIGTERM, signal.SIGHUP}
    for name in ("SIGHUP", "SIGQUIT"):
        monkeypatch.delattr(signal, name)
    assert set(stop_signals()) == {signal.SIGINT, signal.SIGTERM}
    assert _signals_to_pass_on() == ["SIGINT", "SIGTERM"]
    with StopRequest(quiet=True) as request:
        signal.raise_signal(signal.SIGINT)
    assert request.exit_code == 130


def test_torchrun_is_not_told_to_handle_what_nohup_ignores() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        assert "SIGHUP" not in _signals_to_pass_on()
        assert "SIGTERM" in _signals_to_pass_on()
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_postponed_ctrl_c_comes_at_the_end_unless_it_is_ignored() -> None:
    reached = []

    def interrupted() -> None:
        with postponed_interrupt():
            signal.raise_signal(signal.SIGINT)
            reached.append("end")

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert reached == ["end"]
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with postponed_interrupt():
            signal.raise_signal(signal.SIGINT)
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)
