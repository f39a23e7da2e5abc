"""How far back a network listens, computed another way: finite differences, and the product of an rnn's Jacobians."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from charlstm.inspect import gradients
from charlstm.inspect.gradients import gradient_norms
from charlstm.nn.model import CharLM
from tests.networks import architecture


def network(cell: str, **shape: object) -> CharLM:
    torch.manual_seed(3)
    config = architecture(**{"vocab_size": 7, "embedding_size": 4, "hidden_size": 5, "cell": cell, **shape})
    model = CharLM(config).double()
    if model.attention is not None:  # it begins as if it were not there
        torch.nn.init.normal_(model.attention.out)
    return model


def logits_of(model: CharLM, embedded: torch.Tensor) -> torch.Tensor:
    """The last logits (V,) when the network reads these embeddings (T, E) in the place of characters."""
    hook = model.embedding.register_forward_hook(lambda *_: embedded.unsqueeze(1))
    with torch.no_grad():
        logits, _ = model(torch.zeros(1, len(embedded), dtype=torch.int64))
    hook.remove()
    return logits[0, -1]


@pytest.mark.parametrize("cell", ["rnn", "lstm", "gru", "peephole"])
@pytest.mark.parametrize(
    "shape",
    [{"num_layers": 1}, {"num_layers": 2, "skip_connections": True}, {"num_layers": 1, "attention_window": 3}],
    ids=["one layer", "skip", "attention"],
)
def test_it_is_what_finite_differences_give(cell, shape):
    model = network(cell, **shape)
    ids = np.random.default_rng(1).integers(0, 7, (2, 6))
    found = gradient_norms(model, ids, 3)
    assert found.shape == (2, 4)
    step = 1e-6
    for text, norms in zip(ids, found, strict=True):
        embedded = model.embedding(torch.from_numpy(text)).detach()
        for k, norm in enumerate(norms):
            square = 0.0
            for feature in range(4):
                nudge = torch.zeros_like(embedded)
                nudge[-1 - k, feature] = step
                slope = (logits_of(model, embedded + nudge) - logits_of(model, embedded - nudge)) / (2 * step)
                square += float(slope.square().sum())
            assert norm == pytest.approx(square**0.5, rel=1e-5)


def test_of_an_rnn_it_is_the_product_of_its_jacobians():
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


def test_many_logits_are_done_in_parts_and_the_network_is_left_as_it_was(monkeypatch):
    model = network("gru", dropout=0.5).train()
    before = {name: weight.clone() for name, weight in model.state_dict().items()}
    ids = np.random.default_rng(1).integers(0, 7, (1, 8))
    whole = gradient_norms(model, ids, 7)
    monkeypatch.setattr(gradients, "_ROWS", 3)
    np.testing.assert_allclose(gradient_norms(model, ids, 7), whole, rtol=1e-12)
    assert model.training
    assert all(weight.grad is None for weight in model.parameters())
    assert all(torch.equal(weight, before[name]) for name, weight in model.state_dict().items())
