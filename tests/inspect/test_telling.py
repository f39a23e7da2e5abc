"""Holding and ablating units, against a network stepped by hand with the state changed."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from charlstm.inspect.hold import HeldEngine, Hold
from charlstm.inspect.telling import bits_lost, write_held
from charlstm.inspect.units import Unit
from charlstm.sampling.config import SampleConfig
from tests.inspect.test_trace import SHAPES, network
from tests.networks import engine_for

IDS = np.random.default_rng(6).integers(0, 9, 30)


def losses_by_hand(model, unit, value):
    """The mean loss in bits with one part of the state set after every step, stepped with torch."""
    state, nats = None, []
    stack = model.architecture.stacks.index(unit.stack) if unit else 0
    for token, target in zip(IDS[:-1].tolist(), IDS[1:].tolist(), strict=True):
        with torch.no_grad():
            logits, state = model(torch.tensor([[token]]), state)
        nats.append(float(-logits[0, 0].log_softmax(-1)[target]))
        if unit:
            state.layers[stack][unit.layer]["hc".index(unit.part)][0, unit.number] = value
    return np.mean(nats) / math.log(2)


@pytest.mark.parametrize(
    ("name", "stack"), [("lstm", "layers"), ("skip connections", "layers"), ("ensemble", "layers_3")]
)
@pytest.mark.parametrize("part", ["h", "c"])
def test_bits_lost_are_those_of_a_network_whose_state_is_changed(name, stack, part):
    model = network(**SHAPES[name])
    units = [Unit(stack, 0, part, 2), Unit(stack, 0, part, 5)]
    got = bits_lost(engine_for(model), IDS, units, np.array([0.7, -0.2]))
    whole = losses_by_hand(model, None, 0)
    for lost, unit, value in zip(got, units, (0.7, -0.2), strict=True):
        assert lost == pytest.approx(losses_by_hand(model, unit, value) - whole, abs=1e-4)
        assert abs(lost) > 1e-6


def test_a_text_without_a_hold_is_written_as_ever():
    engine = engine_for(network(**SHAPES["gru"]))
    held = HeldEngine(engine, [None, Hold(Unit("layers", 1, "h", 3), 0.9)])
    state = other = None
    for token in IDS:
        logits, state = held.step(np.array([token, token]), state)
        plain, other = engine.step([token], other)
        np.testing.assert_allclose(logits[0], plain[0], atol=1e-5)
    assert np.abs(logits[1] - plain[0]).max() > 1e-4
    assert state.layers[0][1][0][1, 3] == pytest.approx(0.9)


def test_what_is_written_depends_on_the_unit():
    engine = engine_for(network(**SHAPES["lstm"]))
    config = SampleConfig(length=60, seed=4)
    holds = [Hold(Unit("layers", 0, "c", 1), value) for value in (30.0, -30.0)]
    high, low = (write_held(engine, hold, IDS[:0], config, ()) for hold in holds)
    assert high != low
    assert len(high) == len(low) == 60
