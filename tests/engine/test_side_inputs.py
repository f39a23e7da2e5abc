"""What the engine looks up, step by step, is what torch's modules look up in whole windows."""

from copy import deepcopy

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from charlstm.config import ModelConfig
from charlstm.engine import stack
from charlstm.engine.side_inputs import LookUps
from charlstm.nn.model import CharLM

settings_of_both = st.tuples(
    st.sampled_from([0, 2, 4]), st.sampled_from([(), (3,), (2, 5)]), st.sampled_from([1, 30, 128, 300, 8192])
).filter(lambda given: given[0] or given[1])


def both(order, orders, rows):
    """The engine's look-ups, and what is added to the tokens' embeddings in torch, (B, T) to (B, T, E)."""
    torch.manual_seed(0)
    shape = {"vocab_size": 4, "embedding_size": 5, "hidden_size": 3, "num_layers": 1}
    config = ModelConfig(**shape, ngram_order=order, ngram_rows=40, recall=orders, recall_rows=rows)
    model = CharLM(config)
    modules = [module for module in (model.ngrams, model.recall) if module is not None]
    for module in modules:
        for weight in module.parameters():
            torch.nn.init.normal_(weight)
    weights = {name: tensor.numpy() for name, tensor in model.state_dict().items()}
    return LookUps(weights, config.model_dump()), lambda ids: sum(module(ids, None)[0] for module in modules).detach()


@settings(max_examples=40)
@given(settings_of_both, st.integers(1, 3), st.integers(1, 300), st.randoms(use_true_random=False))
def test_each_step_finds_what_torch_finds_in_the_window(shape, batch, length, random):
    look_ups, in_torch = both(*shape)
    ids = torch.tensor([[random.randrange(4) for _ in range(length)] for _ in range(batch)])
    want, read = in_torch(ids).numpy(), look_ups.nothing_read(batch)
    for step in range(length):
        found, read = look_ups.step(ids[:, step].numpy(), read)
        np.testing.assert_allclose(found, want[:, step], atol=1e-5)


def test_a_row_alone_finds_what_it_finds_among_others():
    look_ups, in_torch = both(3, (2, 3), 20)
    ids = torch.randint(4, (1, 200))
    ((read,),) = [stack.alone((look_ups.nothing_read(1),))]
    for token, want in zip(ids[0].tolist(), in_torch(ids)[0].numpy(), strict=True):
        found, read = look_ups.step(token, read)
        np.testing.assert_allclose(found, want, atol=1e-5)


@pytest.mark.parametrize("rows", [20, 8192])
def test_a_memory_that_was_returned_is_never_written_to_again(rows):
    look_ups, _ = both(3, (2, 3), rows)
    tokens, read = np.random.default_rng(0).integers(4, size=(200, 2)), look_ups.nothing_read(2)
    for now in tokens[:100]:
        _, read = look_ups.step(now, read)
    before, ways = deepcopy(read), []
    for way in (tokens[100:], tokens[100:][::-1], tokens[100:]):
        after = read
        for now in way:
            found, after = look_ups.step(now, after)
        ways.append(found)
    assert np.array_equal(ways[0], ways[2])
    assert not np.array_equal(ways[0], ways[1])
    assert all(map(np.array_equal, read, before))


def test_rows_are_taken_and_joined_with_what_they_have_read():
    look_ups, in_torch = both(3, (2, 3), 300)
    ids = torch.randint(4, (3, 120))
    want, read = in_torch(ids).numpy(), look_ups.nothing_read(3)
    for step in range(100):
        _, read = look_ups.step(ids[:, step].numpy(), read)
    (read,) = stack.join([stack.select((read,), [2]), stack.expand(stack.select((read,), [0]), 2)])
    for step in range(100, 120):
        found, read = look_ups.step(ids[[2, 0, 0], step].numpy(), read)
        np.testing.assert_allclose(found, want[[2, 0, 0], step], atol=1e-5)
