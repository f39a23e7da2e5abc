"""Ensembles: each member learns independently, and their logits are averaged."""

import numpy as np
import pytest
import torch
from torch.nn import functional

from charlstm.errors import ConfigError
from charlstm.nn.model import CharLM
from tests.networks import architecture

SHAPE = {"vocab_size": 6, "embedding_size": 4, "hidden_size": 5, "num_layers": 2, "cell": "lstm"}
LOOKED_UP = {"ngram_order": 3, "ngram_buckets": 40, "match_orders": (2,), "match_slots": 16}
SHAPES = [
    SHAPE,
    SHAPE | {"skip_connections": True},
    SHAPE | LOOKED_UP,
    SHAPE | LOOKED_UP | {"cell": "gru", "num_layers": 1},
]
COUNT = 3
MEMBERS = ("layers", "layers_2", "layers_3")


def ensemble_of(shape):
    torch.manual_seed(0)
    model = CharLM(architecture(**shape, ensemble=COUNT)).double()
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(torch.randn_like(weight) * 0.3)  # what begins as zeros, as n-grams, must count too
    return model


def member(model, k):
    """The network that is the k-th of an ensemble, as one of its own."""
    weights = model.state_dict()
    own = {name: weight for name, weight in weights.items() if not name.startswith("layers")}
    own |= {
        "layers" + name.removeprefix(MEMBERS[k]): w for name, w in weights.items() if name.startswith(MEMBERS[k] + ".")
    }
    own["head.weight"] = weights["head.weight"].chunk(COUNT, 1)[k]
    config = architecture(**{**model.architecture.settings(), "ensemble": 1})
    one = CharLM(config).double()
    one.load_state_dict(own)
    return one


def some_ids(batch=2, time=12):
    return torch.randint(6, (batch, time), generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("shape", SHAPES)
def test_its_logits_are_the_mean_of_its_members_logits(shape):
    model, ids = ensemble_of(shape).eval(), some_ids()
    alone = [member(model, k).eval()(ids)[0] for k in range(COUNT)]
    assert not torch.allclose(alone[0], alone[1])
    torch.testing.assert_close(model(ids)[0], torch.stack(alone).mean(0))


@pytest.mark.parametrize("shape", SHAPES)
def test_each_member_has_the_gradients_of_a_separate_network(shape):
    model, ids = ensemble_of(shape).train(), some_ids(time=13)
    inputs, targets = ids[:, :-1], ids[:, 1:]
    logits, _ = model(inputs)
    assert logits.shape == (COUNT * 2, 12, 6)
    functional.cross_entropy(logits.flatten(0, 1), targets.repeat(COUNT, 1).flatten()).backward()
    shared = torch.zeros_like(model.embedding.weight)
    for k in range(COUNT):
        one = member(model, k).train()
        functional.cross_entropy(one(inputs)[0].flatten(0, 1), targets.flatten()).backward()
        own = dict(model.named_parameters())
        for name, weight in one.named_parameters():
            if name.startswith("layers"):
                torch.testing.assert_close(own[MEMBERS[k] + name.removeprefix("layers")].grad, weight.grad / COUNT)
        columns = model.head.weight.grad.chunk(COUNT, 1)[k]
        torch.testing.assert_close(columns, one.head.weight.grad / COUNT)
        shared += one.embedding.weight.grad / COUNT
    torch.testing.assert_close(model.embedding.weight.grad, shared)


def test_members_have_different_dropout_masks():
    model = ensemble_of(SHAPE | {"dropout": 0.5})
    with torch.no_grad():
        for k in (1, 2):  # the same weights in all
            for name, weight in model.named_parameters():
                if name.startswith("layers."):
                    dict(model.named_parameters())[MEMBERS[k] + name.removeprefix("layers")].copy_(weight)
        model.head.weight.copy_(model.head.weight[:, :5].repeat(1, COUNT))
        first, second, third = model.train()(some_ids())[0].chunk(COUNT)
        assert not torch.equal(first, second)
        assert not torch.equal(second, third)
        model.eval()
        state = model(some_ids())[1]
    assert all(torch.equal(state.layers[0][0][0], state.layers[k][0][0]) for k in range(COUNT))


@pytest.mark.parametrize("other", [{"bidirectional": True}, {"attention_window": 4}])
def test_excluded_combinations_raise(other):
    with pytest.raises(ConfigError, match="exclude each other"):
        architecture(vocab_size=3, ensemble=2, **other)


def test_the_carried_state_has_a_part_for_each_member():
    model, ids = ensemble_of(SHAPE | LOOKED_UP).eval(), some_ids()
    whole, _ = model(ids)
    begun, state = model(ids[:, :5])
    torch.testing.assert_close(torch.cat((begun, model(ids[:, 5:], state)[0]), 1), whole)
    assert [len(stack) for stack in state.layers] == [2] * COUNT
    assert set(state.side) == {"ngrams", "match"}
    sums = {np.round(layer[0].sum().item(), 9) for stack in state.layers for layer in stack}
    assert len(sums) == 2 * COUNT
