"""Models with random weights, of every kind."""

import numpy as np
import torch

from charlstm.api.model import Model
from charlstm.checkpoint.format import Checkpoint
from charlstm.checkpoint.provenance import Provenance
from charlstm.config import DataConfig, RunConfig
from charlstm.nn.model import CharLM
from tests.networks import architecture

ALPHABET = "\n abcdefgh"


def random_model(**settings) -> Model:
    """A model of characters whose weights are random, and the same each time."""
    shape = architecture(**{"vocab_size": len(ALPHABET), "embedding_size": 5, "hidden_size": 12, **settings})
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        tensors = {name: np.asarray(tensor) for name, tensor in CharLM(shape).to_tensors().items()}
    run = RunConfig(name="random", model=shape, data=DataConfig(windows="shuffled", seq_len=32))
    tokenizer = {"kind": "char", "alphabet": ALPHABET, "unknown": False}
    return Model(Checkpoint("model", tensors, run, tokenizer, Provenance()))
