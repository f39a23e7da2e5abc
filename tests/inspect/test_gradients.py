"""Gradient norms computed other ways: finite differences, an rnn's product of Jacobians, and the whole Jacobian."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from charlstm.inspect.gradients import gradient_norms, gradient_reach, relative_gradient
from charlstm.nn.model import CharLM
from tests.networks import architecture


def network(cell: str, **shape: object) -> CharLM:
    torch.manual_seed(3)
    config = architecture(**{"vocab_size": 7, "embedding_size": 4, "hidden_size": 5, "cell": cell, **shape})
    model = CharLM(config).double()
    if model.attention is not None:  # its initial output weights are zero
        torch.nn.init.normal_(model.attention.out)
    return model


def logits_of(model: CharLM, embedded: torch.Tensor) -> torch.Tensor:
    """The last logits (V,) of a network whose embeddings are replaced by these, (T, E)."""
    hook = model.embedding.register_forward_hook(lambda *_: embedded.unsqueeze(1))
    with torch.no_grad():
        logits, _ = model(torch.zeros(1, len(embedded), dtype=torch.int64))
    hook.remove()
    return logits[0, -1]


@pytest.mark.parametrize("cell", ["rnn", "lstm", "gru", "peephole"])
@pytest.mark.parametrize(
    "shape",
    [{"num_layers": 1}, {"num_layers": 2, "skip_connections": True}, {"num_layers": 1, "attention_window": 3}],
    ids=["one layer", "skip_connections", "attention"],
)
def test_the_norms_equal_finite_differences(cell, shape):
    model = network(cell, **shape)
    ids = np.random.default_rng(1).integers(0, 7, (2, 6))
    measured = gradient_norms(model, ids, 3)
    assert measured.shape == (2, 4)
    step = 1e-6
    for text, norms in zip(ids, measured, strict=True):
        embedded = model.embedding(torch.from_numpy(text)).detach()
        for k, norm in enumerate(norms):
            square = 0.0
            for feature in range(4):
                nudge = torch.zeros_like(embedded)
                nudge[-1 - k, feature] = step
                slope = (logits_of(model, embedded + nudge) - logits_of(model, embedded - nudge)) / (2 * step)
                square += float(slope.square().sum())
            assert norm == pytest.approx(square**0.5, rel=1e-5)


def test_the_norms_of_an_rnn_equal_the_product_of_its_jacobians():
    model = network("rnn", num_layers=1)
    text = np.random.default_rng(2).integers(0, 7, 9)
    layer = model.layers[0]
    w, u, bias = (getattr(layer, name).detach().numpy() for name in ("weight_ih", "weight_hh", "bias"))
    head, h, slopes = model.head.weight.detach().numpy(), np.zeros(5), []
    for token in text:
        h = np.tanh(w @ model.embedding.weight.detach().numpy()[token] + u @ h + bias)
        slopes.append(1 - h**2)
    expected, back = [], head * slopes[-1]
    for k in range(6):
        expected.append(np.linalg.norm(back @ w))
        back = back @ u * slopes[-2 - k]
    np.testing.assert_allclose(gradient_norms(model, text[None], 5)[0], expected, rtol=1e-10)


def test_a_large_vocabulary_gives_the_norms_of_the_whole_jacobian():
    model = network("gru", num_layers=1, vocab_size=400, hidden_size=300)
    ids = np.random.default_rng(1).integers(0, 400, (1, 4))
    embedded = model.embedding(torch.from_numpy(ids[0])).detach()

    def last_logits(embedded: torch.Tensor) -> torch.Tensor:
        hook = model.embedding.register_forward_hook(lambda *_: embedded.unsqueeze(1))
        logits, _ = model(torch.zeros(1, len(embedded), dtype=torch.int64))
        hook.remove()
        return logits[0, -1]

    jacobian = torch.autograd.functional.jacobian(last_logits, embedded)  # (V, T, E)
    expected = jacobian.square().sum((0, 2)).sqrt().flip(0)
    np.testing.assert_allclose(gradient_norms(model, ids, 3)[0], expected, rtol=1e-9)


def test_the_network_is_left_unchanged():
    model = network("gru", dropout=0.5).train()
    before = {name: weight.clone() for name, weight in model.state_dict().items()}
    gradient_norms(model, np.random.default_rng(1).integers(0, 7, (1, 8)), 7)
    assert model.training
    assert all(weight.grad is None for weight in model.parameters())
    assert all(torch.equal(weight, before[name]) for name, weight in model.state_dict().items())
    assert model(torch.zeros(1, 5, dtype=torch.int64))[0].shape == (1, 5, 7), "the hooks are gone"


def test_the_relative_gradient_is_a_ratio_of_means():
    np.testing.assert_allclose(relative_gradient(np.array([[1.0, 0.5], [3.0, 0.5]])), [1.0, 0.25])
    np.testing.assert_array_equal(relative_gradient(np.zeros((2, 3))), np.zeros(3))


def test_the_reach_ends_where_the_gradient_first_falls_below_a_hundredth():
    assert gradient_reach(np.array([1.0, 0.5, 0.02, 0.005, 0.5])) == 2
    assert gradient_reach(np.array([4.0, 0.05, 0.04])) == 2
    assert gradient_reach(np.array([4.0, 0.01])) == 0


@pytest.mark.parametrize("value", [0.0, np.nan])
def test_a_network_without_a_gradient_has_no_reach(value):
    assert gradient_reach(np.full(4, value)) == 0
