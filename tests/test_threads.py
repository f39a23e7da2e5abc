"""Fewer threads while the machine is busy: a made-up machine whose steps take as long as we say."""

import pytest
import torch

from charlstm.training import threads as module
from charlstm.training.threads import Threads


class Torch:
    """Stands in for torch's thread count."""

    def __init__(self, count):
        self.count = count

    def get_num_threads(self):
        return self.count

    def set_num_threads(self, count):
        self.count = count


class Clock:
    now = 0.0

    def monotonic(self):
        return self.now


@pytest.fixture
def machine(monkeypatch):
    fake, clock = Torch(4), Clock()
    monkeypatch.setattr(module, "torch", fake)
    monkeypatch.setattr(module, "time", clock)

    def run(threads, steps, *, all_threads, half):
        """How many of the steps were taken with all threads, when a step takes so long with all and with half."""
        with_all = 0
        for _ in range(steps):
            seconds = all_threads if fake.count == 4 else half
            with_all += fake.count == 4
            clock.now += seconds
            threads.after_step(seconds)
        return with_all / steps

    return run


def test_a_quiet_machine_uses_all_threads(machine):
    assert machine(Threads(adapt=True), 2000, all_threads=0.02, half=0.03) > 0.99


def test_a_busy_machine_soon_uses_half(machine):
    threads = Threads(adapt=True)
    machine(threads, 500, all_threads=0.02, half=0.03)
    assert machine(threads, 2000, all_threads=2.0, half=0.05) < 0.02


def test_all_threads_come_back_when_the_neighbour_leaves(machine):
    threads = Threads(adapt=True)
    machine(threads, 500, all_threads=2.0, half=0.05)
    machine(threads, 3000, all_threads=0.02, half=0.05)
    assert machine(threads, 2000, all_threads=0.02, half=0.03) > 0.98


def test_a_run_that_must_be_exact_never_changes_threads(machine):
    assert machine(Threads(adapt=False), 500, all_threads=2.0, half=0.05) == 1.0


def test_torchs_threads_are_restored():
    before = torch.get_num_threads()
    threads = Threads(adapt=True)
    torch.set_num_threads(1)
    threads.restore()
    if before > 1:
        assert torch.get_num_threads() == before
    torch.set_num_threads(before)
