"""The tasks read as text, and their scores for machines that recall and count perfectly, badly or not at all."""

from __future__ import annotations

import re

import numpy as np
import pytest
import torch
from torch import nn

from charlstm.lab.counting import count_b, counts_up_to
from charlstm.lab.long_range import longest_gap, recall_accuracy
from charlstm.lab.tasks import IGNORED, AnBn, DelayedRecall


class Machine(nn.Module):
    """A network that predicts what a function of the ids read so far returns."""

    def __init__(self, predict, vocab_size):
        super().__init__()
        self.predict, self.vocab_size = predict, vocab_size

    def forward(self, inputs, state=None):
        predictions = [[self.predict(row[: t + 1]) for t in range(len(row))] for row in inputs.tolist()]
        return nn.functional.one_hot(torch.tensor(predictions), self.vocab_size).float(), state


# ---- delayed recall -----------------------------------------------------------------------------------------------


def text_of(task, row):
    return "".join(("abcdefghijkl"[: task.letters] + "!?")[token] for token in row)


@pytest.mark.parametrize("length", [0, 1, 17])
def test_a_line_holds_the_letter_the_gap_and_the_answer(length):
    task = DelayedRecall(letters=5, max_prefix=3)
    prefixes = set()
    for seed in range(40):
        for row in task.lines(np.random.default_rng(seed), length, 4):
            line = re.fullmatch(r"([a-e]*)!([a-e])([a-e]*)\?([a-e])", text_of(task, row))
            assert line is not None
            assert len(line[3]) == length
            assert line[2] == line[4]
            prefixes.add(len(line[1]))
    assert prefixes == {0, 1, 2, 3}


def test_gaps_in_training_are_equally_frequent_in_every_octave_and_never_too_long():
    task = DelayedRecall(longest=63, max_prefix=0)
    batches = task.batches(1)
    gaps = [next(batches).inputs.shape[1] - 3 for _ in range(3000)]
    assert (min(gaps), max(gaps)) == (1, 63)
    octaves = np.bincount(np.log2(gaps).astype(int), minlength=6)
    assert np.all(np.abs(octaves - 500) < 100)


def test_a_machine_that_remembers_is_always_right_and_one_that_guesses_in_one_of_eight_lines():
    task = DelayedRecall()
    remembers = Machine(lambda ids: ids[ids.index(8) + 1] if 8 in ids[:-1] else 0, task.vocab_size)
    guesses = Machine(lambda ids: 3, task.vocab_size)
    assert recall_accuracy(remembers, task, 20) == 1.0
    assert recall_accuracy(guesses, task, 20) == pytest.approx(1 / 8, abs=0.07)


def test_the_longest_gap_is_the_last_before_the_first_failure():
    assert longest_gap([1.0, 0.95, 0.9, 0.89, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0]) == 4
    assert longest_gap([0.5] * 10) == 0
    assert longest_gap([1.0] * 10) == 512


# ---- counting -----------------------------------------------------------------------------------------------------


def test_every_line_is_learned_as_a_whole_and_the_padding_is_ignored():
    task = AnBn(longest=4, batch_size=50)
    batch = next(task.batches(3))
    ns = set()
    for inputs, targets in zip(batch.inputs.tolist(), batch.targets.tolist(), strict=True):
        learned = "".join("\nab"[token] for token in targets if token != IGNORED)
        n = learned.count("a")
        assert learned == "a" * n + "b" * n + "\n"
        assert inputs[: 2 * n + 1] == [0, *targets[: 2 * n]]
        assert all(token == IGNORED for token in targets[2 * n + 1 :])
        ns.add(n)
    assert ns == {1, 2, 3, 4}
    assert bool(batch.reset_mask.all())


def counter(limit):
    """A machine that counts to ``limit``, and no further."""
    return Machine(lambda ids: 0 if ids.count(2) >= min(ids.count(1), limit) else 2, 3)


def test_the_counts_are_those_a_counter_writes():
    task = AnBn()
    assert count_b(counter(1000), task, 12) == list(range(1, 13))
    assert count_b(counter(5), task, 8) == [1, 2, 3, 4, 5, 5, 5, 5]
    assert count_b(Machine(lambda ids: 2, 3), task, 5) == [55] * 5, "it never ends the line"
    assert count_b(Machine(lambda ids: 1, 3), task, 3) == [0, 0, 0], "an a after b is not in the language"


def test_scoring_leaves_the_mode_of_a_network_unchanged():
    counts, guesses = counter(3).train(), Machine(lambda ids: 0, 10).train()
    count_b(counts, AnBn(), 4)
    recall_accuracy(guesses, DelayedRecall(), 1)
    assert counts.training
    assert guesses.training


def test_counting_ends_before_the_first_mistake():
    assert counts_up_to([1, 2, 3, 5, 5]) == 3
    assert counts_up_to([2]) == 0
    assert counts_up_to([1, 2]) == 2
