"""What claims measure, computed another way: from the equations of a cell, by brute force, or in a closed form."""

from __future__ import annotations

import itertools
import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from charlstm.inspect.gradients import gradient_norms, relative_gradient
from charlstm.lab import measures
from charlstm.lab.gradient import FAR, MAX_DISTANCE
from charlstm.lab.side_by_side import config_of_size
from charlstm.lab.texts import Text
from charlstm.lab.trainee import Trainee
from charlstm.lab.variants import RECALL, RECALL_TASK, TEXT, WINDOW, Trained, Variant, setups
from charlstm.nn.cells import STEPS, next_state
from charlstm.nn.model import CharLM
from tests.lab.test_tasks import Machine


def random_text(vocab=4, length=2000):
    ids = np.random.default_rng(3).integers(vocab, size=length).astype(np.uint8)
    return Text("random", vocab, ids[:1500], ids[1500:])


def network(cell="lstm", vocab=4, **settings):
    torch.manual_seed(5)
    model = CharLM(config_of_size(cell, 400, vocab, 5, **settings))
    with torch.no_grad():
        for weight in model.parameters():  # far from uniform predictions
            weight.add_(torch.randn_like(weight))
    return model.eval()


def trained(model, text=None):
    trainee = Trainee(model.architecture, 1, setups(random_text())[RECALL].train, iter(()), 1.0)
    trainee.model = model
    return Trained(trainee, text)


# ---- the forget gate ----------------------------------------------------------------------------------------------


def test_without_forgetting_the_cell_state_is_the_sum_of_what_was_let_in():
    model = network()
    before = {name: weight.clone() for name, weight in model.state_dict().items()}
    changed = measures.hold_forget_gate(model, torch.full((model.architecture.hidden_size,), 30.0))
    ids = torch.tensor([[0, 3, 1, 1, 2, 0, 3]])
    weights = {name: weight.double() for name, weight in before.items()}
    h = c = torch.zeros(model.architecture.hidden_size, dtype=torch.float64)
    logits = []
    for token in ids[0]:
        gates = weights["layers.0.weight_ih"] @ weights["embedding.weight"][token]
        gates = gates + weights["layers.0.weight_hh"] @ h + weights["layers.0.bias"]
        i, _, g, o = gates.chunk(4)
        c = c + i.sigmoid() * g.tanh()
        h = o.sigmoid() * c.tanh()
        logits.append(weights["head.weight"] @ h + weights["head.bias"])
    with torch.no_grad():
        assert torch.allclose(changed(ids)[0][0].double(), torch.stack(logits), atol=1e-4)
    assert all(torch.equal(weight, before[name]) for name, weight in model.state_dict().items()), "it is a copy"


def test_the_mean_forget_gate_is_that_of_the_cell_step_by_step():
    model = network(vocab=RECALL_TASK.vocab_size)
    weights, gate = [weight.detach() for weight in model.layers[0].weights], measures._forget_gate(model)
    means = []
    for gap in (1, 2, 4, 8, 16, 32, 64):
        lines = torch.from_numpy(RECALL_TASK.lines(np.random.default_rng(gap), gap, measures._LINES))
        state = (torch.zeros(len(lines), model.architecture.hidden_size),) * 2
        gates = []
        for column in lines.t():
            x = model.embedding(column).detach()
            gates.append((x @ weights[0][gate].t() + state[0] @ weights[1][gate].t() + weights[2][gate]).sigmoid())
            state = next_state("lstm", STEPS["lstm"](x, state, *weights))
        means.append(torch.stack(gates).mean((0, 1)))
    assert torch.allclose(measures.mean_forget_gate(model), torch.stack(means).mean(0), atol=1e-5)


def test_a_gate_held_at_a_value_has_that_value_on_any_line():
    model = network(vocab=RECALL_TASK.vocab_size)
    value = torch.linspace(0.1, 0.9, model.architecture.hidden_size)
    assert torch.allclose(measures.mean_forget_gate(measures.hold_forget_gate(model, value.logit())), value, atol=1e-6)


def test_the_forget_bias_alone_becomes_zero():
    torch.manual_seed(1)
    model = CharLM(config_of_size("lstm", 400, 4, 5))
    before = {name: weight.clone() for name, weight in model.state_dict().items()}
    measures.zero_forget_bias(model)
    hidden = model.architecture.hidden_size
    assert torch.equal(before["layers.0.bias"][hidden : 2 * hidden], torch.ones(hidden))
    before["layers.0.bias"][:] = 0
    assert all(torch.equal(weight, before[name]) for name, weight in model.state_dict().items())


# ---- masked characters --------------------------------------------------------------------------------------------


@pytest.fixture(autouse=True)
def _few_excerpts(monkeypatch):
    monkeypatch.setattr(measures, "_MOST_EXCERPTS", 20)


@pytest.mark.parametrize("settings", [{"cell": "lstm"}, {"cell": "gru"}, {"attention_window": 8}, {"num_layers": 2}])
def test_one_direction_gives_a_masked_character_the_posterior_of_all_whole_texts(settings):
    text, model = random_text(), network(**settings)
    losses = measures.masked_losses(model, text)
    excerpts = torch.from_numpy(text.excerpts(len(losses), WINDOW).astype(np.int64))
    for number in (0, 7, len(losses) - 1):
        whole = []
        for candidate in range(4):
            ids = excerpts[number].clone()
            ids[WINDOW // 2] = candidate
            with torch.no_grad():
                log_p = model(ids[None, :-1])[0][0].double().log_softmax(1)
            whole.append(sum(log_p[t, ids[t + 1]].item() for t in range(WINDOW - 1)))
        posterior = np.exp(np.array(whole) - max(whole))
        posterior /= posterior.sum()
        expected = -math.log(posterior[excerpts[number, WINDOW // 2]])
        assert losses[number].item() == pytest.approx(expected, abs=2e-3)


def test_two_directions_do_not_see_the_character_that_they_are_tested_on():
    text, model = random_text(), network(bidirectional=True)
    losses = measures.masked_losses(model, text)
    excerpts = torch.from_numpy(text.excerpts(len(losses), WINDOW).astype(np.int64))
    targets = excerpts[:, WINDOW // 2].clone()
    excerpts[:, WINDOW // 2] = 4  # the mask
    with torch.no_grad():
        log_p = model(excerpts)[0][:, WINDOW // 2].log_softmax(1)
    assert torch.allclose(losses, -log_p[range(len(targets)), targets], atol=1e-5)


def test_the_candidates_may_be_read_in_any_number_of_groups(monkeypatch):
    text, model = random_text(), network()
    at_once = measures.masked_losses(model, text)
    monkeypatch.setattr(measures, "LARGEST_ARRAY", 3 * 4 * WINDOW * 4)
    assert torch.allclose(measures.masked_losses(model, text), at_once, atol=1e-5)


def test_a_large_vocabulary_has_fewer_excerpts(monkeypatch):
    monkeypatch.setattr(measures, "_ROWS", 40)
    assert len(measures.masked_losses(network(), random_text())) == 10


# ---- the others ---------------------------------------------------------------------------------------------------


def remember(ids):
    return ids[ids.index(8) + 1] if 8 in ids[:-1] else 0


def test_the_far_gradient_is_one_point_of_the_gradient_at_every_distance():
    text, model = random_text(), network()
    excerpts = text.excerpts(8, 2 * MAX_DISTANCE)
    expected = relative_gradient(gradient_norms(model, excerpts, MAX_DISTANCE))[FAR]
    assert measures.far_gradient(trained(model, text)) == pytest.approx(expected, rel=1e-3)


def test_the_time_of_a_step_is_that_of_a_clock(monkeypatch):
    ticks = itertools.count()
    monkeypatch.setattr("charlstm.lab.trainee.time.perf_counter", lambda: 0.004 * next(ticks))
    setup = setups(random_text())[TEXT]
    trainee = Trainee(Variant("x", TEXT, "rnn").architecture(setup), 1, setup.train, setup.batches(1), 0.1)
    trainee.train_until(0.02)
    assert measures.step_milliseconds(Trained(trainee, None)) == pytest.approx(4.0)


@pytest.mark.parametrize(("predict", "percent", "gap"), [(remember, 100, 512), (lambda ids: 3, 100 / 8, 0)])
def test_a_machine_that_remembers_recalls_all_and_one_that_guesses_an_eighth(predict, percent, gap, monkeypatch):
    monkeypatch.setattr("charlstm.lab.long_range._PREFIXES", 4)
    machine = SimpleNamespace(trainee=SimpleNamespace(model=Machine(predict, RECALL_TASK.vocab_size)))
    assert measures.recalled_percent(machine) == pytest.approx(percent, abs=4)
    assert measures.longest_gap_recalled(machine) == gap


def test_the_lowest_loss_is_that_of_the_best_evaluation():
    assert measures.lowest_loss(Trained(None, None, [3.0, 2.0, 2.5])) == 2.0  # type: ignore[arg-type]
