"""The optimizer's groups, the schedule as a function, the average against its closed form."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from charlstm.config import TrainConfig
from charlstm.optim import Average, make_optimizer, schedule
from charlstm.training.budget import Clock, progress


def test_matrices_decay_and_biases_do_not():
    model = nn.Linear(3, 2)
    optimizer = make_optimizer(model, TrainConfig(lr=0.1, weight_decay=0.5))
    before = model.weight.detach().clone()
    model.weight.grad, model.bias.grad = torch.zeros_like(model.weight), torch.zeros_like(model.bias)
    bias = model.bias.detach().clone()
    optimizer.step()
    torch.testing.assert_close(model.weight.detach(), before * (1 - 0.1 * 0.5))
    torch.testing.assert_close(model.bias.detach(), bias)


def test_schedule_rises_then_falls_to_zero():
    assert schedule(0.0, 0.1) == 0.0
    assert schedule(0.05, 0.1) == pytest.approx(0.5)
    assert schedule(0.1, 0.1) == pytest.approx(1.0)
    assert schedule(0.55, 0.1) == pytest.approx(0.5)
    assert schedule(1.0, 0.1) == pytest.approx(0.0)
    assert schedule(0.0, 0.0) == 1.0


@given(st.floats(0, 1), st.floats(0, 1), st.floats(0, 0.9))
def test_schedule_stays_between_zero_and_one_and_only_falls_after_the_warm_up(a, b, warmup):
    low, high = sorted((a, b))
    assert 0.0 <= schedule(low, warmup) <= 1.0
    if low >= warmup:
        assert schedule(high, warmup) <= schedule(low, warmup)


def test_average_equals_its_closed_form():
    model = nn.Linear(1, 1, bias=False)
    average = Average(model, 0.5)
    values = [1.0, 5.0, -3.0, 2.0]
    want = model.weight.item()
    for step, value in enumerate(values, 1):
        with torch.no_grad():
            model.weight.fill_(value)
        average.update(step)
        decay = min(0.5, (1 + step) / (10 + step))
        want = decay * want + (1 - decay) * value
    assert average.weights[0].item() == pytest.approx(want)


def test_swapping_twice_changes_nothing():
    model = nn.Linear(4, 4)
    average = Average(model, 0.9)
    with torch.no_grad():
        model.weight.add_(1.0)
    live, mean = model.weight.detach().clone(), average.weights[0].clone()
    average.swap()
    assert torch.equal(model.weight, mean)
    average.swap()
    assert torch.equal(model.weight, live)
    assert torch.equal(average.weights[0], mean)


def test_the_budget_nearest_its_end_counts():
    config = TrainConfig(max_time=100, max_steps=10, epochs=4)
    assert progress(config, seconds=10, steps=5, epochs=1) == 0.5
    assert progress(config, seconds=90, steps=5, epochs=1) == 0.9
    assert progress(config, seconds=10, steps=5, epochs=3) == 0.75
    assert progress(config, seconds=1e9, steps=0, epochs=0) == 1.0


def test_a_nap_does_not_eat_the_schedule():
    clock = Clock()
    for _ in range(100):
        clock.step(0.01)
    clock.step(3600.0)
    assert clock.seconds < 1.5
