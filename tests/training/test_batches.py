"""The laws of windows: targets one later, streams rejoin to the text, a cursor is enough to go on."""

from itertools import islice

import numpy as np
import torch
from hypothesis import assume, given
from hypothesis import strategies as st

from charlstm.config import DataConfig
from charlstm.training.batches import TbpttBatches, permute

sizes = st.integers(2, 400)


def windows_of(length, batch, seq_len, groups=1, **more):
    # Distinct numbers, so that a place in the text can be read off a token.
    config = DataConfig(batch_size=batch, seq_len=seq_len, streams=batch * groups, **more)
    return TbpttBatches(np.arange(length, dtype=np.uint32), config, seed=7)


@given(sizes, st.integers(1, 5), st.integers(1, 20), st.integers(1, 3), st.sampled_from(["stateful", "shuffled"]))
def test_targets_are_inputs_one_later(length, batch, seq_len, groups, kind):
    made = windows_of(length, batch, seq_len, groups, windows=kind)
    for window in islice(made.start_from(0, 0), 8):
        assert window.inputs.shape == window.targets.shape
        assert window.inputs.shape[0] == batch
        assert torch.equal((window.inputs + 1) % length, window.targets)


@given(sizes, st.integers(1, 5), st.integers(1, 20), st.integers(1, 3))
def test_the_streams_of_an_epoch_rejoin_to_the_text(length, batch, seq_len, groups):
    assume(batch * groups <= length)
    made = windows_of(length, batch, seq_len, groups, reset_prob=0.0)
    streams = [[] for _ in range(batch * groups)]
    for window in islice(made.start_from(0, 0), made.per_epoch):
        for row, ids in enumerate(window.inputs.tolist()):
            streams[window.group * batch + row] += ids
        assert window.reset_mask.all().item() == (not streams[window.group * batch][window.inputs.shape[1] :])
    joined = [token for stream in streams for token in stream]
    assert len(joined) == batch * groups * (length // (batch * groups)), "less than a row's width is left for next time"
    assert joined == [(joined[0] + k) % length for k in range(len(joined))], "the ring, from some place on"


@given(sizes, st.integers(1, 4), st.integers(1, 20), st.integers(1, 3), st.sampled_from(["stateful", "shuffled"]))
def test_batches_continue_exactly_from_a_cursor(length, batch, seq_len, groups, kind):
    made = windows_of(length, batch, seq_len, groups, windows=kind)
    straight = list(islice(made.start_from(0, 0), 12))
    for k in (1, 5, 11):
        cursor = (straight[k - 1].epoch, straight[k - 1].index + 1)
        again = next(windows_of(length, batch, seq_len, groups, windows=kind).start_from(*cursor))
        assert torch.equal(again.inputs, straight[k].inputs)
        assert torch.equal(again.reset_mask, straight[k].reset_mask)


def test_epochs_cut_the_text_at_different_places():
    made = windows_of(1000, 4, 10)
    starts = {next(made.start_from(epoch, 0)).inputs[0, 0].item() for epoch in range(20)}
    assert len(starts) > 15


def test_states_are_reset_with_reset_prob():
    made = windows_of(100_000, 10, 10, reset_prob=0.1)
    fresh = torch.stack([window.reset_mask for window in islice(made.start_from(0, 1), 900)]).float().mean().item()
    assert 0.08 < fresh < 0.12


def test_groups_take_turns_and_together_visit_every_stream():
    made = windows_of(1200, 2, 10, groups=3)
    assert [window.group for window in islice(made.start_from(0, 0), 7)] == [0, 1, 2, 0, 1, 2, 0]


@given(st.integers(1, 3000), st.integers(0, 99))
def test_permute_is_a_permutation(size, key):
    places = permute(np.arange(size), size, (key,))
    assert sorted(places.tolist()) == list(range(size))


def test_permute_shuffles():
    places = permute(np.arange(10_000), 10_000, (1,))
    # Neighbours of a random permutation are a third of the range apart on average.
    assert 3000 < np.abs(np.diff(places)).mean() < 3700
    assert (permute(np.arange(10_000), 10_000, (2,)) == places).mean() < 0.01


def test_shuffled_epochs_visit_every_window_once():
    made = windows_of(640, 4, 10, windows="shuffled")
    starts = [int(s) for window in islice(made.start_from(0, 0), made.per_epoch) for s in window.inputs[:, 0]]
    assert len(set(starts)) == len(starts) == 64
