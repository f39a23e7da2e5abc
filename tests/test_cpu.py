"""Cores that a quota allows, and fewer threads while the machine is busy: a simulated machine with given step times."""

import os

import pytest

from charlstm import cpu
from charlstm.cpu import AdaptiveThreads, cores, processor


class Clock:
    now = 0.0

    def monotonic(self):
        return self.now


class Machine:
    """Four cores."""

    def __init__(self, clock):
        self.clock, self.threads = clock, 4

    def set_num_threads(self, threads):
        self.threads = threads

    def run(self, threads, steps, *, all_threads, half):
        """The share of steps taken with all threads, given the seconds of a step with all and with half of them."""
        with_all = 0
        for _ in range(steps):
            assert self.threads == threads.num_threads
            with_all += self.threads == 4
            seconds = all_threads if self.threads == 4 else half
            self.clock.now += seconds
            threads.after_step(seconds)
        return with_all / steps


@pytest.fixture
def machine(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(cpu, "time", clock)
    return Machine(clock)


def test_a_quiet_machine_uses_all_threads(machine):
    assert machine.run(AdaptiveThreads(4, machine.set_num_threads), 2000, all_threads=0.02, half=0.03) > 0.99


def test_a_machine_that_gains_nothing_from_all_threads_mostly_uses_half(machine):
    threads = AdaptiveThreads(4, machine.set_num_threads)
    assert machine.run(threads, 20_000, all_threads=0.03, half=0.02) < 0.03


def test_a_busy_machine_soon_uses_half(machine):
    threads = AdaptiveThreads(4, machine.set_num_threads)
    machine.run(threads, 500, all_threads=0.02, half=0.03)
    assert machine.run(threads, 2000, all_threads=2.0, half=0.05) < 0.02


def test_all_threads_come_back_when_the_other_program_ends(machine):
    threads = AdaptiveThreads(4, machine.set_num_threads)
    machine.run(threads, 500, all_threads=2.0, half=0.05)
    machine.run(threads, 3000, all_threads=0.02, half=0.05)
    assert machine.run(threads, 2000, all_threads=0.02, half=0.03) > 0.98


def test_short_steps_are_judged_many_at_a_time(machine):
    threads = AdaptiveThreads(4, machine.set_num_threads, min_steps=64, min_seconds=0.05)
    assert machine.run(threads, 64, all_threads=1e-4, half=2e-4) == 1.0
    assert machine.run(threads, 64, all_threads=1e-4, half=2e-4) == 0.0  # to measure half
    machine.run(threads, 640, all_threads=1e-4, half=2e-4)
    assert machine.run(threads, 64, all_threads=8e-3, half=2e-4) < 0.2  # seven slow steps are enough


def test_a_run_that_must_be_exact_never_changes_threads(machine):
    assert (
        machine.run(AdaptiveThreads(4, machine.set_num_threads, enabled=False), 500, all_threads=2.0, half=0.05) == 1.0
    )


# ---- cores --------------------------------------------------------------------------------------------------------


@pytest.fixture
def eight_cores(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(8)), raising=False)


def write(root, files):
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


V1 = "5:memory:/here\n4:cpu,cpuacct:/a/b\n0::/\n"
V1_FOLDER = "sys/fs/cgroup/cpu,cpuacct"


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({}, 8),
        ({"proc/self/cgroup": "garbage\n"}, 8),
        ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "max 100000\n"}, 8),
        ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "300000 100000\n"}, 3),
        ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "250000 100000\n"}, 2),
        ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "50000 100000\n"}, 1),
        ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "9900000 100000\n"}, 8),
        ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "1 0\n"}, 8),
        ({"proc/self/cgroup": "0::/a/b\n", "sys/fs/cgroup/a/b/cpu.max": "400000 100000\n"}, 4),
        (
            {
                "proc/self/cgroup": "0::/a/b\n",
                "sys/fs/cgroup/a/b/cpu.max": "max 100000\n",
                "sys/fs/cgroup/a/cpu.max": "100000 50000\n",
            },
            2,
        ),
        ({"proc/self/cgroup": "0::/../outside\n", "sys/fs/cgroup/cpu.max": "500000 100000\n"}, 5),
        ({"proc/self/cgroup": "0::/a\n", "sys/fs/cgroup/unified/a/cpu.max": "200000 100000\n"}, 2),
        (
            {
                "proc/self/cgroup": V1,
                f"{V1_FOLDER}/a/b/cpu.cfs_quota_us": "350000\n",
                f"{V1_FOLDER}/a/b/cpu.cfs_period_us": "100000\n",
            },
            3,
        ),
        (
            {
                "proc/self/cgroup": V1,
                f"{V1_FOLDER}/a/b/cpu.cfs_quota_us": "-1\n",
                f"{V1_FOLDER}/a/b/cpu.cfs_period_us": "100000\n",
            },
            8,
        ),
        # In a container: the path is the host's, the mounted root is the container's own group.
        (
            {
                "proc/self/cgroup": "1:cpu:/docker/0123\n",
                "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "200000\n",
                "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n",
            },
            2,
        ),
    ],
)
def test_cores_are_those_that_affinity_and_the_cgroups_quota_allow(tmp_path, eight_cores, files, expected):
    write(tmp_path, files)
    assert cores(tmp_path) == expected


def test_cores_on_this_machine():
    assert 1 <= cores() <= (os.cpu_count() or 1)


def test_the_processor_is_the_one_that_the_system_names(tmp_path):
    assert processor(tmp_path), "without /proc at least the architecture"
    write(tmp_path, {"proc/cpuinfo": "processor : 0\nmodel name\t: AMD EPYC 7763\n\nmodel name\t: Other\n"})
    assert processor(tmp_path) == "AMD EPYC 7763"


@pytest.mark.parametrize(("load", "idle"), [(0.0, 4), (1.4, 3), (3.9, 1), (40.0, 1)])
def test_idle_cores_are_those_that_the_last_minute_left(monkeypatch, load, idle):
    monkeypatch.setattr(cpu, "cores", lambda: 4)
    monkeypatch.setattr(cpu.os, "getloadavg", lambda: (load, 0.0, 0.0))
    assert cpu.idle_cores() == idle


def test_where_the_load_is_not_known_all_cores_are_idle(monkeypatch):
    monkeypatch.setattr(cpu, "cores", lambda: 4)
    monkeypatch.delattr(cpu.os, "getloadavg", raising=False)
    assert cpu.idle_cores() == 4
