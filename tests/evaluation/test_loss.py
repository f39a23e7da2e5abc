"""The loss of a text: against a loop over single tokens, and in closed form."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from charlstm.evaluation.loss import bits_per_char, causal_losses, evaluate
from charlstm.nn.model import CharLM
from tests.networks import architecture, engine_for

SHAPE = {"vocab_size": 5, "embedding_size": 3, "hidden_size": 8, "num_layers": 2}


def random_model(scale=2, **more):
    torch.manual_seed(0)
    model = CharLM(architecture(**SHAPE, **more))
    with torch.no_grad():
        for weight in model.parameters():
            weight.mul_(scale)
    return model


def by_stepping(model, ids, context):
    """The nats of each token, by the NumPy engine, one token at a time."""
    engine = engine_for(model)
    state, nats = None, []
    text = [*context, *ids]
    for k in range(len(text) - 1):
        logits, state = engine.step(np.array([text[k]]), state)
        row = logits[0].astype(np.float64)
        nats.append(math.log(np.exp(row).sum()) - row[text[k + 1]])
    return nats[len(context) - 1 :]


@given(st.integers(1, 700))
@settings(max_examples=15, deadline=None)
def test_one_stream_equals_stepping_through_the_text(length):
    model = random_model()
    ids = np.random.default_rng(length).integers(5, size=length).astype(np.uint8)
    want = by_stepping(model, ids, [3])
    nats = np.concatenate([losses for _, losses in causal_losses(model, ids, np.array([3]))])
    np.testing.assert_allclose(nats, want, atol=1e-4)
    assert evaluate(model, ids, np.array([3])) == pytest.approx(np.mean(want), abs=1e-5)


@given(st.integers(600, 5000), st.integers(2, 9), st.sampled_from([1, 40, 400]))
@settings(max_examples=10, deadline=None)
def test_parallel_streams_score_every_token_and_nearly_agree(length, streams, before):
    model = random_model(1)  # with larger recurrent weights the first tokens are never forgotten
    rng = np.random.default_rng(length)
    ids, context = rng.integers(5, size=length).astype(np.uint8), rng.integers(5, size=before).astype(np.uint8)
    exact = evaluate(model, ids, context)
    assert evaluate(model, ids, context, streams=streams) == pytest.approx(exact, abs=2e-3)
    in_order = np.full(length, np.nan)
    parallel = in_order.copy()
    for nats_of, count in ((in_order, 1), (parallel, streams)):
        for positions, nats in causal_losses(model, ids, context, streams=count):
            assert np.isnan(nats_of[positions]).all(), "no token is scored twice"
            nats_of[positions] = nats
    assert parallel.mean() == pytest.approx(evaluate(model, ids, context, streams=streams), abs=1e-6)
    np.testing.assert_allclose(parallel, in_order, atol=0.05)


@pytest.mark.parametrize("before", [1, 900])
def test_each_stream_begins_with_a_match_memory_that_knows_the_text_before_it(before):
    model = random_model(1, match_orders=(3, 6), match_slots=4096)
    torch.nn.init.normal_(model.side_inputs["match"].weight)  # so that a match changes much
    rng = np.random.default_rng(0)
    ids = np.tile(rng.integers(5, size=1500), 2).astype(np.uint8)  # what the second half matches is before its streams
    context = rng.integers(5, size=before).astype(np.uint8)
    nats = np.full((2, len(ids)), np.nan)
    for row, streams in enumerate((1, 4)):
        for positions, losses in causal_losses(model, ids, context, streams=streams):
            nats[row, positions] = losses
    np.testing.assert_allclose(nats[1], nats[0], atol=1e-3)


@pytest.mark.parametrize("bias", [math.inf, math.nan])
def test_a_loss_that_is_not_finite_is_returned(bias):
    model = random_model()
    with torch.no_grad():
        model.head.bias[2] = bias
    assert not math.isfinite(evaluate(model, np.ones(300, np.uint8), np.array([0])))


def test_equal_logits_cost_the_logarithm_of_the_vocabulary():
    model = random_model()
    with torch.no_grad():
        model.head.weight.zero_()
        model.head.bias.zero_()
    ids = np.zeros(1000, np.uint8)
    for streams in (1, 3):
        assert evaluate(model, ids, np.array([0]), streams=streams) == pytest.approx(math.log(5), abs=1e-6)


def test_evaluation_changes_neither_mode_nor_random_numbers():
    model = random_model(dropout=0.5).train()
    before = torch.get_rng_state()
    evaluate(model, np.zeros(300, np.uint8), np.array([0]))
    assert model.training
    assert torch.equal(torch.get_rng_state(), before)


def test_bits_per_char_counts_characters_not_tokens():
    # 100 tokens of 3 bits each for 150 characters: 2 bits per character.
    assert bits_per_char(3 * math.log(2), 100, 150) == pytest.approx(2.0)
