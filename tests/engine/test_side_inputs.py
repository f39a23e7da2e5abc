"""What the engine adds to embeddings, step by step, is what the torch model adds in whole windows."""

from copy import deepcopy

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from charlstm.engine import state as states
from charlstm.engine.buffers import BufferCache
from charlstm.engine.side_inputs import SideInputTables
from charlstm.engine.state import StepState
from charlstm.nn.dropout import DropoutRng
from charlstm.nn.model import CharLM
from tests.networks import architecture

shapes = st.tuples(
    st.sampled_from([0, 2, 4]), st.sampled_from([(), (3,), (2, 5)]), st.sampled_from([1, 30, 128, 300, 8192])
).filter(lambda given: given[0] or given[1])


class Stepped:
    """The engine's side inputs, with the state that they need."""

    def __init__(self, order, orders, slots):
        torch.manual_seed(0)
        shape = {"vocab_size": 4, "embedding_size": 5, "hidden_size": 3, "num_layers": 1}
        model = CharLM(
            architecture(**shape, ngram_order=order, ngram_buckets=40, match_orders=orders, match_slots=slots)
        )
        for weight in model.side_inputs.parameters():
            torch.nn.init.normal_(weight)
        self._model = model
        self.tables = SideInputTables(model.to_tensors(), model.architecture)
        self._buffers = BufferCache()

    def empty(self, batch):
        state = StepState((((np.zeros((batch, 3), np.float32),),),), None, *self.tables.empty(batch))
        return states.select(state, [0]) if batch == 1 else state

    def step(self, tokens, state):
        one = tokens[0] if len(state.side) == 1 and np.ndim(tokens) else tokens
        buffers = self._buffers.get(np.shape(one), self.tables.buffers)
        added, recent, side = self.tables.step(one, state, buffers)
        added = added.reshape(*np.shape(tokens), -1)
        return added.copy(), StepState(state.layers, None, recent, side, state.frozen)

    def in_torch(self, ids, frozen_from=None):
        """What the model adds to the embeddings of ids, (B, T) to (B, T, E)."""
        state, added = self._model.empty_state(len(ids)), []
        for window in (ids[:, :frozen_from], ids[:, frozen_from:]) if frozen_from else (ids,):
            embedded, recent, side = self._model._embed(window, state, DropoutRng())
            added.append((embedded - self._model.embedding(window.t())).transpose(0, 1))
            state = state._replace(recent=recent, side=side, frozen=True)
        return torch.cat(added, 1).detach().numpy()


@settings(max_examples=40)
@given(shapes, st.integers(1, 3), st.integers(1, 300), st.randoms(use_true_random=False))
def test_each_step_adds_what_torch_adds_in_the_window(shape, batch, length, random):
    stepped = Stepped(*shape)
    ids = torch.tensor([[random.randrange(4) for _ in range(length)] for _ in range(batch)])
    want, state = stepped.in_torch(ids), stepped.empty(batch)
    for step in range(length):
        added, state = stepped.step(ids[:, step].numpy(), state)
        np.testing.assert_allclose(added, want[:, step], atol=1e-5)


@settings(max_examples=40)
@given(shapes, st.integers(1, 3), st.integers(1, 80), st.integers(1, 80), st.randoms(use_true_random=False))
def test_a_frozen_memory_is_read_and_stores_nothing(shape, batch, length, frozen, random):
    stepped = Stepped(*shape)
    ids = torch.tensor([[random.randrange(4) for _ in range(length + frozen)] for _ in range(batch)])
    want, state = stepped.in_torch(ids, length), stepped.empty(batch)
    for step in range(length + frozen):
        if step == length:
            before = [dict(memories) for memories in state.side]
            state = state._replace(frozen=True)
        added, state = stepped.step(ids[:, step].numpy(), state)
        np.testing.assert_allclose(added, want[:, step], atol=1e-5)
    assert [dict(memories) for memories in state.side] == before


def test_a_single_text_equals_its_row_in_a_batch():
    stepped = Stepped(3, (2, 3), 20)
    ids, state = torch.randint(4, (1, 200)), stepped.empty(1)
    for token, want in zip(ids[0].tolist(), stepped.in_torch(ids)[0], strict=True):
        added, state = stepped.step(np.int64(token), state)
        np.testing.assert_allclose(added, want, atol=1e-5)


@pytest.mark.parametrize("slots", [20, 8192])
def test_a_memory_that_was_returned_is_never_written_to_again(slots):
    stepped = Stepped(3, (2, 3), slots)
    tokens, state = np.random.default_rng(0).integers(4, size=(200, 2)), stepped.empty(2)
    for now in tokens[:100]:
        _, state = stepped.step(now, state)
    before, ways = deepcopy(state), []
    for way in (tokens[100:], tokens[100:][::-1], tokens[100:]):
        after = state
        for now in way:
            added, after = stepped.step(now, after)
        ways.append(added)
    assert np.array_equal(ways[0], ways[2])
    assert not np.array_equal(ways[0], ways[1])
    assert np.array_equal(state.recent, before.recent)
    assert state.side == before.side


def test_selected_and_joined_texts_keep_their_histories():
    stepped = Stepped(3, (2, 3), 300)
    ids = torch.randint(4, (3, 120))
    want, state = stepped.in_torch(ids), stepped.empty(3)
    for step in range(100):
        _, state = stepped.step(ids[:, step].numpy(), state)
    state = states.join([states.select(state, [2]), states.expand(states.select(state, [0]), 2)])
    for step in range(100, 120):
        added, state = stepped.step(ids[[2, 0, 0], step].numpy(), state)
        np.testing.assert_allclose(added, want[[2, 0, 0], step], atol=1e-5)


@settings(max_examples=30)
@given(shapes, st.lists(st.lists(st.integers(0, 5), min_size=2, max_size=6), min_size=1, max_size=4), st.integers(0, 9))
def test_frozen_texts_are_read_as_each_alone_whoever_joins_and_leaves(shape, rounds, seed):
    stepped, rng = Stepped(*shape), np.random.default_rng(seed)
    state, alone = stepped.empty(3), [stepped.empty(1) for _ in range(3)]

    def read(state, alone):
        tokens = rng.integers(4, size=len(state.side))
        added, state = stepped.step(tokens, state)
        pairs = [stepped.step(token, text) for token, text in zip(tokens, alone, strict=True)]
        np.testing.assert_allclose(added, [one for one, _ in pairs], atol=1e-5)
        return state, [after for _, after in pairs]

    for _ in range(30):
        state, alone = read(state, alone)
    state, alone = state._replace(frozen=True), [text._replace(frozen=True) for text in alone]
    for rows in rounds:
        rows = [row % len(alone) for row in rows]
        state, alone = states.select(state, rows), [alone[row] for row in rows]
        state, alone = states.join([state, states.expand(states.select(state, [1]), 2)]), [*alone, alone[1], alone[1]]
        for _ in range(3):
            state, alone = read(state, alone)
