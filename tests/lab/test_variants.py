"""Networks that are compared: alike in size, in time or in steps, and none sees what it is tested on."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from charlstm.lab import claims
from charlstm.lab.texts import Text
from charlstm.lab.trainee import Trainee
from charlstm.lab.variants import (
    SMALL_TEXT,
    SPEED,
    SPEED_UNITS,
    TEXT,
    Variant,
    setups,
    train_variants,
)
from charlstm.nn.model import CharLM

LSTM, GRU = Variant("LSTM", TEXT), Variant("GRU", TEXT, "gru")
BOTH = Variant("two directions", TEXT, settings=(("bidirectional", True),))


def text_of(ids, vocab):
    ids = np.asarray(ids, np.uint8)
    return Text("some", vocab, ids[:-1000], ids[-1000:])


def letters(vocab, length=6000):
    return text_of(np.random.default_rng(1).integers(vocab, size=length), vocab)


def finish(running):
    """Run a generator to its end and return what it returns."""
    while True:
        try:
            next(running)
        except StopIteration as done:
            return done.value


@pytest.fixture
def clock(monkeypatch):
    """Sets a clock on which every step takes the same time."""

    def set_clock(seconds):
        ticks = itertools.count()
        monkeypatch.setattr("charlstm.lab.trainee.time.perf_counter", lambda: seconds * next(ticks))

    return set_clock


@pytest.mark.parametrize("vocab", [30, 85])
def test_networks_of_one_setup_have_equally_many_parameters_or_units(vocab):
    every = setups(letters(vocab))
    variants = {side.variant for row in claims.numbered() for side in row.comparison.measured}
    for variant in variants:
        setup = every[variant.setup]
        architecture = variant.architecture(setup)
        if variant.setup == SPEED:
            assert architecture.hidden_size == SPEED_UNITS
        else:
            count = CharLM(architecture).parameter_count()
            assert count == pytest.approx(setup.parameters, rel=0.05), variant


def test_the_small_text_is_the_beginning_of_the_large_one():
    long, short = letters(3, 200_000), letters(3)
    for text, size in ((long, 10_000), (short, 625)):
        every = setups(text)
        small = every[SMALL_TEXT].text
        assert np.array_equal(small.train, text.train[:size])
        assert np.array_equal(small.held_out, every[TEXT].text.held_out)


def test_as_many_steps_as_another_network_whatever_time_they_take(clock):
    clock(0.05)
    same = Variant("as many", TEXT, steps_of=GRU)
    running = train_variants([same, LSTM, GRU], setups(letters(3))[TEXT], 2, 0.62)
    trained = finish(running)
    assert list(trained) == [LSTM, GRU, same], "it begins when the number is known"
    for one, other in zip(trained[GRU], trained[same], strict=True):
        assert one.trainee.steps == other.trainee.steps
        assert one.trainee.finished
        assert other.trainee.finished
        assert len(one.losses) == len(other.losses) == 8


@given(st.integers(1, 12), st.floats(0.01, 100))
@settings(max_examples=10, deadline=None)
def test_a_number_of_steps_is_kept_exactly(steps, budget):
    setup = setups(letters(3))[TEXT]
    small = LSTM.architecture(setup).replace(hidden_size=2)
    trainee = Trainee(small, 1, setup.train, setup.batches(1), budget, steps)
    trainee.train_until(budget)
    assert trainee.steps == steps
    assert trainee.finished
    assert trainee.spent == budget


def learned(text, variant, steps):
    """The lowest loss of a small network of a variant after some steps."""
    setup = replace(setups(text)[TEXT], parameters=2_000)
    (network,) = finish(train_variants([variant], setup, 1, float(steps)))[variant]
    return min(network.losses)


def test_two_directions_cannot_copy_the_letter_that_they_predict(clock):
    clock(1)
    assert learned(letters(3), BOTH, 60) > math.log(3) - 0.02, "letters that are independent cannot be known"


def test_what_only_the_next_letter_tells_is_learned_from_both_sides_alone(clock):
    """Of pairs x y with y = x + 2, the first is a coin to a reader from the left, and known from the right."""
    clock(1)
    coins = np.random.default_rng(2).integers(2, size=3000)
    text = text_of(np.stack([coins, coins + 2], 1).ravel(), 4)
    assert learned(text, LSTM, 100) > math.log(2) / 2 - 0.03
    assert learned(text, BOTH, 100) < 0.25
