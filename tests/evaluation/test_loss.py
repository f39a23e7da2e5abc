"""The loss of a text, against a loop over single steps and against what is known in closed form."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from charlstm.engine import Engine
from charlstm.evaluation.calibration import calibrate
from charlstm.evaluation.loss import bits_per_char, evaluate, surprise
from charlstm.nn.model import CharLM
from tests.networks import architecture

SHAPE = {"vocab_size": 5, "embedding_size": 3, "hidden_size": 8, "num_layers": 2}


def random_model(scale=2, **more):
    torch.manual_seed(0)
    model = CharLM(architecture(**SHAPE, **more))
    with torch.no_grad():
        for weight in model.parameters():
            weight.mul_(scale)
    return model


def by_stepping(model, ids, context):
    """Nats of each token, by the NumPy engine, one token after the other."""
    tokenizer = {"kind": "char", "alphabet": "abcde", "unknown": False}
    engine = Engine(model.to_tensors(), {"model": model.architecture.settings()}, tokenizer)
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
    np.testing.assert_allclose(surprise(model, ids, np.array([3])), want, atol=1e-4)
    assert evaluate(model, ids, np.array([3])) == pytest.approx(np.mean(want), abs=1e-5)


@pytest.fixture(scope="module")
def written():
    """A text that `random_model(2)` itself would write, drawn token by token."""
    model, rng, state, ids = random_model(2), np.random.default_rng(0), None, [0]
    with torch.inference_mode():
        for _ in range(4000):
            logits, state = model(torch.tensor([[ids[-1]]]), state)
            ids.append(int(rng.choice(5, p=logits[0, 0].double().softmax(0).numpy())))
    return np.array(ids[1:], np.uint8)


@pytest.mark.parametrize("surer", [0.8, 1.0, 1.25])
def test_the_temperature_that_fits_is_found(written, surer):
    """What is too sure of itself by a factor needs that factor; of one that is as sure as it may be, nothing."""
    model, ids, context = random_model(2), written, np.array([0])
    with torch.no_grad():
        model.head.weight.mul_(surer)
        model.head.bias.mul_(surer)
    loss, temperature = calibrate(model, ids, context)
    assert loss == pytest.approx(evaluate(model, ids, context), abs=1e-6)
    assert temperature == pytest.approx(surer, abs=0.07)

    def at(temperature):
        other = random_model(2)
        with torch.no_grad():
            other.head.weight.mul_(surer / temperature)
            other.head.bias.mul_(surer / temperature)
        return evaluate(other, ids, context)

    grid = np.linspace(0.7, 1.4, 29)
    lowest = min(at(value) for value in grid)
    assert at(temperature) == pytest.approx(lowest, abs=2e-4)
    assert at(temperature) <= loss


def test_a_temperature_stays_within_reason():
    """On a text in which always the unlikeliest comes, nothing would be sure enough of nothing."""
    model = random_model(2)
    ids = np.zeros(50, np.uint8)
    with torch.no_grad():
        model.head.weight.zero_()
        model.head.bias.copy_(torch.tensor([-5.0, 0, 0, 0, 0]))
    assert calibrate(model, ids, np.array([0]))[1] == 2.0


@given(st.integers(600, 5000), st.integers(2, 9), st.sampled_from([1, 40, 400]))
@settings(max_examples=10, deadline=None)
def test_parallel_streams_score_every_token_and_nearly_agree(length, streams, before):
    model = random_model(1)  # larger recurrent weights never forget where they began
    rng = np.random.default_rng(length)
    ids, context = rng.integers(5, size=length).astype(np.uint8), rng.integers(5, size=before).astype(np.uint8)
    exact = evaluate(model, ids, context)
    assert evaluate(model, ids, context, streams=streams) == pytest.approx(exact, abs=2e-3)


def test_equal_logits_cost_the_logarithm_of_the_vocabulary():
    model = random_model()
    with torch.no_grad():
        model.head.weight.zero_()
        model.head.bias.zero_()
    ids = np.zeros(1000, np.uint8)
    for streams in (1, 3):
        assert evaluate(model, ids, np.array([0]), streams=streams) == pytest.approx(math.log(5), abs=1e-6)


def test_evaluating_disturbs_neither_mode_nor_random_numbers():
    model = random_model(dropout=0.5).train()
    before = torch.get_rng_state()
    evaluate(model, np.zeros(300, np.uint8), np.array([0]))
    assert model.training
    assert torch.equal(torch.get_rng_state(), before)


def test_bits_per_char_counts_characters_not_tokens():
    # 100 tokens of 3 bits each that spell 150 characters: 2 bits a character.
    assert bits_per_char(3 * math.log(2), 100, 150) == pytest.approx(2.0)
