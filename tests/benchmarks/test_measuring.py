"""The measuring itself: in turn, without the warm-up; and a loss in windows that equals a plain loop."""

import math

import numpy as np
import pytest
import torch
from torch.nn.functional import log_softmax, nll_loss

from benchmarks.runs import WINDOWS_AT_ONCE, loss_in_windows
from benchmarks.sampling import with_better_threads
from benchmarks.timing import interleaved


def test_runs_take_turns_and_the_first_round_does_not_count():
    calls = []

    def run(name, value):
        calls.append(name)
        return value * len(calls)

    values = interleaved({"a": lambda: run("a", 1.0), "b": lambda: run("b", 10.0)}, rounds=2, pause=0)
    assert calls == ["a", "b"] * 3
    assert values == {"a": [3.0, 5.0], "b": [40.0, 60.0]}


def test_a_run_that_cannot_run_is_left_out():
    assert interleaved({"a": lambda: math.nan, "b": lambda: 1.0}, rounds=1, pause=0) == {"b": [1.0]}


def test_a_peer_counts_with_its_better_number_of_threads():
    speeds = {"charlstm": [5.0], "nn.LSTM, 1 threads": [1.0, 9.0, 2.0], "nn.LSTM, 2 threads": [3.0, 3.0, 3.0]}
    assert with_better_threads(speeds) == {"charlstm": [5.0], "nn.LSTM": [3.0, 3.0, 3.0]}


@pytest.mark.parametrize("tokens", [2, 9, 17, 8 * WINDOWS_AT_ONCE + 1, 8 * WINDOWS_AT_ONCE + 6])
def test_the_loss_in_windows_is_that_of_every_token_in_its_own_window(tokens):
    """The toy network predicts from how many tokens its window has read so far, and from the last one."""
    window, vocab = 8, 5
    random = np.random.default_rng(tokens)
    ids = random.integers(vocab, size=tokens)
    logits = torch.from_numpy(random.standard_normal((window, vocab, vocab)))

    def window_loss(inputs, targets):
        chosen = logits[torch.arange(inputs.shape[1])[None].expand_as(inputs), inputs]
        return nll_loss(log_softmax(chosen, -1).flatten(0, 1), targets.flatten(), reduction="sum").item()

    expected = []
    for place in range(tokens - 1):
        scores = logits[place % window, ids[place]].numpy()
        expected.append(math.log(sum(math.exp(score) for score in scores)) - scores[ids[place + 1]])
    assert loss_in_windows(window_loss, ids, window) == pytest.approx(sum(expected) / len(expected), rel=1e-9)
