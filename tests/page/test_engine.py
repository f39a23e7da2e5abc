"""The engine in JavaScript computes what torch and NumPy compute, on the same stored weights."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from charlstm.checkpoint.format import Checkpoint, convert, read, read_model, write
from charlstm.checkpoint.provenance import Provenance
from charlstm.config import DataConfig, RunConfig
from charlstm.engine.load import load_engine, torch_model
from charlstm.nn.model import CharLM
from charlstm.nn.shapes import CELLS
from charlstm.tokenizers import CharTokenizer
from tests.networks import architecture
from tests.page.node import evaluate, needs_node

pytestmark = needs_node

ALPHABET = "\n abcdefgh.é😀"
IDS = [int(token) for token in np.random.default_rng(1).integers(0, len(ALPHABET), 90)]
NETWORKS = [
    *({"cell": cell, "num_layers": 2} for cell in CELLS),
    *({"cell": cell, "num_layers": 3, "skip_connections": True, "hidden_size": 11} for cell in CELLS),
    {"attention_window": 5},
    {"attention_window": 1},
    {"ngram_order": 4, "ngram_buckets": 97},
    {"match_orders": (2, 3), "match_slots": 300},
    {"ngram_order": 2, "ngram_buckets": 20, "match_orders": (2, 5), "match_slots": 20, "ensemble": 3},
    {"ensemble": 2, "skip_connections": True, "num_layers": 2},
    {"bidirectional": True, "num_layers": 2},
    {"bidirectional": True, "cell": "gru", "skip_connections": True, "num_layers": 2},
]

LOGITS = """
async (page, files, ids) => {
  const { readCheckpoint } = await import(`${page}/engine/checkpoint.js`);
  const { Network } = await import(`${page}/engine/network.js`);
  const { BidirectionalNetwork } = await import(`${page}/engine/bidirectional.js`);
  return files.map((file) => {
    const checkpoint = readCheckpoint(file);
    if (checkpoint.architecture.bidirectional) {
      const network = new BidirectionalNetwork(checkpoint);
      const hidden = ids.map((id, k) => k % 7 === 3 ? network.mask : id);
      return network.logits(hidden).map((row) => [...row]);
    }
    const network = new Network(checkpoint);
    let state = network.empty();
    return ids.map((id, k) => {
      if (k === 60) state = { ...state, frozen: true };
      const step = network.step(id, state);
      state = step.state;
      return [...step.logits];
    });
  });
}
"""
READ = f"console.log(JSON.stringify(await ({LOGITS})(page, given.files.map(fileOf), given.ids)));"


def checkpoint(**shape) -> Checkpoint:
    """A model with random weights, large enough that everything in it matters."""
    torch.manual_seed(0)
    config = architecture(**{"vocab_size": len(ALPHABET), "embedding_size": 5, "hidden_size": 9, **shape})
    network = CharLM(config)
    with torch.no_grad():
        for weight in network.parameters():
            weight.copy_(torch.randn(weight.shape) * 0.5)
    run = RunConfig(name="mine", model=config, data=DataConfig(seq_len=40))
    return Checkpoint("model", network.to_tensors(), run, CharTokenizer(ALPHABET).to_state(), Provenance())


def logits_of_torch(saved: Checkpoint) -> np.ndarray:
    """The logits at each of `IDS`: some of them hidden from a bidirectional network, the last 30 read frozen."""
    model = torch_model(saved)
    with torch.no_grad():
        if saved.architecture.bidirectional:
            ids = [len(ALPHABET) if k % 7 == 3 else token for k, token in enumerate(IDS)]
            return model(torch.tensor([ids]))[0][0].numpy()
        first, state = model(torch.tensor([IDS[:60]]))
        last, _ = model(torch.tensor([IDS[60:]]), state._replace(frozen=True))
        return torch.cat((first, last), 1)[0].numpy()


@pytest.mark.parametrize("dtype", ["float32", "float16", "int8"])
def test_logits_are_those_of_torch(dtype, tmp_path):
    saved = [convert(checkpoint(**network), dtype) for network in NETWORKS]
    files = [tmp_path / f"{number}.safetensors" for number in range(len(saved))]
    for path, each in zip(files, saved, strict=True):
        write(path, each)
    ours = evaluate(READ, {"files": list(map(str, files)), "ids": IDS})
    for network, rows, each in zip(NETWORKS, ours, saved, strict=True):
        np.testing.assert_allclose(rows, logits_of_torch(each), atol=1e-5, err_msg=str(network))


def test_logits_of_the_starter_are_those_of_the_engine():
    path = Path(__file__).parents[2] / "checkpoints" / "starter" / "model.safetensors"
    saved = read_model(path)
    ids = saved.load_tokenizer().encode('The tide was out. "Where?" said the captain; the tide was out again.').tolist()
    rows = evaluate(READ, {"files": [str(path)], "ids": ids})[0]
    engine, state = load_engine(saved), None
    for place, token in enumerate(ids):
        if place == 60:
            state = engine.freeze(state)
        logits, state = engine.step([token], state)
        np.testing.assert_allclose(rows[place], logits[0], atol=1e-5)


def test_a_held_unit_is_forgotten_after_its_step(tmp_path):
    from charlstm.inspect.hold import HeldEngine, Hold
    from charlstm.inspect.units import Unit

    saved = checkpoint(num_layers=2, ensemble=2)
    write(tmp_path / "model.safetensors", saved)
    script = """
    const { readCheckpoint } = await import(`${page}/engine/checkpoint.js`);
    const { Network } = await import(`${page}/engine/network.js`);
    const network = new Network(readCheckpoint(fileOf(given.file)));
    let state = network.empty();
    console.log(JSON.stringify(given.ids.map((id) => {
      const step = network.step(id, state);
      state = network.hold(step.state, { stack: 1, layer: 0, part: "c", unit: 4, value: 1.5 });
      return [...step.logits];
    })));
    """
    rows = evaluate(script, {"file": str(tmp_path / "model.safetensors"), "ids": IDS[:20]})
    held = HeldEngine(load_engine(saved), [Hold(Unit("layers_2", 0, "c", 4), 1.5)])
    state = None
    for row, token in zip(rows, IDS[:20], strict=True):
        logits, state = held.step(np.array([token]), state)
        np.testing.assert_allclose(row, logits[0], atol=1e-5)


def test_a_checkpoint_that_is_written_can_be_read(tmp_path):
    saved = replace(checkpoint(ngram_order=3, ngram_buckets=20), is_int8=True)
    write(tmp_path / "in.safetensors", saved)
    script = """
    import { writeFileSync } from "node:fs";
    const { readCheckpoint, writeCheckpoint } = await import(`${page}/engine/checkpoint.js`);
    const { tensors, metadata } = readCheckpoint(fileOf(given.in));
    const all = new Map([...tensors].map(([name, tensor]) => [name, { shape: tensor.shape, data: tensor.numbers() }]));
    writeFileSync(given.out, writeCheckpoint(all, metadata));
    console.log("null");
    """
    evaluate(script, {"in": str(tmp_path / "in.safetensors"), "out": str(tmp_path / "out.safetensors")})
    before, after = read(tmp_path / "in.safetensors"), read_model(tmp_path / "out.safetensors")
    assert after.run == before.run
    assert after.tokenizer == before.tokenizer
    for name, tensor in before.tensors.items():
        np.testing.assert_array_equal(after.tensors[name], tensor)


def test_sha256_of_many_lengths():
    import hashlib

    texts = ["a" * length for length in (0, 1, 55, 56, 63, 64, 65, 1000)]
    script = """
    const { sha256 } = await import(`${page}/engine/sha256.js`);
    console.log(JSON.stringify(given.map((text) => sha256(new TextEncoder().encode(text)))));
    """
    assert evaluate(script, texts) == [hashlib.sha256(text.encode()).hexdigest() for text in texts]
