"""The laws of windows: targets one later, streams rejoin to the text, a cursor is enough to go on."""

from collections import Counter
from itertools import islice

import numpy as np
import torch
from hypothesis import assume, given
from hypothesis import strategies as st

from charlstm.config import DataConfig
from charlstm.training.batches import NO_TARGET, RecordBatches, TbpttBatches, permute

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


@given(sizes, st.integers(1, 4), st.integers(1, 20), st.integers(1, 3), st.integers(1, 300))
def test_where_a_stream_begins_its_batch_has_what_comes_before(length, batch, seq_len, groups, reach):
    config = DataConfig(batch_size=batch, seq_len=seq_len, streams=batch * groups)
    made = TbpttBatches(np.arange(length, dtype=np.uint32), config, seed=7, reach=reach)
    for number, window in enumerate(islice(made.start_from(1, 0), made.per_epoch)):
        span = max(1, length // (batch * groups))
        before = min(reach, length - span, length // 16)
        if number >= groups or not before:
            assert window.before is None
            continue
        assert window.before.shape == (batch, before), "nothing of the stream itself, and little of a short text"
        whole = torch.cat((window.before, window.inputs[:, :1]), 1)
        assert torch.equal((whole[:, :-1] + 1) % length, whole[:, 1:])


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


END = 0
lists = st.lists(st.integers(1, 30), min_size=1, max_size=40)


def record_batches(lengths, batch, seq_len):
    # Each record has a number of its own, so that a token tells its record; 0 ends it.
    ids = np.concatenate([np.append(np.full(length, number + 1), END) for number, length in enumerate(lengths)])
    return RecordBatches(ids.astype(np.uint32), (END,), DataConfig(batch_size=batch, seq_len=seq_len), seed=7)


@given(lists, st.integers(1, 5), st.integers(1, 12))
def test_every_record_is_read_whole_from_the_zero_state_in_every_epoch(lengths, batch, seq_len):
    made = record_batches(lengths, batch, seq_len)
    rows = [[] for _ in range(batch)]
    read = Counter()
    for window in made.start_from(0, 0):
        if window.reset_mask.any() or window.epoch:
            assert window.reset_mask.all() or window.epoch
            read.update(tuple(row) for row in rows if row)
            rows = [[] for _ in range(batch)]
        if window.epoch:
            break
        assert window.inputs.shape[1] <= seq_len
        for row, (inputs, targets) in enumerate(zip(window.inputs.tolist(), window.targets.tolist(), strict=True)):
            for before, target in zip(inputs, targets, strict=True):
                if target != NO_TARGET:
                    assert before == (rows[row][-1] if rows[row] else END)
                    rows[row].append(target)
    whole = {(*[number + 1] * length, END) for number, length in enumerate(lengths)}
    assert set(read) == whole
    assert sum(read.values()) - len(whole) < batch, "only the last batch is filled up"


@given(lists, st.integers(1, 4), st.integers(1, 12))
def test_records_continue_exactly_from_a_cursor(lengths, batch, seq_len):
    straight = list(islice(record_batches(lengths, batch, seq_len).start_from(0, 0), 12))
    for k in (1, 5, 11):
        made = record_batches(lengths, batch, seq_len)
        again = next(made.start_from(straight[k - 1].epoch, straight[k - 1].index + 1))
        assert torch.equal(again.inputs, straight[k].inputs)
        assert torch.equal(again.targets, straight[k].targets)
        assert torch.equal(again.reset_mask, straight[k].reset_mask)
        assert made.passes(straight[k].epoch, straight[k].index) < straight[k].epoch + 1


def test_records_of_similar_length_stand_side_by_side_and_not_the_same_in_every_epoch():
    lengths = np.random.default_rng(0).integers(1, 60, 640).tolist()
    made = record_batches(lengths, 16, 64)
    epochs = [list(islice(made.start_from(epoch, 0), 40)) for epoch in (0, 1)]
    used = sum(window.tokens for window in epochs[0]) / sum(window.targets.numel() for window in epochs[0])
    assert used > 0.9
    neighbours = [{frozenset(window.targets[:, 0].tolist()) for window in epoch} for epoch in epochs]
    assert not neighbours[0] & neighbours[1]
