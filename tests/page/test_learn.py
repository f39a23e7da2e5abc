"""Learning in JavaScript: twenty steps give the losses and the weights that torch's own optimizers give."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy

from charlstm.checkpoint.format import read_model, write
from charlstm.engine.load import torch_model
from charlstm.nn.model import CharLM
from tests.page.node import evaluate, needs_node
from tests.page.test_engine import ALPHABET, checkpoint

pytestmark = needs_node

STEPS, LANES, WINDOW, RATE = 20, 3, 7, 0.01
NETWORKS = [
    {"num_layers": 2},
    {"cell": "rnn"},
    {"cell": "gru", "num_layers": 2, "skip_connections": True},
    {"cell": "peephole", "num_layers": 2, "skip_connections": True},
    {"ensemble": 2, "num_layers": 2, "skip_connections": True, "hidden_size": 10},
    {"ngram_order": 3, "ngram_buckets": 40, "match_orders": (2, 3), "match_slots": 64, "num_layers": 2},
]
LEARN = """
import { writeFileSync } from "node:fs";
const { readCheckpoint } = await import(`${page}/engine/checkpoint.js`);
const { Learner } = await import(`${page}/engine/learn.js`);
console.log(JSON.stringify(given.files.map((path) => {
  const learner = new Learner(readCheckpoint(fileOf(path)));
  const states = given.lanes.map(() => learner.empty());
  const losses = [];
  for (let k = 0; k < given.steps; k++) {
    const begin = k * given.window;
    const cut = (shift) => given.lanes.map((ids) => ids.slice(begin + shift, begin + given.window + shift));
    losses.push(learner.step(cut(0), cut(1), states, given.rate));
  }
  const evaluating = learner.evaluate(given.lanes[0].slice(0, 90));
  let step = evaluating.next();
  while (!step.done) step = evaluating.next();
  writeFileSync(path + ".out", learner.file());
  return { losses, after: step.value };
})));
"""


def learn_with_torch(model: CharLM, lanes: torch.Tensor) -> tuple[list[float], float]:
    """The same steps with torch: Adam, for the table of n-grams its sparse form, and a clipped gradient."""
    model.train()
    sparse = [weight for name, weight in model.named_parameters() if "ngrams" in name]
    dense = [weight for name, weight in model.named_parameters() if "ngrams" not in name]
    optimizers = [torch.optim.Adam(dense, lr=RATE)]
    if sparse:
        optimizers.append(torch.optim.SparseAdam(sparse, lr=RATE))
    losses, state = [], model.empty_state(LANES)
    for step in range(STEPS):
        window = slice(step * WINDOW, (step + 1) * WINDOW)
        logits, state = model(lanes[:, window], state)
        targets = lanes[:, 1:][:, window].repeat(len(logits) // LANES, 1)
        loss = cross_entropy(logits.flatten(0, 1), targets.flatten())
        losses.append(loss.item())
        for optimizer in optimizers:
            optimizer.zero_grad()
        loss.backward()
        gradients = [
            weight.grad.coalesce().values() if weight.grad.is_sparse else weight.grad for weight in dense + sparse
        ]
        norm = torch.sqrt(sum((gradient**2).sum() for gradient in gradients))
        for weight in dense + sparse:
            weight.grad = weight.grad * min(1.0, 1.0 / (norm.item() + 1e-6))
        for optimizer in optimizers:
            optimizer.step()
        state = state.detach()
    model.eval()
    with torch.no_grad():
        ids = lanes[:1, :90]
        after = cross_entropy(model(ids[:, :-1])[0].flatten(0, 1), ids[:, 1:].flatten())
    return losses, after.item()


def test_twenty_steps_are_those_of_torch(tmp_path):
    lanes = np.random.default_rng(2).integers(0, len(ALPHABET), (LANES, STEPS * WINDOW + 1))
    lanes[:, 40:60] = lanes[:, :20]  # so that the match memory finds something
    saved = [checkpoint(**network) for network in NETWORKS]
    files = [tmp_path / f"{number}.safetensors" for number in range(len(saved))]
    for path, each in zip(files, saved, strict=True):
        write(path, each)
    answers = evaluate(
        LEARN,
        {"files": list(map(str, files)), "lanes": lanes.tolist(), "steps": STEPS, "window": WINDOW, "rate": RATE},
    )
    for network, each, path, answer in zip(NETWORKS, saved, files, answers, strict=True):
        model = torch_model(each)
        losses, after = learn_with_torch(model, torch.from_numpy(lanes))
        np.testing.assert_allclose(answer["losses"], losses, atol=1e-4, err_msg=str(network))
        assert answer["after"] == pytest.approx(after, abs=1e-4)
        learnt = read_model(path.with_suffix(".safetensors.out"))
        for name, weight in model.to_tensors().items():
            distance = np.abs(learnt.tensors[name] - weight)
            # Adam makes steps of one size even of gradients that are nothing but rounding.
            assert np.mean(distance < 2e-4) > 0.98, (network, name)
            assert distance.max() < 0.1 * STEPS * RATE, (network, name)
        assert losses[-1] < losses[0]
