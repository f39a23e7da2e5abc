"""The network against loops written from the equations, against torch.nn.LSTM, and against the NumPy engine."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from charlstm.config import ModelConfig
from charlstm.engine import Engine
from charlstm.nn import cells
from charlstm.nn.backend import TorchBackend
from charlstm.nn.model import CharLM, detach, reset_rows
from charlstm.nn.recurrence import LstmLayer

shapes = st.fixed_dictionaries(
    {
        "vocab_size": st.integers(1, 9),
        "embedding_size": st.integers(1, 5),
        "hidden_size": st.integers(1, 7),
        "num_layers": st.integers(1, 3),
        "skip": st.booleans(),
    }
)


def model_of(shape, seed=0, **more):
    torch.manual_seed(seed)
    return CharLM(ModelConfig(**shape, **more)).eval()


def lstm_by_loop(x, h, c, weight_ih, weight_hh, bias):
    """One unit at a time, one feature at a time, in Python floats: nothing here is shared with the code under test."""
    size = len(h)

    def gate(row):
        total = bias[row]
        total += sum(weight_ih[row][j] * x[j] for j in range(len(x)))
        return total + sum(weight_hh[row][j] * h[j] for j in range(size))

    def sigmoid(z):
        return 1 / (1 + math.exp(-z))

    new_h, new_c = [], []
    for k in range(size):
        i, f, g, o = (gate(k + size * n) for n in range(4))
        cell = sigmoid(f) * c[k] + sigmoid(i) * math.tanh(g)
        new_c.append(cell)
        new_h.append(sigmoid(o) * math.tanh(cell))
    return new_h, new_c


@given(st.integers(0, 2**31), st.integers(1, 4), st.integers(1, 5), st.integers(1, 4))
@settings(max_examples=25, deadline=None)
def test_cell_equals_a_loop_written_from_the_equations(seed, inputs, hidden, batch):
    rng = np.random.default_rng(seed)
    x, h, c = (rng.normal(size=(batch, n)) for n in (inputs, hidden, hidden))
    w, u, b = rng.normal(size=(4 * hidden, inputs)), rng.normal(size=(4 * hidden, hidden)), rng.normal(size=4 * hidden)
    got_h, got_c = cells.lstm(
        *map(torch.from_numpy, (x,)), tuple(map(torch.from_numpy, (h, c))), *map(torch.from_numpy, (w, u, b))
    )
    for row in range(batch):
        want_h, want_c = lstm_by_loop(
            x[row].tolist(), h[row].tolist(), c[row].tolist(), w.tolist(), u.tolist(), b.tolist()
        )
        np.testing.assert_allclose(got_h[row].numpy(), want_h, atol=1e-10)
        np.testing.assert_allclose(got_c[row].numpy(), want_c, atol=1e-10)


def test_cell_gradients_are_right():
    torch.manual_seed(0)
    shapes = ((2, 3), (2, 4), (2, 4), (16, 3), (16, 4), (16,))
    parts = [torch.randn(*shape, dtype=torch.float64, requires_grad=True) for shape in shapes]

    def step(x, h, c, w, u, b):
        return cells.lstm(x, (h, c), w, u, b)

    assert torch.autograd.gradcheck(step, parts)


def test_whole_window_equals_the_cell_stepped_along_and_torchs_lstm():
    torch.manual_seed(1)
    layer = LstmLayer(3, 5).double()
    inputs = torch.randn(7, 2, 3, dtype=torch.float64)
    state = (torch.randn(2, 5, dtype=torch.float64), torch.randn(2, 5, dtype=torch.float64))
    outputs, after = layer(inputs, state)
    stepped = state
    for t in range(7):
        stepped = cells.lstm(inputs[t], stepped, layer.rnn.weight_ih_l0, layer.rnn.weight_hh_l0, layer.rnn.bias_ih_l0)
        torch.testing.assert_close(outputs[t], stepped[0], atol=1e-12, rtol=0)
    torch.testing.assert_close(after, stepped, atol=1e-12, rtol=0)
    theirs = torch.nn.LSTM(3, 5).double()
    theirs.load_state_dict({k.removeprefix("rnn."): v for k, v in layer.state_dict().items()})
    torch.testing.assert_close(theirs(inputs, tuple(s[None] for s in state))[0], outputs, atol=1e-12, rtol=0)


def test_initial_weights_are_orthogonal_gate_by_gate_and_begin_by_remembering():
    layer = LstmLayer(3, 6)
    for gate in layer.rnn.weight_hh_l0.split(6):
        torch.testing.assert_close(gate @ gate.t(), torch.eye(6), atol=1e-5, rtol=0)
    i, f, g, o = layer.rnn.bias_ih_l0.split(6)
    assert (f == 1).all()
    assert (torch.cat((i, g, o)) == 0).all()


@given(shapes, st.integers(1, 3), st.integers(2, 6), st.data())
@settings(max_examples=30, deadline=None)
def test_half_windows_with_the_state_carried_equal_the_whole(shape, batch, time, data):
    model = model_of(shape)
    ids = torch.from_numpy(np.random.default_rng(0).integers(shape["vocab_size"], size=(batch, time)))
    cut = data.draw(st.integers(1, time - 1))
    whole, end = model(ids)
    first, middle = model(ids[:, :cut])
    second, end_of_second = model(ids[:, cut:], middle)
    torch.testing.assert_close(torch.cat((first, second), 1), whole, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(end_of_second, end, atol=1e-5, rtol=1e-5)


@given(shapes, st.integers(1, 4), st.integers(1, 6))
@settings(max_examples=30, deadline=None)
def test_engine_and_torch_backend_give_the_models_logits(shape, batch, time):
    model = model_of(shape, vocab_size=shape.pop("vocab_size"))
    tensors = {name: tensor * 3 for name, tensor in model.to_tensors().items()}
    model.load_tensors(tensors)
    vocab = model.config.vocab_size
    ids = np.random.default_rng(1).integers(vocab, size=(batch, time))
    want = model(torch.from_numpy(ids))[0].detach().numpy()
    config = {"model": model.config.model_dump()}
    tokenizer = {"kind": "char", "alphabet": "abcdefghi"[:vocab], "unknown": False}
    for stepper in (Engine(tensors, config, tokenizer), TorchBackend(tensors, config, tokenizer)):
        state = None
        for t in range(time):
            before = (
                None if state is None else [[torch.as_tensor(part).numpy().copy() for part in layer] for layer in state]
            )
            logits, after = stepper.step(ids[:, t], state)
            np.testing.assert_allclose(logits, want[:, t], atol=1e-5, rtol=1e-5)
            if before is not None:  # a state is a value: the step has not touched it
                for layer, old in zip(state, before, strict=True):
                    for part, was in zip(layer, old, strict=True):
                        np.testing.assert_array_equal(torch.as_tensor(part).numpy(), was)
            state = after


def test_expanded_and_selected_states_go_on_as_their_row():
    model = model_of({"vocab_size": 4, "embedding_size": 3, "hidden_size": 5, "num_layers": 2, "skip": True})
    config, tokenizer = {"model": model.config.model_dump()}, {"kind": "char", "alphabet": "abcd", "unknown": False}
    for stepper in (Engine(model.to_tensors(), config, tokenizer), TorchBackend(model.to_tensors(), config, tokenizer)):
        _, state = stepper.step(np.array([2]), None)
        alone, _ = stepper.step(np.array([1]), state)
        rows, states = stepper.step(np.array([0, 1, 3]), stepper.expand(state, 3))
        np.testing.assert_allclose(rows[1], alone[0], atol=1e-6)
        picked, _ = stepper.step(np.array([2]), stepper.select(states, [1]))
        again, _ = stepper.step(np.array([2]), stepper.step(np.array([1]), state)[1])
        np.testing.assert_allclose(picked, again, atol=1e-6)


def test_locked_dropout_has_one_mask_a_window_and_keeps_the_mean():
    model = model_of({"vocab_size": 2, "hidden_size": 4, "num_layers": 1}).train()
    ones = torch.ones(50, 200, 40)
    dropped = model._locked_dropout(ones, 0.25, torch.Generator().manual_seed(3))
    assert (dropped == dropped[:1]).all(), "every step of the window has the same mask"
    assert sorted(dropped.unique().tolist()) == pytest.approx([0.0, 1 / 0.75])
    assert dropped.mean().item() == pytest.approx(1.0, abs=0.02)


def test_weight_drop_drops_recurrent_weights_in_training_only():
    torch.manual_seed(0)
    layer = LstmLayer(2, 8, weight_drop=0.5)
    inputs = torch.randn(4, 1, 2)
    layer.train()
    first, second = layer(inputs, None)[0], layer(inputs, None)[0]
    assert not torch.equal(first, second)
    torch.testing.assert_close(first[0], second[0])  # the first step has no recurrent input to drop
    layer.eval()
    torch.testing.assert_close(layer(inputs, None)[0], layer(inputs, None)[0])


def test_reset_rows_zeroes_those_rows_only_and_detach_cuts_the_gradient():
    h, c = torch.randn(3, 2, requires_grad=True), torch.randn(3, 2)
    ((new_h, new_c),) = reset_rows(((h, c),), torch.tensor([False, True, False]))
    assert (new_h[1] == 0).all()
    assert (new_c[1] == 0).all()
    torch.testing.assert_close(new_h[[0, 2]], h[[0, 2]])
    assert not detach(((new_h, new_c),))[0][0].requires_grad


@given(shapes)
@settings(max_examples=15, deadline=None)
def test_tensors_round_trip_and_are_counted(shape):
    model, other = model_of(shape), model_of(shape, seed=1)
    tensors = model.to_tensors()
    other.load_tensors(tensors)
    for name, tensor in other.to_tensors().items():
        np.testing.assert_array_equal(tensor, tensors[name])
    assert model.parameter_count() == sum(tensor.size for tensor in tensors.values())
