"""Cells are compared fairly: nearly equal parameter counts, equal time, and no verdict after too little of it."""

from __future__ import annotations

import itertools
import re
import time

import pytest
import torch

from charlstm.config import TrainConfig
from charlstm.errors import CharlstmError
from charlstm.lab import counting, long_range
from charlstm.lab.side_by_side import (
    CELL_NAMES,
    CellComparison,
    config_of_size,
    short_training_note,
    train_side_by_side,
)
from charlstm.lab.trainee import Trainee
from charlstm.nn.model import CharLM
from charlstm.report.experiment import Result
from charlstm.training.batches import Batch

TRAIN = TrainConfig(optimizer="adamw", lr=1e-2)


def batches():
    """Endless batches of abab…"""
    ids = torch.arange(9).remainder(2).expand(2, 9)
    while True:
        yield Batch(ids[:, :-1], ids[:, 1:], torch.ones(2, dtype=torch.bool), 0, 0, 0)


def trainee(cell, budget, seed=1):
    return Trainee(config_of_size(cell, 300, 2, 2), seed, TRAIN, batches(), budget)


@pytest.fixture
def steps_take(monkeypatch):
    """Sets a clock on which every step takes the same time, however busy this machine is."""

    def set_clock(seconds):
        ticks = itertools.count()
        monkeypatch.setattr(time, "perf_counter", lambda: seconds * next(ticks))

    return set_clock


@pytest.mark.parametrize("parameters", [1, 900, 20_000])
@pytest.mark.parametrize("cell", CELL_NAMES)
def test_the_hidden_size_gives_the_nearest_parameter_count(cell, parameters):
    config = config_of_size(cell, parameters, 11, 5)
    counts = [
        CharLM(config.replace(hidden_size=hidden)).parameter_count()
        for hidden in range(max(1, config.hidden_size - 3), config.hidden_size + 4)
    ]
    count = CharLM(config).parameter_count()
    assert abs(count - parameters) == min(abs(other - parameters) for other in counts)


def test_all_train_for_equal_time_in_turns(steps_take):
    steps_take(0.005)
    trainees = [trainee(cell, 0.7) for cell in CELL_NAMES]
    stages = [(event.share, [each.seconds for each in trainees]) for event in train_side_by_side(trainees)]
    shares = [share for share, _ in stages]
    assert shares == sorted(shares)
    assert shares[-1] == 1.0
    for _, seconds in stages:
        assert max(seconds) - min(seconds) < 0.31, "nobody is more than a turn ahead"
    assert all(0.7 <= each.seconds < 0.71 for each in trainees)
    assert all(each.loss < 0.3 for each in trainees), "abab… is learned"
    assert all(each.characters == each.steps * 16 for each in trainees)


def test_training_stops_after_the_turn_in_which_it_should():
    trainees = [trainee(cell, 60.0) for cell in ("rnn", "gru")]
    assert len(list(train_side_by_side(trainees, lambda: True))) == 1
    assert [bool(each.steps) for each in trainees] == [True, False]


def test_the_seed_gives_the_initial_weights_and_torchs_generator_stays():
    before = torch.random.get_rng_state()
    first, same, other = (trainee("gru", 1.0, seed).model for seed in (1, 1, 2))
    assert torch.equal(first.head.weight, same.head.weight)
    assert not torch.equal(first.head.weight, other.head.weight)
    assert torch.equal(before, torch.random.get_rng_state())


@pytest.mark.parametrize(
    ("options", "where"),
    [
        ({"cells": ("lstm", "elman")}, "cells"),
        ({"cells": ("rnn", "rnn")}, "cells"),
        ({"cells": ()}, "cells"),
        ({"seeds": 0}, "seeds"),
    ],
)
def test_an_impossible_comparison_is_an_error_of_one_line(options, where):
    with pytest.raises(CharlstmError) as error:
        CellComparison(**options)
    assert error.value.what.startswith(f"`{where}")
    assert "\n" not in str(error.value)


def test_the_shortest_training_decides_whether_it_was_long_enough(steps_take):
    steps_take(0.1)
    short, long = trainee("rnn", 9.0), trainee("gru", 9.0)
    long.train_until(8.5)
    short.train_until(7.85)
    assert "7.9 s" in short_training_note([long, short])[0]
    short.train_until(8.1)
    assert short_training_note([long, short]) == ()


@pytest.mark.parametrize("experiment", [counting, long_range])
@pytest.mark.parametrize(("seconds", "enough"), [(7.0, False), (8.1, True)])
def test_a_report_gives_verdicts_only_after_8_s_for_each_network(experiment, seconds, enough, steps_take):
    steps_take(0.3)
    *_, report = experiment.run(CellComparison(("rnn", "lstm"), seeds=1, seconds=2 * seconds), 100)
    verdicts = [finding for finding in report.findings if re.match("Supported|Refuted|Inconclusive", finding)]
    assert len(verdicts) == 1
    assert ("too short to tell" in verdicts[0]) is not enough
    assert enough or verdicts[0].startswith("Inconclusive: the lstm")


@pytest.mark.parametrize("experiment", [counting, long_range])
def test_an_experiment_does_not_change_the_callers_threads_or_generator(experiment):
    threads, generator = torch.get_num_threads(), torch.random.get_rng_state()
    running = experiment.run(CellComparison(("rnn",), seeds=1, seconds=0.1), 100)
    next(running)
    assert torch.get_num_threads() == threads, "neither while it is suspended"
    assert isinstance(list(running)[-1], Result)
    assert torch.get_num_threads() == threads
    assert torch.equal(generator, torch.random.get_rng_state())
