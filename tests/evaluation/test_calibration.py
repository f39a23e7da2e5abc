"""Temperature scaling: a known temperature is found, and it is the best of a grid."""

import math

import numpy as np
import pytest
import torch

from charlstm.evaluation.calibration import calibrate
from charlstm.evaluation.loss import evaluate
from tests.evaluation.test_loss import random_model


@pytest.fixture(scope="module")
def written():
    """A text sampled from `random_model(2)` itself, token by token."""
    model, rng, state, ids = random_model(2), np.random.default_rng(0), None, [0]
    with torch.inference_mode():
        for _ in range(4000):
            logits, state = model(torch.tensor([[ids[-1]]]), state)
            ids.append(int(rng.choice(5, p=logits[0, 0].double().softmax(0).numpy())))
    return np.array(ids[1:], np.uint8)


@pytest.mark.parametrize("factor", [0.8, 1.0, 1.25])
def test_the_temperature_that_fits_is_found(written, factor):
    """Logits too large by a factor need that temperature; the right ones, a temperature of 1."""
    model, ids, context = random_model(2), written, np.array([0])
    with torch.no_grad():
        model.head.weight.mul_(factor)
        model.head.bias.mul_(factor)
    loss, temperature = calibrate(model, ids, context)
    assert loss == pytest.approx(evaluate(model, ids, context), abs=1e-6)
    assert temperature == pytest.approx(factor, abs=0.07)

    before = torch.from_numpy(np.concatenate([context, ids[:-1]]).astype(np.int64))
    with torch.inference_mode():
        logits = model.eval()(before[None])[0][0].double()

    def at(temperature):
        return float(torch.nn.functional.cross_entropy(logits / temperature, torch.from_numpy(ids.astype(np.int64))))

    assert at(1) == pytest.approx(loss, abs=1e-6)
    grid = np.linspace(0.7, 1.4, 29)
    lowest = min(at(value) for value in grid)
    assert at(temperature) == pytest.approx(lowest, abs=2e-4)
    assert at(temperature) <= loss


def test_the_temperature_is_at_most_2():
    """On a text of nothing but the least likely token, no temperature would be high enough."""
    model = random_model(2)
    ids = np.zeros(50, np.uint8)
    with torch.no_grad():
        model.head.weight.zero_()
        model.head.bias.copy_(torch.tensor([-5.0, 0, 0, 0, 0]))
    assert calibrate(model, ids, np.array([0]))[1] == 2.0


def test_a_loss_that_is_not_finite_is_returned_with_a_temperature_of_1():
    model = random_model()
    with torch.no_grad():
        model.head.bias[2] = math.inf
    loss, temperature = calibrate(model, np.ones(300, np.uint8), np.array([0]))
    assert not math.isfinite(loss)
    assert temperature == 1.0
