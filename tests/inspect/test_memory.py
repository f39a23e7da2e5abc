"""How far back a network looks, for networks of which that is known."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch

from charlstm.errors import TextError, UsageError
from charlstm.inspect.memory import Memory, measure_memory
from tests.inspect.test_trace import SHAPES, network

TEXT = np.random.default_rng(3).integers(0, 9, 400)


def test_a_network_without_recurrence_loses_nothing():
    model = network(cell="rnn")
    with torch.no_grad():
        model.layers[0].weight_hh.zero_()
    found = measure_memory(model, TEXT, None, places=20)
    np.testing.assert_allclose(found.cut, np.repeat(found.whole[:, None], found.cut.shape[1], 1), atol=1e-5)
    assert found.reach(found.cut) == found.reach(found.shuffled) == 1
    assert found.gradient[1] == 0


def test_the_losses_are_those_of_the_text_cut_by_hand():
    model = network(**SHAPES["skip connections"])
    found = measure_memory(model, TEXT, None, places=5)
    assert found.distances == (1, 3, 10, 30, 100)
    for place, end in enumerate(np.unique(np.linspace(200, 399, 5).astype(int))):
        for column, distance in enumerate((*found.distances, 200)):
            with torch.no_grad():
                logits, _ = model(torch.from_numpy(TEXT[end - distance : end])[None])
            bits = float(-logits[0, -1].double().log_softmax(-1)[TEXT[end]]) / np.log(2)
            expected = found.whole[place] if distance == 200 else found.cut[place, column]
            assert expected == pytest.approx(bits, abs=1e-5)


def test_a_loss_within_two_standard_errors_is_none():
    whole = np.ones(100)
    noisy = np.where(np.arange(100) % 2, 3.1, -0.9)  # 0.1 bits more, with a standard error of 0.2
    surely = np.where(np.arange(100) % 2, 1.11, 1.09)  # 0.1 more, with one of 0.001
    slightly = np.where(np.arange(100) % 2, 1.006, 1.004)  # surely more, but half a hundredth of a bit
    found = Memory((1, 3), np.stack([surely, noisy], 1), np.stack([slightly, surely], 1), whole, np.ones(4))
    np.testing.assert_allclose(found.errors(found.cut), [0.001, 0.2])
    assert found.reach(found.cut) == 3
    assert found.reach(found.shuffled) == 1
    assert found.reach(np.stack([surely, surely], 1)) is None


def test_shuffling_keeps_words_whole_and_the_last_tokens_in_place():
    seen = []
    model = network(cell="rnn")
    model.register_forward_pre_hook(lambda module, arguments: seen.append(arguments[0].numpy().copy()))
    measure_memory(model, TEXT, 4, places=3)
    read = ((first, rest) for first, rest in pairwise(seen) if (first.shape[1], rest.shape) == (128, (3, 72)))
    whole = [np.concatenate(windows, 1) for windows in read][:5]  # one for each distance
    original = TEXT[0:200]
    assert len(whole) == 5
    for inputs, distance in zip(whole, (1, 3, 10, 30, 100), strict=True):
        np.testing.assert_array_equal(inputs[0, 200 - distance :], original[200 - distance :])
        early, mixed = (row[: 200 - distance].tolist() for row in (original, inputs[0]))
        assert sorted(early) == sorted(mixed)
        words = lambda row: sorted("".join(map(str, row)).replace("4", "4 ").split())  # noqa: E731
        assert abs(len(words(early)) - len(words(mixed))) <= 1
        assert len(set(words(early)) - set(words(mixed))) <= 2  # but the last one, which has no blank after it
        if distance < 100:
            assert early != mixed


def test_a_bidirectional_network_and_a_short_text_are_refused():
    with pytest.raises(UsageError, match="reads both ways"):
        measure_memory(network(**SHAPES["bidirectional"]), TEXT, None)
    with pytest.raises(TextError, match="5 tokens"):
        measure_memory(network(cell="rnn"), TEXT[:5], None)


def test_what_is_done_is_told_to_the_end():
    told: list[tuple[int, int]] = []
    measure_memory(network(cell="gru"), TEXT, None, places=3, progress=lambda *done: told.append(done))
    done, totals = zip(*told, strict=True)
    assert len(set(totals)) == 1
    assert list(done) == sorted(set(done))
    assert done[-1] == totals[0]
