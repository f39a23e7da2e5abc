"""Measuring the machine: what comes out is true, and nothing is disturbed by it."""

import pytest
import torch
from torch import nn

from charlstm.errors import UsageError
from charlstm.nn.recurrence import RecurrentLayer
from charlstm.training.plan import probe as module
from charlstm.training.plan.probe import probe


def test_the_speed_is_operations_over_the_median_time(monkeypatch):
    class Clock:
        now = 0.0

        def perf_counter(self):
            self.now += 0.01  # each step is timed by two looks at the clock
            return self.now

    monkeypatch.setattr(module, "time", Clock())
    machine = probe("cpu", "fp32")
    # Forward, and backward for inputs and weights: three products of two operations a weight and token.
    assert machine.flops_per_second == pytest.approx(3 * 2 * (4 * 256 * (256 + 256)) * (16 * 64) / 0.01)
    assert "GFLOP/s" in machine.precision_reason
    assert machine.free_memory > 1 << 20


def test_it_measures_with_the_threads_that_training_will_have(monkeypatch):
    seen, whole = set(), nn.LSTM.forward

    def forward(*given):
        seen.add(torch.get_num_threads())
        return whole(*given)

    monkeypatch.setattr(nn.LSTM, "forward", forward)
    probe("cpu", "fp32", 3)
    assert seen == {3}


def test_measuring_changes_neither_random_numbers_nor_threads():
    torch.manual_seed(5)
    before, threads = torch.get_rng_state(), torch.get_num_threads()
    probe("cpu")
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.get_num_threads() == threads


@pytest.mark.parametrize("device", ["toaster", "cpux", "cuda:99", "cuda:x"])
def test_a_missing_device_raises(device):
    with pytest.raises(UsageError):
        probe(device)


def test_an_unsupported_precision_raises(monkeypatch):
    def refuse(*_):
        raise RuntimeError("could not create a primitive descriptor")

    monkeypatch.setattr(nn.LSTM, "forward", refuse)
    monkeypatch.setattr(RecurrentLayer, "forward", refuse)
    with pytest.raises(UsageError, match="bf16 does not work"):
        probe("cpu", "bf16")


def test_what_torch_lacks_is_measured_with_our_own_layer_if_it_is_asked_for(monkeypatch):
    def refuse(*_):
        raise RuntimeError("could not create a primitive descriptor")

    monkeypatch.setattr(nn.LSTM, "forward", refuse)
    machine = probe("cpu", "bf16", threads=1)
    assert machine.precision == "bf16"
    assert machine.flops_per_second >= 1e9
