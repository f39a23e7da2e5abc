"""Measuring the machine: what comes out is true, and nothing is disturbed by it."""

import time

import pytest
import torch
from torch import nn

from charlstm.errors import UsageError
from charlstm.settings.probe import probe


def test_the_measured_speed_is_that_of_a_training_step():
    machine = probe("cpu", "fp32")
    model, inputs = nn.LSTM(256, 256), torch.randn(64, 16, 256)
    times = []
    for _ in range(8):
        began = time.perf_counter()
        model(inputs)[0].sum().backward()
        times.append(time.perf_counter() - began)
    mine = 6 * 8 * 256 * 256 * 16 * 64 / sorted(times)[2]
    assert mine / 4 < machine.flops < mine * 4
    assert "GFLOP/s" in machine.reason
    assert machine.memory > 1 << 20


def test_measuring_disturbs_neither_random_numbers_nor_threads():
    torch.manual_seed(5)
    before, threads = torch.get_rng_state(), torch.get_num_threads()
    probe("cpu")
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.get_num_threads() == threads


@pytest.mark.parametrize("device", ["toaster", "cpux", "cuda:99", "cuda:x"])
def test_a_device_that_is_not_there_is_told(device):
    with pytest.raises(UsageError):
        probe(device)


def test_a_precision_that_does_not_work_is_told(monkeypatch):
    def refuse(*_):
        raise RuntimeError("could not create a primitive descriptor")

    monkeypatch.setattr(nn.LSTM, "forward", refuse)
    with pytest.raises(UsageError, match="bf16 does not work"):
        probe("cpu", "bf16")
