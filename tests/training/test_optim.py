"""The optimizer's groups, the schedule as a function, the average against its closed form."""

import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from charlstm.config import TrainConfig
from charlstm.nn.parameters import dense_parameters, sparse_tables
from charlstm.nn.side_inputs.ngram_embedding import NgramEmbedding
from charlstm.nn.side_inputs.table import SideInputTable
from charlstm.training.budget import TrainingClock, progress
from charlstm.training.optim.build import make_optimizers
from charlstm.training.optim.decay_to_start import DecayToStart
from charlstm.training.optim.ema import WeightEMA
from charlstm.training.optim.row_rms import RowRms
from charlstm.training.optim.schedule import schedule
from charlstm.training.optim.soap import Soap


@pytest.mark.parametrize("name", ["soap", "adamw"])
def test_matrices_decay_and_biases_do_not(name):
    model = nn.Linear(3, 2)
    (optimizer,) = make_optimizers(model, TrainConfig(optimizer=name, lr=0.1, weight_decay=0.5))
    before = model.weight.detach().clone()
    model.weight.grad, model.bias.grad = torch.zeros_like(model.weight), torch.zeros_like(model.bias)
    bias = model.bias.detach().clone()
    optimizer.step()
    torch.testing.assert_close(model.weight.detach(), before * (1 - 0.1 * 0.5))
    torch.testing.assert_close(model.bias.detach(), bias)


def soap_by_the_equations(weight, gradients, lr, beta1, beta2, decay):
    """The equations of the docstring in NumPy, with the moments kept unturned and turned anew at every step."""
    r = m = 0.0
    for t, g in enumerate(gradients, 1):
        if t == 1:
            r = g.T @ g
            q = np.linalg.eigh(r)[1]
            v = np.zeros_like(weight)
        else:
            early = t in (2, 4, 8)
            if early or t % 5 == 0:
                r = beta2 * r + (1 - beta2) * g.T @ g
            if early or t % 10 == 0:
                order = np.argsort(-np.diag(q.T @ r @ q))
                q, v = np.linalg.qr((r @ q)[:, order])[0], v[:, order]
        m = beta1 * m + (1 - beta1) * g
        v = beta2 * v + (1 - beta2) * (g @ q) ** 2
        update = (m @ q) / (1 - beta1**t) / (np.sqrt(v / (1 - beta2**t)) + 1e-8) @ q.T
        weight = weight * (1 - lr * decay) - lr * update
    return weight


def test_soap_follows_its_equations():
    rng = np.random.default_rng(0)
    start, gradients = rng.normal(size=(4, 3)), rng.normal(size=(25, 4, 3)) @ rng.normal(size=(3, 3))
    weight = nn.Parameter(torch.from_numpy(start.copy()))
    optimizer = Soap([weight], lr=0.01, betas=(0.9, 0.95), weight_decay=0.1)
    for gradient in gradients:
        weight.grad = torch.from_numpy(gradient)
        optimizer.step()
    want = soap_by_the_equations(start, gradients, 0.01, 0.9, 0.95, 0.1)
    np.testing.assert_allclose(weight.detach().numpy(), want, atol=1e-9)


@pytest.mark.parametrize(("columns", "widths"), [(6, [3, 3]), (8, [2] * 4), (3, [3]), (7, [7])])
def test_a_wide_matrix_is_cut_into_blocks_each_with_its_own_basis(monkeypatch, columns, widths):
    monkeypatch.setattr(Soap, "WIDTH", 3)
    rng = np.random.default_rng(0)
    start, gradients = rng.normal(size=(9, columns)), rng.normal(size=(25, 9, columns))
    weight = nn.Parameter(torch.from_numpy(start.copy()))
    optimizer = Soap([weight], lr=0.01, betas=(0.9, 0.95), weight_decay=0.1)
    for gradient in gradients:
        weight.grad = torch.from_numpy(gradient)
        optimizer.step()
    ends = np.cumsum(widths)
    assert ends[-1] == columns
    for begin, end in zip(ends - widths, ends, strict=True):
        want = soap_by_the_equations(start[:, begin:end], gradients[:, :, begin:end], 0.01, 0.9, 0.95, 0.1)
        np.testing.assert_allclose(weight.detach().numpy()[:, begin:end], want, atol=1e-9)


def least_squares(optimizer_of, turn, steps=60):
    """The losses of a linear fit to data whose inputs have been turned by an orthogonal matrix."""
    rng = np.random.default_rng(1)
    inputs = torch.from_numpy(rng.normal(size=(200, 6)) * [9, 3, 1, 0.3, 0.1, 0.03]) @ turn
    targets = inputs @ turn.T @ torch.from_numpy(rng.normal(size=(6, 8)))
    weight = nn.Parameter(torch.zeros(8, 6, dtype=torch.float64))
    optimizer, losses = optimizer_of([weight]), []
    for _ in range(steps):
        loss = (inputs @ weight.t() - targets).square().mean()
        weight.grad = None
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


@pytest.mark.parametrize("shape", [(2, 3), (4, 300), (5,), (3, 127)])
def test_the_state_has_the_shapes_of_state_shapes(shape):
    weight = nn.Parameter(torch.zeros(shape))
    weight.grad = torch.ones(shape)
    optimizer = Soap([weight], lr=0.01, betas=(0.9, 0.95))
    expected = optimizer.state_shapes(weight)
    optimizer.step()
    assert {name: tuple(value.shape) for name, value in optimizer.state[weight].items()} == expected


def test_soap_is_invariant_to_rotations_of_the_inputs_and_adam_is_not():
    turn = torch.from_numpy(np.linalg.qr(np.random.default_rng(2).normal(size=(6, 6)))[0])
    straight = torch.eye(6, dtype=torch.float64)

    def soap(params):
        return Soap(params, lr=0.05, betas=(0.9, 0.95))

    def adam(params):
        return torch.optim.AdamW(params, lr=0.05, betas=(0.9, 0.95), weight_decay=0.0)

    np.testing.assert_allclose(least_squares(soap, turn), least_squares(soap, straight), rtol=1e-5)
    assert least_squares(soap, turn)[-1] < 0.5 * least_squares(adam, turn)[-1]


def test_soap_is_adam_for_vectors():
    rng = np.random.default_rng(3)
    gradients = torch.from_numpy(rng.normal(size=(12, 7)))
    ours, theirs = (nn.Parameter(torch.ones(7, dtype=torch.float64)) for _ in range(2))
    soap = Soap([ours], lr=0.1, betas=(0.9, 0.99))
    adam = torch.optim.AdamW([theirs], lr=0.1, betas=(0.9, 0.99), weight_decay=0.0)
    for gradient in gradients:
        ours.grad, theirs.grad = gradient.clone(), gradient.clone()
        soap.step()
        adam.step()
    torch.testing.assert_close(ours, theirs)


def test_row_rms_follows_its_equations_and_unread_rows_stay():
    rng = np.random.default_rng(4)
    start = rng.normal(size=(6, 3))
    table = nn.Parameter(torch.from_numpy(start.copy()))
    optimizer = RowRms([table], lr=0.1, beta2=0.9, decay=2.0)
    want, v = start.copy(), 0.0
    for t in range(1, 8):
        read = np.array([1, 4, 4]) if t % 2 else np.array([4, 0, 0])
        gradients = rng.normal(size=(3, 3))
        table.grad = torch.sparse_coo_tensor(read[None], gradients, (6, 3), check_invariants=True)
        optimizer.step()
        rows = np.unique(read)
        summed = np.array([gradients[read == row].sum(0) for row in rows])
        v = 0.9 * v + 0.1 * (summed**2).mean(0)
        want[rows] = 0.8 * want[rows] - 0.05 * summed / (np.sqrt(v / (1 - 0.9**t)) + 1e-8)
        np.testing.assert_allclose(table.detach().numpy(), want, atol=1e-12)
    np.testing.assert_array_equal(table.detach().numpy()[[2, 3, 5]], start[[2, 3, 5]])


@pytest.mark.parametrize("name", ["soap", "adamw"])
def test_decay_to_the_start_leads_back_to_it(name):
    torch.manual_seed(0)
    side = NgramEmbedding(ngram_order=3, ngram_buckets=5, ngram_decay=2.0)

    def build(decay_to_start):
        torch.manual_seed(0)
        model = nn.ModuleDict({"ngrams": SideInputTable(side, 4, 3), "head": nn.Linear(3, 4)})
        nn.init.normal_(model["ngrams"].weight)
        optimizers = make_optimizers(model, TrainConfig(optimizer=name, lr=0.1, weight_decay=0.5))
        return model, optimizers, DecayToStart(model, optimizers, torch.arange(4) == 2) if decay_to_start else None

    (plain, plain_optimizers, _), (model, optimizers, decay) = build(False), build(True)
    first = {name: weight.detach().clone() for name, weight in model.named_parameters()}
    assert decay.start.keys() == {"ngrams.weight", "head.weight"}
    known = [0, 1, 3]
    for _ in range(6):
        before = model["head"].weight.detach().clone()
        # Both take the same step from the same weights; then decay has led one towards zero, the other to the start.
        plain.load_state_dict(model.state_dict())
        rows, gradient = torch.tensor([1, 4, 1]), torch.randn(3, 3)
        dense = torch.randn(4, 3)
        for each, steps in ((plain, plain_optimizers), (model, optimizers)):
            each["ngrams"].weight.grad = torch.sparse_coo_tensor(rows[None], gradient, (5, 3), check_invariants=False)
            each["head"].weight.grad, each["head"].bias.grad = dense.clone(), torch.zeros(4)
            for optimizer in steps:
                optimizer.step()
        decay.apply()
        expected = plain["head"].weight.detach().clone()
        expected[known] += 0.1 * 0.5 * first["head.weight"][known]
        expected[2] += 0.1 * 0.5 * before[2]  # as without any decay
        torch.testing.assert_close(model["head"].weight.detach(), expected)
        expected = plain["ngrams"].weight.detach().clone()
        expected[[1, 4]] += 0.1 * 2.0 * first["ngrams.weight"][[1, 4]]
        torch.testing.assert_close(model["ngrams"].weight.detach(), expected)
        torch.testing.assert_close(model["head"].bias.detach(), plain["head"].bias.detach())


def test_a_table_has_an_optimizer_of_its_own_and_no_average():
    side = NgramEmbedding(ngram_order=3, ngram_buckets=8, ngram_decay=0.7)
    model = nn.ModuleDict({"ngrams": SideInputTable(side, 4, 2), "head": nn.Linear(2, 4)})
    dense, rows = make_optimizers(model, TrainConfig())
    (found,) = sparse_tables(model)
    table = found.weight
    assert table is model["ngrams"].weight
    assert list(dense_parameters(model)) == ["head.weight", "head.bias"]
    assert all(weight is not table for group in dense.param_groups for weight in group["params"])
    (group,) = rows.param_groups
    assert group["params"][0] is table
    assert group["decay"] == 0.7
    assert len(WeightEMA(model, 0.9).weights) == 2


def test_a_step_does_not_import_torchs_compiler():
    """Its import takes longer than all else that stands before the first step."""
    code = """
import sys, torch
from charlstm.config import TrainConfig
from tests.networks import architecture
from charlstm.nn.model import CharLM
from charlstm.training.optim.build import make_optimizers
model = CharLM(architecture(vocab_size=3, ngram_order=2))
model(torch.zeros(1, 4, dtype=torch.int64))[0].sum().backward()
for optimizer in make_optimizers(model, TrainConfig()):
    optimizer.step()
print("torch._dynamo" in sys.modules)
"""
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout == "False\n"


def test_schedule_rises_then_falls_to_zero():
    assert schedule(0.0, 0.1) == pytest.approx(0.01), "a rate of 0 would waste the first step"
    assert schedule(0.05, 0.1) == pytest.approx(0.5)
    assert schedule(0.1, 0.1) == pytest.approx(1.0)
    assert schedule(0.55, 0.1) == pytest.approx(0.5)
    assert schedule(1.0, 0.1) == pytest.approx(0.0)
    assert schedule(0.0, 0.0) == 1.0


@given(st.floats(0, 1), st.floats(0, 1), st.floats(0, 0.9))
def test_schedule_stays_between_zero_and_one_and_only_falls_after_the_warm_up(a, b, warmup):
    low, high = sorted((a, b))
    assert 0.0 <= schedule(low, warmup) <= 1.0
    if low >= warmup:
        assert schedule(high, warmup) <= schedule(low, warmup)


def test_average_equals_its_closed_form():
    model = nn.Linear(1, 1, bias=False)
    average = WeightEMA(model, 0.5)
    values = [1.0, 5.0, -3.0, 2.0]
    want = model.weight.item()
    for step, value in enumerate(values, 1):
        with torch.no_grad():
            model.weight.fill_(value)
        average.update(step)
        decay = min(0.5, (1 + step) / (10 + step))
        want = decay * want + (1 - decay) * value
    assert average.weights["weight"].item() == pytest.approx(want)


def test_swapping_twice_changes_nothing():
    model = nn.Linear(4, 4)
    average = WeightEMA(model, 0.9)
    with torch.no_grad():
        model.weight.add_(1.0)
    live, mean = model.weight.detach().clone(), average.weights["weight"].clone()
    average.swap()
    assert torch.equal(model.weight, mean)
    average.swap()
    assert torch.equal(model.weight, live)
    assert torch.equal(average.weights["weight"], mean)


def test_progress_is_that_of_the_budget_closest_to_its_end():
    config = TrainConfig(max_time=100, max_steps=10, epochs=4)
    assert progress(config, seconds=10, steps=5, epochs=1) == 0.5
    assert progress(config, seconds=90, steps=5, epochs=1) == 0.9
    assert progress(config, seconds=10, steps=5, epochs=3) == 0.75
    assert progress(config, seconds=1e9, steps=0, epochs=0) == 1.0


def test_a_pause_hardly_advances_the_schedule():
    clock = TrainingClock()
    for _ in range(100):
        clock.add_step(0.01)
    clock.add_step(3600.0)
    assert clock.seconds < 1.5
