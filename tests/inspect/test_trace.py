"""A trace against the fused windows, the cells stepped one by one, and the engine in NumPy."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from charlstm.errors import CheckpointError
from charlstm.inspect.trace import trace, trace_windows
from charlstm.nn.cells import STEPS, next_state
from charlstm.nn.model import CharLM
from tests.networks import architecture, bidirectional_engine_for, engine_for

SHAPES = {
    "rnn": {"cell": "rnn", "num_layers": 2},
    "lstm": {"cell": "lstm", "num_layers": 1},
    "gru": {"cell": "gru", "num_layers": 2},
    "peephole": {"cell": "peephole", "num_layers": 2},
    "skip connections": {"cell": "lstm", "num_layers": 3, "skip_connections": True},
    "ensemble": {"cell": "lstm", "num_layers": 1, "ensemble": 3, "ngram_order": 3, "ngram_buckets": 64},
    "side inputs": {"cell": "gru", "ngram_order": 3, "ngram_buckets": 64, "match_orders": (2, 3), "match_slots": 64},
    "attention": {"cell": "lstm", "num_layers": 2, "attention_window": 5},
    "bidirectional": {"cell": "lstm", "num_layers": 2, "bidirectional": True},
}


def network(**shape):
    torch.manual_seed(5)
    settings = {"vocab_size": 9, "embedding_size": 6, "hidden_size": 8, "num_layers": 1, **shape}
    model = CharLM(architecture(**settings)).eval()
    for name, weight in model.named_parameters():  # what begins at zero would hide mistakes
        if "side_inputs" in name or "attention" in name or "peephole" in name or "bias" in name:
            torch.nn.init.normal_(weight, std=0.5)
    return model


@pytest.fixture
def ids():
    return np.random.default_rng(2).integers(0, 9, 40)


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_every_part_is_what_the_cell_computes_step_by_step(shape, ids):
    model = network(**shape)
    traced = trace(model, ids)
    for name, stack in traced.layers.items():
        for depth, layer in enumerate(stack):
            module = model.get_submodule(f"{name}.{depth}")
            state = module.empty_state(1)
            order = range(len(ids)) if name != "backwards" else range(len(ids) - 1, -1, -1)
            for t in order:
                parts = STEPS[shape["cell"]](torch.from_numpy(layer.inputs[t].copy())[None], state, *module.weights)
                for part, before in zip(state, layer.before, strict=True):
                    np.testing.assert_allclose(before[t], part[0].detach(), atol=1e-5)
                assert set(parts) == set(layer.parts)
                for letter, value in parts.items():
                    np.testing.assert_allclose(layer.parts[letter][t], value[0].detach(), atol=1e-5, err_msg=letter)
                state = next_state(shape["cell"], parts)


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_the_states_are_those_after_the_fused_window(shape, ids):
    model = network(**shape)
    traced = trace(model, ids, window=40)
    with torch.no_grad():
        _, state = model(torch.from_numpy(ids)[None])
    for (name, stack), states in zip(traced.layers.items(), state.layers, strict=True):
        for layer, after in zip(stack, states, strict=True):
            end = 0 if name == "backwards" else -1
            for letter, value in zip(("h", "c"), after, strict=False):
                np.testing.assert_allclose(layer.parts[letter][end], value[0], atol=1e-5)


@pytest.mark.parametrize("name", [name for name in SHAPES if name != "bidirectional"])
def test_the_probabilities_and_states_are_those_of_the_numpy_engine(name, ids):
    model = network(**SHAPES[name])
    traced, engine, state = trace(model, ids), engine_for(model), None
    for t, token in enumerate(ids):
        logits, state = engine.step([token], state)
        expected = logits[0] - np.logaddexp.reduce(logits[0])
        np.testing.assert_allclose(traced.log_probs[t], expected, atol=1e-5)
        for stack, states in zip(traced.layers.values(), state.layers, strict=True):
            for layer, after in zip(stack, states, strict=True):
                np.testing.assert_allclose(layer.parts["h"][t], np.squeeze(after[0]), atol=1e-5)


def test_the_probabilities_of_a_bidirectional_network_are_those_of_its_engine(ids):
    model = network(**SHAPES["bidirectional"])
    logits = bidirectional_engine_for(model, reach=100).logits(ids)
    expected = logits - np.logaddexp.reduce(logits, axis=1, keepdims=True)
    traced = trace(model, ids)
    np.testing.assert_allclose(traced.log_probs, expected, atol=1e-5)
    assert len(traced.nats) == len(ids)


@pytest.mark.parametrize("name", [name for name in SHAPES if name != "bidirectional"])
@pytest.mark.parametrize("window", [1, 7, 40])
def test_the_windows_do_not_matter(name, window, ids):
    model = network(**SHAPES[name])
    whole, parts = trace(model, ids, window=100), trace(model, ids, window=window)
    np.testing.assert_allclose(parts.log_probs, whole.log_probs, atol=1e-5)
    for stack, other in zip(parts.layers.values(), whole.layers.values(), strict=True):
        for layer, expected in zip(stack, other, strict=True):
            for letter, values in expected.parts.items():
                np.testing.assert_allclose(layer.parts[letter], values, atol=1e-5)
    assert sum(len(part.ids) for part in trace_windows(model, ids, window=window)) == 40


def test_the_embedding_and_what_side_inputs_add_are_the_lowest_layers_input(ids):
    traced = trace(network(**SHAPES["side inputs"]), ids)
    assert set(traced.side) == {"ngrams", "match"}
    total = traced.embedded + sum(traced.side.values())
    np.testing.assert_allclose(traced.layers["layers"][0].inputs, total, atol=1e-5)
    assert all(np.abs(added).max() > 0 for added in traced.side.values())


def test_the_attention_weights_are_a_softmax_over_what_was_read(ids):
    model = network(**SHAPES["attention"])
    traced = trace(model, ids, window=16)
    hidden = traced.layers["layers"][-1].parts["h"]
    query, key = (model.attention.get_parameter(name).detach().numpy() for name in ("query", "key"))
    for t in range(len(ids)):
        seen = range(max(0, t - 4), t + 1)
        scores = np.array([query @ hidden[t] @ (key @ hidden[s]) for s in seen]) / np.sqrt(len(query))
        expected = np.exp(scores - scores.max())
        np.testing.assert_allclose(traced.attention[t, -len(seen) :], expected / expected.sum(), atol=1e-5)
        assert not traced.attention[t, : -len(seen)].any()


def test_the_members_of_an_ensemble_average_to_its_probabilities(ids):
    traced = trace(network(**SHAPES["ensemble"]), ids)
    assert traced.member_log_probs.shape == (3, 40, 9)
    mean = traced.member_log_probs.mean(0)
    expected = mean - np.logaddexp.reduce(mean, axis=-1, keepdims=True)
    np.testing.assert_allclose(traced.log_probs, expected, atol=1e-5)
    assert np.ptp(traced.member_log_probs, axis=0).max() > 0.1
    assert trace(network(cell="lstm"), ids).member_log_probs is None


def test_rank_entropy_and_alternatives(ids):
    traced = trace(network(cell="lstm"), ids)
    for t in range(39):
        probs = np.exp(traced.log_probs[t].astype(float))
        assert traced.ranks[t] == sum(probs > probs[ids[t + 1]])
        assert traced.nats[t] == pytest.approx(-np.log(probs[ids[t + 1]]), rel=1e-5)
        assert traced.entropy[t] == pytest.approx(-(probs * np.log(probs)).sum(), rel=1e-4)
        best, shares = (row[t] for row in traced.alternatives(3))
        assert list(best) == sorted(range(9), key=lambda k: -probs[k])[:3]
        np.testing.assert_allclose(shares, probs[best], rtol=1e-4)


def test_tracing_leaves_the_network_as_it_was(ids):
    model = network(**SHAPES["attention"])
    before = {name: weight.clone() for name, weight in model.state_dict().items()}
    trace(model, ids)
    assert all(torch.equal(weight, before[name]) for name, weight in model.state_dict().items())
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())


@pytest.mark.parametrize("name", ["lstm", "attention", "ensemble", "bidirectional"])
@pytest.mark.parametrize("window", [7, 40])
def test_weights_out_of_range_are_an_error_and_no_trace_of_nan(name, window, ids):
    model = network(**SHAPES[name])
    with torch.no_grad():  # finite, as those of every checkpoint are; their products are not
        for weight in model.parameters():
            weight.fill_(3e38)
    with pytest.raises(CheckpointError, match="not finite"):
        trace(model, ids, window=window)
