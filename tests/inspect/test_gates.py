"""Saturation counted one by one; the order of units finds a structure that was hidden by shuffling."""

from __future__ import annotations

import numpy as np
import pytest

from charlstm.inspect.gates import saturation, spectral_order
from charlstm.inspect.trace import trace
from tests.inspect.test_trace import SHAPES, network


@pytest.mark.parametrize(("cell", "gates"), [("lstm", "ifo"), ("gru", "rz"), ("peephole", "ifo"), ("rnn", "")])
def test_saturation_is_a_share_of_the_text(cell, gates):
    traced = trace(network(**SHAPES[cell]), np.random.default_rng(1).integers(0, 9, 30)).layers["layers"][0]
    measured = saturation(traced)
    assert "".join(each.gate for each in measured) == gates
    for each in measured:
        values = traced.parts[each.gate]
        for unit in range(8):
            assert each.shut[unit] == pytest.approx(sum(value < 0.1 for value in values[:, unit]) / 30)
            assert each.open[unit] == pytest.approx(sum(value > 0.9 for value in values[:, unit]) / 30)


def test_units_that_do_alike_become_neighbours():
    rng = np.random.default_rng(4)
    time = np.linspace(0, 3, 200)
    phases = np.linspace(0, 0.4, 24)  # each unit is most like the next one
    waves = np.sin(2 * np.pi * (time[:, None] + phases / 2))
    shuffle, flips = rng.permutation(24), rng.choice([-1, 1], 24)
    order, flipped = spectral_order((waves[:, shuffle] * flips).astype(np.float32))
    places = shuffle[order]
    steps = np.abs(np.diff(places))
    assert np.median(steps) == 1  # after shuffling it is about 8
    signs = np.where(flipped, -1, 1) * flips[order]
    close = steps <= 2
    assert (signs[1:] == signs[:-1])[close].all()


@pytest.mark.parametrize("shape", [(1, 5), (10, 1), (10, 2), (4, 4)])
def test_any_number_of_units_has_an_order(shape):
    for values in (np.zeros(shape), np.random.default_rng(1).normal(size=shape)):
        order, flipped = spectral_order(values.astype(np.float32))
        assert sorted(order) == list(range(shape[1]))
        assert flipped.shape == order.shape
