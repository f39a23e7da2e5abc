"""Checkpoints that earlier formats wrote load for ever, and give the logits they gave then."""

from pathlib import Path

import numpy as np
import pytest

from charlstm.checkpoint.format import read, read_header, read_model
from charlstm.engine.load import load_engine, torch_model
from charlstm.engine.network import Engine
from charlstm.errors import IncompatibleError

GOLDEN = Path(__file__).parents[1] / "golden"
FILES = sorted(GOLDEN.glob("v1-*.safetensors"))
MODELS = [path for path in FILES if not path.stem.endswith(".resume")]
TEXT = "the moon lay on the sand."


@pytest.mark.parametrize("path", MODELS, ids=lambda path: path.stem)
def test_the_logits_have_not_changed(path):
    checkpoint = read_model(path)
    want = np.load(path.with_suffix(".npy"))
    engine = load_engine(checkpoint)
    ids = engine.tokenizer.encode(TEXT)
    if isinstance(engine, Engine):
        state, rows = None, []
        for token in ids:
            logits, state = engine.step(np.array([token]), state)
            rows.append(logits[0])
        given = np.stack(rows)
    else:
        given = engine.logits([*ids[:5], engine.vocab_size, *ids[6:]])
    np.testing.assert_allclose(given, want, atol=1e-5)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_headers_have_current_names(path):
    header = read_header(path)
    assert header.run.model.vocab_size == 20
    assert header.provenance.corpus.name


def test_a_run_of_format_1_cannot_be_resumed_and_the_hint_says_what_can():
    with pytest.raises(IncompatibleError, match=r"earlier charlstm .*Begin a new run from the model"):
        read(GOLDEN / "v1-lstm-side-inputs-ensemble.resume.safetensors", kind="resume")


def test_torch_reads_them_too():
    import torch

    checkpoint = read_model(GOLDEN / "v1-lstm-side-inputs-ensemble.safetensors")
    ids = checkpoint.load_tokenizer().encode(TEXT)
    with torch.inference_mode():
        logits, _ = torch_model(checkpoint)(torch.tensor([ids.tolist()]))
    want = np.load(GOLDEN / "v1-lstm-side-inputs-ensemble.npy")
    np.testing.assert_allclose(logits[0].numpy(), want, atol=1e-4)
