"""Fewer threads while the machine is busy: a made-up machine whose steps take as long as we say."""

import pytest

from charlstm import cpu as module
from charlstm.cpu import Threads


class Clock:
    now = 0.0

    def monotonic(self):
        return self.now


class Machine:
    """Of four cores."""

    def __init__(self, clock):
        self.clock, self.threads = clock, 4

    def use(self, threads):
        self.threads = threads

    def run(self, threads, steps, *, all_threads, half):
        """How many of the steps were taken with all threads, when a step takes so long with all and with half."""
        with_all = 0
        for _ in range(steps):
            assert self.threads == threads.now
            with_all += self.threads == 4
            seconds = all_threads if self.threads == 4 else half
            self.clock.now += seconds
            threads.after_step(seconds)
        return with_all / steps


@pytest.fixture
def machine(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(module, "time", clock)
    return Machine(clock)


def test_a_quiet_machine_uses_all_threads(machine):
    assert machine.run(Threads(4, machine.use), 2000, all_threads=0.02, half=0.03) > 0.99


def test_a_machine_that_gains_nothing_from_all_threads_mostly_uses_half(machine):
    threads = Threads(4, machine.use)
    assert machine.run(threads, 20_000, all_threads=0.03, half=0.02) < 0.03


def test_a_busy_machine_soon_uses_half(machine):
    threads = Threads(4, machine.use)
    machine.run(threads, 500, all_threads=0.02, half=0.03)
    assert machine.run(threads, 2000, all_threads=2.0, half=0.05) < 0.02


def test_all_threads_come_back_when_the_neighbour_leaves(machine):
    threads = Threads(4, machine.use)
    machine.run(threads, 500, all_threads=2.0, half=0.05)
    machine.run(threads, 3000, all_threads=0.02, half=0.05)
    assert machine.run(threads, 2000, all_threads=0.02, half=0.03) > 0.98


def test_quick_steps_are_judged_many_at_a_time(machine):
    threads = Threads(4, machine.use, steps=64, seconds=0.05)
    assert machine.run(threads, 64, all_threads=1e-4, half=2e-4) == 1.0
    assert machine.run(threads, 64, all_threads=1e-4, half=2e-4) == 0.0  # to know what half would take
    machine.run(threads, 640, all_threads=1e-4, half=2e-4)
    assert machine.run(threads, 64, all_threads=8e-3, half=2e-4) < 0.2  # seven stalled ones are enough


def test_a_run_that_must_be_exact_never_changes_threads(machine):
    assert machine.run(Threads(4, machine.use, adapt=False), 500, all_threads=2.0, half=0.05) == 1.0
