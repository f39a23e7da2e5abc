"""A checkpoint as a torch module: the same logits as the engine's, and nothing drawn at random."""

import subprocess
import sys

import numpy as np
import pytest
import torch

from charlstm.checkpoint.format import Checkpoint, write
from charlstm.checkpoint.provenance import Provenance
from charlstm.config import DataConfig, RunConfig
from charlstm.engine.load import load_engine, torch_model
from charlstm.errors import UsageError
from charlstm.nn.model import CharLM
from charlstm.nn.shapes import CELLS
from charlstm.tokenizers import CharTokenizer
from tests.networks import architecture

NETWORKS = [
    *({"cell": cell, "num_layers": 2} for cell in CELLS),
    {"attention_window": 5},
    {"ngram_order": 3, "ngram_buckets": 20},
    {"match_orders": (2, 3), "match_slots": 20},
    {"ensemble": 2, "skip_connections": True},
    {"bidirectional": True},
]


def checkpoint(**shape):
    torch.manual_seed(0)
    config = architecture(vocab_size=5, embedding_size=4, hidden_size=6, **shape)
    run = RunConfig(name="mine", model=config, data=DataConfig(seq_len=8))
    return Checkpoint("model", CharLM(config).to_tensors(), run, CharTokenizer("abcde").to_state(), Provenance())


@pytest.mark.parametrize("network", NETWORKS, ids=str)
def test_the_module_gives_the_engines_logits_and_draws_nothing(network):
    saved = checkpoint(**network)
    generator = torch.random.get_rng_state()
    model = torch_model(saved)
    assert torch.equal(torch.random.get_rng_state(), generator)
    assert not model.training
    assert all(weight.requires_grad and weight.device.type == "cpu" for weight in model.parameters())
    ids = np.array([0, 3, 1, 1, 4, 2])
    logits = model(torch.from_numpy(ids)[None])[0][0].detach().numpy()
    engine = load_engine(saved)
    if network.get("bidirectional"):
        np.testing.assert_allclose(logits, engine.logits(ids), atol=1e-5)
        return
    state = None
    for token, want in zip(ids, logits, strict=True):
        stepped, state = engine.step(np.array([token]), state)
        np.testing.assert_allclose(stepped[0], want, atol=1e-5)


def test_the_module_has_weights_of_its_own():
    saved = checkpoint()
    with torch.no_grad():
        torch_model(saved).head.bias.fill_(9)
    assert not (saved.tensors["head.bias"] == 9).any()


def test_a_missing_device_is_one_line():
    with pytest.raises(UsageError, match="no device 'tpu'"):
        torch_model(checkpoint(), "tpu")


def test_loading_does_not_wait_for_torchs_compiler(tmp_path):
    path = tmp_path / "model.safetensors"
    write(path, checkpoint(ngram_order=3, ngram_buckets=20))
    program = f"""
import sys
from pathlib import Path
from charlstm.checkpoint.format import read
from charlstm.engine.load import torch_model
torch_model(read(Path({str(path)!r})))
sys.exit("torch._dynamo" in sys.modules)
"""
    subprocess.run([sys.executable, "-c", program], check=True)
