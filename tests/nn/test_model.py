"""The network against loops written from the equations, against torch.nn.LSTM, and against the NumPy engine."""

import math
from copy import deepcopy

import numpy as np
import onnxruntime
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import helper

from charlstm.nn import fused, recurrence
from charlstm.nn.attention import attend, empty_memory
from charlstm.nn.cells import STEPS, next_state
from charlstm.nn.dropout import DropoutRng
from charlstm.nn.model import CharLM
from charlstm.nn.recurrence import RecurrentLayer
from charlstm.nn.shapes import CELLS, attention_shapes, parameter_count
from charlstm.nn.state import State
from tests.networks import architecture, engine_for, torch_backend_for

shapes = st.fixed_dictionaries(
    {
        "vocab_size": st.integers(1, 9),
        "embedding_size": st.integers(1, 5),
        "hidden_size": st.integers(1, 7),
        "num_layers": st.integers(1, 3),
        "cell": st.sampled_from(sorted(CELLS)),
        "skip_connections": st.booleans(),
        "attention_window": st.sampled_from([0, 0, 1, 3, 9]),
        "ngram_order": st.sampled_from([0, 0, 2, 3, 6]),
        "ngram_buckets": st.integers(1, 50),
        "match_orders": st.sampled_from([(), (), (2,), (2, 4)]),
        "match_slots": st.integers(1, 50),
        "ensemble": st.sampled_from([1, 1, 2, 3]),
    }
).map(lambda shape: shape | {"ensemble": 1 if shape["attention_window"] else shape["ensemble"]})


def model_of(shape, seed=0, **more):
    torch.manual_seed(seed)
    return CharLM(architecture(**shape, **more)).eval()


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


class Loops:
    """Each cell one unit at a time, in Python floats: nothing here is shared with the code under test.

    Called with one row's input and old state and the weights as lists; gives the parts of the new state.
    """

    @staticmethod
    def _sum(row, x, h, w, u):
        total = sum(w[row][j] * x[j] for j in range(len(x)))
        return total + sum(u[row][j] * h[j] for j in range(len(h)))

    def rnn(self, x, h, w, u, b):
        return ([math.tanh(self._sum(k, x, h, w, u) + b[k]) for k in range(len(h))],)

    def lstm(self, x, h, c, w, u, b):
        return self.peephole(x, h, c, w, u, b, [0.0] * (3 * len(h)))

    def peephole(self, x, h, c, w, u, b, p):
        n, new_h, new_c = len(h), [], []
        for k in range(n):
            i, f, g, o = (self._sum(k + n * gate, x, h, w, u) + b[k + n * gate] for gate in range(4))
            cell = sigmoid(f + p[n + k] * c[k]) * c[k] + sigmoid(i + p[k] * c[k]) * math.tanh(g)
            new_c.append(cell)
            new_h.append(sigmoid(o + p[2 * n + k] * cell) * math.tanh(cell))
        return new_h, new_c

    def gru(self, x, h, w, u, b, d):
        n = len(h)
        new = []
        for k in range(n):
            r, z = (sigmoid(self._sum(row, x, h, w, u) + b[row]) for row in (k, n + k))
            row = 2 * n + k
            here = self._sum(row, x, [], w, u) + b[row]
            past = self._sum(row, [], h, w, u) + d[k]
            proposal = math.tanh(here + r * past)
            new.append((1 - z) * proposal + z * h[k])
        return (new,)


def parts_of(cell, rng, inputs, hidden, batch, time=None):
    """Random inputs, state and weights of a cell as float64 tensors."""
    x = rng.normal(size=(batch, inputs) if time is None else (time, batch, inputs))
    state = [rng.normal(size=(batch, hidden)) for _ in CELLS[cell].states]
    weights = [rng.normal(size=shape) for shape in CELLS[cell].shapes(inputs, hidden).values()]
    return tuple(
        torch.from_numpy(x) if one is None else [torch.from_numpy(part) for part in one]
        for one in (None, state, weights)
    )


@pytest.mark.parametrize("cell", CELLS)
@given(st.integers(0, 2**31), st.integers(1, 4), st.integers(1, 5), st.integers(1, 4))
@settings(max_examples=15, deadline=None)
def test_cell_equals_a_loop_written_from_the_equations(cell, seed, inputs, hidden, batch):
    x, state, weights = parts_of(cell, np.random.default_rng(seed), inputs, hidden, batch)
    got = next_state(cell, STEPS[cell](x, tuple(state), *weights))
    for row in range(batch):
        lists = (part[row].tolist() for part in (x, *state))
        want = getattr(Loops(), cell)(*lists, *(weight.tolist() for weight in weights))
        for mine, theirs in zip(got, want, strict=True):
            np.testing.assert_allclose(mine[row].numpy(), theirs, atol=1e-10)


def stepped(cell, x, state, weights):
    """A window by the readable cell, step by step."""
    outputs, state = [], tuple(state)
    for now in x:
        state = next_state(cell, STEPS[cell](now, state, *weights))
        outputs.append(state[0])
    return torch.stack(outputs), state


@pytest.mark.parametrize("cell", CELLS)
@given(st.integers(0, 2**31), st.integers(1, 4), st.integers(1, 5), st.integers(1, 3), st.integers(1, 6))
@settings(max_examples=15, deadline=None)
def test_fused_kernels_equal_the_stepped_cell_forward_and_backward(cell, seed, inputs, hidden, batch, time):
    rng = np.random.default_rng(seed)
    x, state, weights = parts_of(cell, rng, inputs, hidden, batch, time)
    learning = [part.requires_grad_() for part in (x, *state, *weights)]
    outputs, after = getattr(fused, cell)(x, tuple(state), tuple(weights))
    want_outputs, want_after = stepped(cell, x, state, weights)
    torch.testing.assert_close(outputs, want_outputs, atol=1e-10, rtol=0)
    torch.testing.assert_close(after, want_after, atol=1e-10, rtol=0)
    weigh = [torch.from_numpy(rng.normal(size=part.shape)) for part in (outputs, *after)]
    got = torch.autograd.grad((outputs, *after), learning, weigh)
    want = torch.autograd.grad((want_outputs, *want_after), learning, weigh)
    for mine, theirs in zip(got, want, strict=True):
        torch.testing.assert_close(mine, theirs, atol=1e-9, rtol=1e-9)


@pytest.mark.parametrize("cell", CELLS)
def test_gradients_are_right(cell, monkeypatch):
    monkeypatch.setattr(fused, "_BLOCK", 20)  # three steps at a time, so that blocks meet
    x, state, weights = parts_of(cell, np.random.default_rng(0), 3, 4, 2, time=5)
    learning = [part.requires_grad_() for part in (x, *state, *weights)]

    def window(x, *rest):
        outputs, after = getattr(fused, cell)(x, rest[: len(state)], rest[len(state) :])
        return outputs, *after

    def step(x, *rest):
        return next_state(cell, STEPS[cell](x[0], rest[: len(state)], *rest[len(state) :]))

    assert torch.autograd.gradcheck(window, learning)
    assert torch.autograd.gradcheck(step, learning)


@pytest.mark.parametrize("layouts", [True, False], ids=["reordered", "not reordered"])
@pytest.mark.parametrize("cell", CELLS)
def test_fused_kernels_are_equal_with_and_without_reordered_weights(cell, layouts, monkeypatch):
    monkeypatch.setattr(fused, "_FEW_WEIGHTS", 0)
    if not layouts:
        monkeypatch.setattr(torch.ops, "mkldnn", object())
    x, state, weights = parts_of(cell, np.random.default_rng(1), 6, 20, 3, time=9)
    x, state, weights = x.float(), [part.float() for part in state], [weight.float() / 5 for weight in weights]
    product = fused._Product(weights[1], x, torch.float32)
    assert (product._reordered is not None) == (layouts and torch.backends.mkldnn.is_available())
    learning = [part.requires_grad_() for part in (x, *state, *weights)]
    outputs, _ = getattr(fused, cell)(x, tuple(state), tuple(weights))
    want, _ = stepped(cell, x, state, weights)
    torch.testing.assert_close(outputs, want, atol=1e-5, rtol=0)
    for mine, theirs in zip(
        torch.autograd.grad(outputs.square().sum(), learning),
        torch.autograd.grad(want.square().sum(), learning),
        strict=True,
    ):
        torch.testing.assert_close(mine, theirs, atol=1e-4, rtol=1e-4)


def test_only_lstms_of_many_weights_in_half_precision_are_fused_and_they_stay_close(monkeypatch):
    monkeypatch.setattr(recurrence, "FUSED_FROM", 4 * 8 * (6 + 8 + 1))
    x, state, weights = parts_of("lstm", np.random.default_rng(4), 6, 8, 3, time=9)
    x, state, weights = x.float(), tuple(part.float() for part in state), tuple(part.float() / 3 for part in weights)
    weights[1].requires_grad_()
    path = recurrence.CPU_KERNELS["lstm"]
    want, _ = path(x, state, weights)
    with torch.autocast("cpu", torch.bfloat16):
        got, after = path(x, state, weights)
    assert "_Lstm" in type(got.grad_fn).__name__
    assert "_Lstm" not in type(want.grad_fn).__name__
    monkeypatch.setattr(recurrence, "FUSED_FROM", 4 * 8 * (6 + 8 + 1) + 1)
    monkeypatch.setattr(recurrence, "torch_lstm", lambda *given: given)  # a processor without bf16 could not
    for has_kernel in (True, False):
        monkeypatch.setattr(recurrence, "onednn_has_half_lstm", lambda has_kernel=has_kernel: has_kernel)
        with torch.autocast("cpu", torch.bfloat16):
            passed = path(x, state, weights)
        assert (passed == (x, state, weights)) if has_kernel else ("_Lstm" in type(passed[0].grad_fn).__name__)
    assert {part.dtype for part in (got, *after)} == {torch.float32}
    torch.testing.assert_close(got, want, atol=0.05, rtol=0)


@pytest.mark.parametrize("cell", ["rnn", "lstm", "gru"])
def test_layer_equals_torchs_own_module(cell):
    torch.manual_seed(1)
    layer = RecurrentLayer(cell, 3, 5).double()
    theirs = {"rnn": torch.nn.RNN, "lstm": torch.nn.LSTM, "gru": torch.nn.GRU}[cell](3, 5).double()
    with torch.no_grad():
        for weight in layer.parameters():
            weight.normal_()
        theirs.weight_ih_l0.copy_(layer.weight_ih)
        theirs.weight_hh_l0.copy_(layer.weight_hh)
        theirs.bias_ih_l0.copy_(layer.bias)
        theirs.bias_hh_l0.zero_()
        if cell == "gru":
            theirs.bias_hh_l0[10:] = layer.bias_n
    inputs = torch.randn(7, 2, 3, dtype=torch.float64)
    state = tuple(torch.randn(2, 5, dtype=torch.float64) for _ in CELLS[cell].states)
    outputs, after = layer(inputs, state, DropoutRng())
    before = tuple(part[None] for part in state)
    want, want_after = theirs(inputs, before if cell == "lstm" else before[0])
    torch.testing.assert_close(outputs, want, atol=1e-10, rtol=0)
    for mine, its in zip(after, want_after if cell == "lstm" else (want_after,), strict=True):
        torch.testing.assert_close(mine, its[0], atol=1e-10, rtol=0)
    for path in (recurrence.CUDA_KERNELS[cell], recurrence.CPU_KERNELS[cell], getattr(fused, cell)):
        torch.testing.assert_close(path(inputs, state, layer.weights)[0], want, atol=1e-10, rtol=0)


@pytest.mark.parametrize("cell", ["rnn", "lstm", "gru"])
def test_the_carried_state_keeps_its_precision_under_autocast(cell, monkeypatch):
    name = {"rnn": "rnn_tanh"}.get(cell, cell)
    whole = getattr(torch, name)  # under autocast on a processor with bf16 it gives all parts in bf16
    monkeypatch.setattr(torch, name, lambda *given: tuple(part.bfloat16() for part in whole(*given)))
    layer = RecurrentLayer(cell, 3, 5)
    _, after = recurrence.CUDA_KERNELS[cell](torch.randn(7, 2, 3), (torch.zeros(2, 5),) * 2, layer.weights)
    assert {part.dtype for part in after} == {torch.float32}


def test_peephole_without_peepholes_is_the_lstm():
    torch.manual_seed(2)
    plain, peeping = RecurrentLayer("lstm", 3, 5), RecurrentLayer("peephole", 3, 5)
    peeping.load_state_dict({**plain.state_dict(), "peephole": torch.zeros(15)})
    inputs = torch.randn(6, 2, 3)
    got, want = (layer(inputs, layer.empty_state(2), DropoutRng()) for layer in (peeping, plain))
    torch.testing.assert_close(got, want, atol=1e-6, rtol=0)


def test_peephole_equals_onnx_runtimes_operator():
    """Its ``P`` input is peephole weights in the order i o f; its gates stand in the order i o f c."""
    torch.manual_seed(3)
    layer = RecurrentLayer("peephole", 3, 5)
    for weight in layer.parameters():
        torch.nn.init.normal_(weight)
    inputs, h, c = torch.randn(6, 2, 3), torch.randn(2, 5), torch.randn(2, 5)
    outputs, after = layer(inputs, (h, c), DropoutRng())

    def reordered(weight, order):
        blocks = weight.detach().chunk(len(order))
        return torch.cat([blocks[k] for k in order])[None].numpy()

    i_o_f_c = (0, 3, 1, 2)
    feed = {
        "X": inputs.numpy(),
        "W": reordered(layer.weight_ih, i_o_f_c),
        "R": reordered(layer.weight_hh, i_o_f_c),
        "B": np.concatenate((reordered(layer.bias, i_o_f_c), np.zeros((1, 20), np.float32)), 1),
        "initial_h": h[None].numpy(),
        "initial_c": c[None].numpy(),
        "P": reordered(layer.peephole, (0, 2, 1)),
    }
    names = ["X", "W", "R", "B", "", "initial_h", "initial_c", "P"]
    node = helper.make_node("LSTM", names, ["Y", "Y_h", "Y_c"], hidden_size=5)
    infos = [helper.make_tensor_value_info(name, 1, value.shape) for name, value in feed.items()]
    results = [helper.make_tensor_value_info(name, 1, None) for name in ("Y", "Y_h", "Y_c")]
    opsets = [helper.make_opsetid("", 14)]
    model = helper.make_model(helper.make_graph([node], "g", infos, results), opset_imports=opsets, ir_version=8)
    y, y_h, y_c = onnxruntime.InferenceSession(model.SerializeToString()).run(None, feed)
    np.testing.assert_allclose(outputs.detach().numpy(), y[:, 0], atol=1e-5)
    np.testing.assert_allclose(after[0].detach().numpy(), y_h[0], atol=1e-5)
    np.testing.assert_allclose(after[1].detach().numpy(), y_c[0], atol=1e-5)


def attention_by_loop(h, query, key, value, out, window):
    """One row: every step's sum over the past, written out."""
    q, k, v = h @ query.T, h @ key.T, h @ value.T
    outputs = []
    for t in range(len(h)):
        span = range(max(0, t - window + 1), t + 1)
        weights = [math.exp(q[t] @ k[s] / math.sqrt(len(query))) for s in span]
        found = sum(w * v[s] for w, s in zip(weights, span, strict=True)) / sum(weights)
        outputs.append(h[t] + out @ found)
    return np.array(outputs)


@given(st.integers(0, 2**31), st.integers(1, 5), st.integers(1, 8), st.integers(1, 6), st.data())
@settings(max_examples=25, deadline=None)
def test_attention_equals_a_loop_over_the_past_whole_or_in_two_windows(seed, size, time, window, data):
    rng = np.random.default_rng(seed)
    h = rng.normal(size=(2, time, size))
    weights = [rng.normal(size=shape) for shape in attention_shapes(size).values()]
    tensors = [torch.from_numpy(weight) for weight in weights]
    hidden = torch.from_numpy(h)
    nothing = empty_memory(2, window, size, hidden)
    want = np.array([attention_by_loop(row, *weights, window) for row in h])
    got, _ = attend(hidden, nothing, *tensors)
    np.testing.assert_allclose(got.numpy(), want, atol=1e-10)
    cut = data.draw(st.integers(0, time))
    first, memory = attend(hidden[:, :cut], nothing, *tensors) if cut else (hidden[:, :0], nothing)
    second, _ = attend(hidden[:, cut:], memory, *tensors) if cut < time else (hidden[:, :0], memory)
    np.testing.assert_allclose(torch.cat((first, second), 1).numpy(), want, atol=1e-10)


def test_attention_gradients_are_right():
    torch.manual_seed(0)
    hidden = torch.randn(2, 4, 3, dtype=torch.float64, requires_grad=True)
    weights = [torch.randn(shape, dtype=torch.float64, requires_grad=True) for shape in attention_shapes(3).values()]
    memory = tuple(
        part[:, -2:] for part in attend(hidden.detach(), empty_memory(2, 2, 3, hidden.detach()), *weights)[1]
    )
    memory = (memory[0].detach(), memory[1].detach(), memory[2])
    assert torch.autograd.gradcheck(lambda h, *w: attend(h, memory, *w)[0], (hidden, *weights))


def test_initial_attention_has_no_effect():
    shape = {"vocab_size": 5, "embedding_size": 3, "hidden_size": 4, "num_layers": 1}
    plain, attentive = model_of(shape), model_of(shape, attention_window=4)
    attentive.load_state_dict({**attentive.state_dict(), **plain.state_dict()})
    ids = torch.tensor([[1, 2, 3, 4, 0, 1]])
    torch.testing.assert_close(attentive(ids)[0], plain(ids)[0])


@pytest.mark.parametrize("cell", CELLS)
def test_lower_precision_products_come_close(cell):
    x, state, weights = parts_of(cell, np.random.default_rng(4), 6, 8, 3, time=5)
    x, state, weights = x.float(), [part.float() for part in state], [weight.float() / 3 for weight in weights]
    learning = [part.requires_grad_() for part in (x, *state, *weights)]
    whole = getattr(fused, cell)
    want, _ = whole(x, tuple(state), tuple(weights))
    with torch.autocast("cpu", torch.bfloat16):
        got, _ = whole(x, tuple(state), tuple(weights))
    assert got.dtype == torch.float32
    assert not torch.equal(got, want), "products were not computed in bf16"
    torch.testing.assert_close(got, want, atol=0.05, rtol=0)
    for mine, theirs in zip(
        torch.autograd.grad(got.sum(), learning), torch.autograd.grad(want.sum(), learning), strict=True
    ):
        torch.testing.assert_close(mine, theirs, atol=0.2, rtol=0.05)


@pytest.mark.parametrize("cell", CELLS)
def test_initial_weights_are_orthogonal_gate_by_gate_and_gates_keep_the_state(cell):
    layer = RecurrentLayer(cell, 3, 6)
    gates = CELLS[cell].gates
    for gate in layer.weight_hh.chunk(gates):
        torch.testing.assert_close(gate @ gate.t(), torch.eye(6), atol=1e-5, rtol=0)
    for number, bias in enumerate(layer.bias.chunk(gates)):
        assert (bias == (1 if gates > 1 and number == 1 else 0)).all()
    for name in CELLS[cell].vectors:
        assert (getattr(layer, name) == 0).all()


@pytest.mark.parametrize(
    ("looked_up", "length"),
    [({"match_orders": (3,)}, 1), ({"ngram_order": 3}, 1), ({"match_orders": (), "ngram_order": 0}, 8)],
)
def test_initial_embeddings_have_length_one_with_side_inputs(looked_up, length):
    model = CharLM(architecture(vocab_size=500, embedding_size=64, hidden_size=4, **looked_up))
    assert model.embedding.weight.norm(dim=1).mean().item() == pytest.approx(length, rel=0.05)


def test_the_output_bias_can_start_at_token_frequencies():
    model = model_of({"vocab_size": 4, "hidden_size": 5})
    torch.nn.init.zeros_(model.head.weight)
    model.init_output_bias(np.array([0, 9, 4, 3]))
    probabilities = model(torch.tensor([[1, 2, 3]]))[0].softmax(-1)
    torch.testing.assert_close(probabilities, (torch.tensor([1.0, 10, 5, 4]) / 20).expand(1, 3, 4))


@given(shapes, st.integers(1, 3), st.integers(2, 6), st.data())
@settings(max_examples=60, deadline=None)
def test_half_windows_with_the_state_carried_equal_the_whole(shape, batch, time, data):
    model = model_of(shape)
    for table in model.side_inputs.values():
        torch.nn.init.normal_(table.weight)
    ids = torch.from_numpy(np.random.default_rng(0).integers(shape["vocab_size"], size=(batch, time)))
    cut = data.draw(st.integers(1, time - 1))
    whole, end = model(ids)
    first, middle = model(ids[:, :cut])
    second, end_of_second = model(ids[:, cut:], middle)
    torch.testing.assert_close(torch.cat((first, second), 1), whole, atol=1e-5, rtol=1e-5)
    for (name, part), (_, want) in zip(end_of_second.named_parts(), end.named_parts(), strict=True):
        torch.testing.assert_close(part, want, atol=1e-5, rtol=1e-5, msg=name)


@given(shapes, st.integers(1, 4), st.integers(1, 6))
@settings(max_examples=60, deadline=None)
def test_engine_and_torch_backend_give_the_models_logits(shape, batch, time):
    model = model_of(shape, vocab_size=shape.pop("vocab_size"))
    rng = np.random.default_rng(0)
    tensors = {name: 2 * tensor + rng.normal(size=tensor.shape) / 4 for name, tensor in model.to_tensors().items()}
    model.load_tensors(tensors)
    vocab = model.architecture.vocab_size
    ids = np.random.default_rng(1).integers(vocab, size=(batch, time))
    want = model(torch.from_numpy(ids))[0].detach().numpy()
    for stepper in (engine_for(model), torch_backend_for(model)):
        state = None
        for t in range(time):
            before = deepcopy(state)
            logits, after = stepper.step(ids[:, t], state)
            np.testing.assert_allclose(logits, want[:, t], atol=1e-5, rtol=1e-5)
            # A state is a value: the step has not touched it.
            assert all(map(np.array_equal, arrays_of(before), arrays_of(state)))
            state = after


def arrays_of(state):
    """The layers' and attention's parts of a state of either backend."""
    if state is None:
        return []
    return [*(part for stack in state.layers for layer in stack for part in layer), *(state.attention or ())]


def test_expanded_and_selected_states_continue_like_their_row():
    model = model_of(
        {"vocab_size": 4, "embedding_size": 3, "hidden_size": 5, "num_layers": 2, "skip_connections": True}
    )
    for stepper in (engine_for(model), torch_backend_for(model)):
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
    dropped = model._locked_dropout(ones, 0.25, DropoutRng(torch.Generator().manual_seed(3)))
    assert (dropped == dropped[:1]).all(), "every step of the window has the same mask"
    assert sorted(dropped.unique().tolist()) == pytest.approx([0.0, 1 / 0.75])
    assert dropped.mean().item() == pytest.approx(1.0, abs=0.02)


def test_weight_drop_drops_recurrent_weights_in_training_only():
    torch.manual_seed(0)
    layer = RecurrentLayer("lstm", 2, 8, weight_drop=0.5)
    inputs = torch.randn(4, 1, 2)
    layer.train()
    first, second = (
        layer(inputs, layer.empty_state(1), DropoutRng())[0],
        layer(inputs, layer.empty_state(1), DropoutRng())[0],
    )
    assert not torch.equal(first, second)
    torch.testing.assert_close(first[0], second[0])  # the first step has no recurrent input to drop
    layer.eval()
    torch.testing.assert_close(
        layer(inputs, layer.empty_state(1), DropoutRng())[0], layer(inputs, layer.empty_state(1), DropoutRng())[0]
    )


def test_reset_zeroes_those_rows_only_and_detach_cuts_the_gradient():
    h, c = torch.randn(3, 2, requires_grad=True), torch.randn(3, 2)
    state = State((((h, c),),)).reset(torch.tensor([False, True, False]))
    ((((new_h, new_c),),)) = state.layers
    assert (new_h[1] == 0).all()
    assert (new_c[1] == 0).all()
    torch.testing.assert_close(new_h[[0, 2]], h[[0, 2]])
    assert new_h.requires_grad
    assert not state.detach().layers[0][0][0].requires_grad


@given(shapes)
@settings(max_examples=15, deadline=None)
def test_tensors_round_trip_and_are_counted(shape):
    model, other = model_of(shape), model_of(shape, seed=1)
    tensors = model.to_tensors()
    other.load_tensors(tensors)
    for name, tensor in other.to_tensors().items():
        np.testing.assert_array_equal(tensor, tensors[name])
    assert model.parameter_count() == sum(tensor.size for tensor in tensors.values())
    assert model.parameter_count() == parameter_count(model.architecture)


@pytest.mark.parametrize("kind", [torch.float32, torch.bfloat16])
def test_masks_drop_the_rate_asked_for_in_any_precision(kind):
    """bf16 has 256 numbers in [0, 1): drawn in it, a rate of 0.1 would be 0.1016."""
    rng = DropoutRng(torch.Generator().manual_seed(0))
    mask = rng.mask(torch.zeros((), dtype=kind), (2_000_000,), 0.1)
    assert mask.dtype == kind
    dropped = (mask == 0).double().mean().item()
    assert dropped == pytest.approx(0.1, abs=4 * math.sqrt(0.1 * 0.9 / 2_000_000))


def test_a_row_has_the_same_mask_however_many_processes_share_the_batch():
    whole = DropoutRng(torch.Generator().manual_seed(3)).mask(torch.zeros(()), (1, 6, 4), 0.5, batch_dim=1)
    part = DropoutRng(torch.Generator().manual_seed(3), first_row=2, batch_size=6)
    assert torch.equal(part.mask(torch.zeros(()), (1, 2, 4), 0.5, batch_dim=1), whole[:, 2:4])
