"""Which texts are scored exactly, and how near the others come."""

from dataclasses import replace

import numpy as np
import pytest
import torch

import charlstm
from charlstm.evaluation.method import LONG, choose_method
from charlstm.evaluation.objective import Causal, Masked
from charlstm.evaluation.score import Method
from charlstm.nn.model import CharLM
from charlstm.paths import corpora_folder
from tests.networks import architecture


def random_model(scale, **network):
    torch.manual_seed(0)
    model = CharLM(architecture(vocab_size=5, embedding_size=8, hidden_size=16, num_layers=2, **network)).eval()
    with torch.no_grad():
        for weight in model.parameters():
            weight.normal_(std=scale)
    return model


def method_of(model, tokens, **wanted):
    ids = np.random.default_rng(0).integers(5, size=tokens).astype(np.uint8)
    objective = Masked(mask_id=5, seq_len=64) if model.architecture.bidirectional else Causal()
    return choose_method(objective, model, ids, np.array([0]), **wanted)


@pytest.mark.parametrize(
    ("network", "tokens", "exact", "streams"),
    [
        ({}, LONG - 1, False, 1),
        ({}, LONG, False, 32),
        ({}, LONG, True, 1),
        ({"attention_window": 256}, LONG, False, 32),
        ({"attention_window": 257}, LONG, False, 1),
        ({"match_orders": (3,)}, LONG, False, 32),
        ({"bidirectional": True}, LONG, False, 1),
    ],
)
def test_long_texts_are_read_in_parallel_unless_memory_reaches_further(network, tokens, exact, streams):
    method = method_of(random_model(0.1, **network), tokens, exact=exact)
    assert method.streams == streams
    assert method.exact or not (exact or tokens < LONG)


@pytest.mark.parametrize("native", [True, False])
def test_bf16_needs_instructions_and_agreement_with_fp32(monkeypatch, native):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": native}, raising=False)
    assert method_of(random_model(0.1), LONG).precision == ("bf16" if native else "fp32")
    assert method_of(random_model(2), LONG).precision == "fp32", "its state is chaotic: small errors grow"


@pytest.mark.slow
def test_a_long_text_in_parallel_comes_within_a_thousandth_of_the_exact_loss():
    # The starter without its match memory, which is read in order.
    starter = charlstm.load("starter").checkpoint
    tensors = {name: each for name, each in starter.tensors.items() if "match" not in name}
    architecture = starter.architecture.replace(match_orders=())
    model = charlstm.Model(replace(starter, tensors=tensors, run=starter.run.replace(model=architecture)))
    known = set(model.tokenizer.alphabet)
    text = "".join(c for path in sorted(corpora_folder().rglob("*.txt")) for c in path.read_text("utf-8") if c in known)
    text = text[: LONG + 999]
    parallel, exact = model.score(text), model.score(text, exact=True)
    assert (parallel.method.streams, exact.method) == (32, Method())
    assert parallel.nats_per_token == pytest.approx(exact.nats_per_token, abs=1e-3)
    # Token by token too, if less closely: no token has another's loss.
    assert np.abs(parallel.nats - exact.nats).mean() < 0.02
    assert len(parallel.nats) == len(text)
