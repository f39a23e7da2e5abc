"""The losses of a bidirectional network: each token from the middle of a window, and masked as in training."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from charlstm.evaluation import masked
from charlstm.evaluation.masked import evaluate_masked, pseudo_losses
from charlstm.nn.masking import mask_spans
from charlstm.nn.model import CharLM
from tests.networks import architecture


def random_model():
    torch.manual_seed(0)
    shape = {"vocab_size": 5, "embedding_size": 3, "hidden_size": 6, "num_layers": 1, "bidirectional": True}
    model = CharLM(architecture(**shape)).eval()
    with torch.no_grad():
        for weight in model.parameters():
            weight.normal_(std=0.7)
    return model


def random_ids(length):
    return np.random.default_rng(length).integers(5, size=length).astype(np.uint8)


def collect(losses, length):
    nats = np.full(length, np.nan)
    for positions, values in losses:
        assert np.isnan(nats[positions]).all(), "no token is scored twice"
        nats[positions] = values
    return nats


@given(st.integers(1, 400), st.integers(1, 40))
@settings(max_examples=25, deadline=None)
def test_every_token_is_scored_once_and_far_from_the_ends_of_its_window(length, seq_len):
    model, ids = random_model(), random_ids(length)
    nats = collect(pseudo_losses(model, ids, seq_len), length)
    size = min(seq_len, length)
    for token in {0, length // 3, length - 1}:
        # The windows in which the token is at least a quarter of the length from either end, unless the text ends there
        candidates = []
        for begin in range(max(0, token - size + 1), min(token, length - size) + 1):
            logits = model(torch.from_numpy(ids[begin : begin + size].astype(np.int64))[None])[0][0].detach().numpy()
            row = logits[token - begin].astype(np.float64)
            loss = math.log(np.exp(row).sum()) - row[ids[token]]
            far_from_begin = token - begin >= size // 4 or begin == 0
            far_from_end = begin + size - 1 - token >= size // 4 or begin + size == length
            if far_from_begin and far_from_end:
                candidates.append(loss)
        assert min(abs(nats[token] - loss) for loss in candidates) < 1e-4


def test_validation_masks_spans_as_training_does():
    model, ids = random_model(), random_ids(60)
    hidden = mask_spans(np.random.default_rng(0), 1, 60)[0]
    inputs = torch.from_numpy(np.where(hidden, 5, ids).astype(np.int64))[None]
    logits, _ = model(inputs)
    want = torch.nn.functional.cross_entropy(logits[0], torch.from_numpy(ids.astype(np.int64))).item()
    assert evaluate_masked(model, ids, 60) == pytest.approx(want, abs=1e-6)


def test_equal_logits_give_the_logarithm_of_the_vocabulary():
    model, ids = random_model(), random_ids(60)
    with torch.no_grad():
        model.head.weight.zero_()
        model.head.bias.zero_()
    assert evaluate_masked(model, ids, 16) == pytest.approx(math.log(5), abs=1e-6)


@pytest.mark.parametrize("windows", [1, 3, 7])
def test_fewer_windows_at_once_give_the_same_losses(monkeypatch, windows):
    model, ids = random_model(), random_ids(700)
    want, mean = collect(pseudo_losses(model, ids, 16), 700), evaluate_masked(model, ids, 16)
    monkeypatch.setattr(masked, "LARGEST_ARRAY", windows * 4 * 16 * 4 * model.architecture.hidden_size)
    np.testing.assert_allclose(collect(pseudo_losses(model, ids, 16), 700), want, atol=1e-6)
    assert evaluate_masked(model, ids, 16) == pytest.approx(mean, abs=1e-6)
