"""Two hosts, made of network namespaces: one is cut off and reconnected, then loses power and restarts."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time

import pytest

from tests.cli.test_several_processes import SMALL, TEXT, recorded_steps, saved_step, wait_for

STEPS = 4000


def ip(*words):
    return subprocess.run(["ip", *words], check=True, capture_output=True, text=True).stdout


@pytest.fixture
def hosts():
    """The names of two namespaces connected by a cable, whose ends have the same names."""
    if shutil.which("ip") is None or os.geteuid() != 0:
        pytest.skip("network namespaces need the command ip, and root")
    names = [f"c{os.getpid()}{letter}" for letter in "ab"]
    try:
        for name in names:
            ip("netns", "add", name)
        ip("link", "add", names[0], "netns", names[0], "type", "veth", "peer", "name", names[1], "netns", names[1])
        for number, name in enumerate(names, 1):
            ip("-n", name, "addr", "add", f"10.9.0.{number}/24", "dev", name)
            ip("-n", name, "link", "set", "lo", "up")
            ip("-n", name, "link", "set", name, "up")
    except subprocess.CalledProcessError as fault:
        _remove(names)
        pytest.skip(f"no network namespaces here: {fault.stderr}")
    yield names
    _remove(names)


def _remove(names):
    for name in names:
        with contextlib.suppress(subprocess.CalledProcessError):
            stop_all(name)
            ip("netns", "del", name)


def stop_all(host):
    """End every process on a host at once, as a power cut does."""
    for pid in ip("netns", "pids", host).split():
        with contextlib.suppress(ProcessLookupError):
            os.kill(int(pid), signal.SIGKILL)


def torchrun(hosts, number, folder):
    """Start the command on a host; both see the text and the checkpoints, but each has its own cache."""
    host = hosts[number]
    with (folder / f"{number}.log").open("a") as log:
        return subprocess.Popen(
            ["ip", "netns", "exec", host, sys.executable, "-m", "torch.distributed.run", "--nnodes", "2",
             "--nproc-per-node", "1", "--max-restarts", "5", "--rdzv-backend", "c10d",
             "--rdzv-endpoint", "10.9.0.1:29500", "--rdzv-id", "x", "--local-addr", f"10.9.0.{number + 1}",
             "--rdzv-conf", f"is_host={number ^ 1}",
             "-m", "charlstm", "train", *SMALL, "--max-steps", str(STEPS), "--save-every", "0.5s", "-n", "two",
             "--resume", "auto", "-q"],
            cwd=folder, stdout=log, stderr=log,
            env={**os.environ, "CHARLSTM_CACHE": str(folder / f"cache{number}"), "GLOO_SOCKET_IFNAME": host},
        )  # fmt: skip


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_a_host_that_is_cut_off_and_one_that_loses_its_power_come_back(hosts, tmp_path):
    (tmp_path / "my.txt").write_text(TEXT)
    first, second = (torchrun(hosts, number, tmp_path) for number in (0, 1))
    resume = tmp_path / "checkpoints/two/resume.safetensors"
    wait_for(resume.exists)

    ip("-n", hosts[1], "link", "set", hosts[1], "down")
    time.sleep(5)
    at = saved_step(tmp_path, "two")
    ip("-n", hosts[1], "link", "set", hosts[1], "up")
    wait_for(lambda: saved_step(tmp_path, "two") > at)
    assert (first.poll(), second.poll()) == (None, None), "both have waited"

    ip("-n", hosts[1], "link", "set", hosts[1], "down")  # so that the other is not notified
    stop_all(hosts[1])
    second.wait()
    time.sleep(20)  # torchrun forgets a host it has not heard of for 15 seconds
    at = saved_step(tmp_path, "two")
    assert at < STEPS, "the run ended too soon"
    ip("-n", hosts[1], "link", "set", hosts[1], "up")
    running = [first, torchrun(hosts, 1, tmp_path)]
    deadline = time.monotonic() + 250
    while any(process.poll() != 0 for process in running):
        assert time.monotonic() < deadline, (tmp_path / "0.log").read_text()
        for number in (0, 1):  # as SLURM or systemd would: torchrun itself gives up when its rendezvous fails
            if running[number].poll():
                running[number] = torchrun(hosts, number, tmp_path)
        time.sleep(0.2)
    assert saved_step(tmp_path, "two") == STEPS
    assert recorded_steps(tmp_path, "two") == sorted(recorded_steps(tmp_path, "two"))
