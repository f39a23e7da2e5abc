"""Checkpoints of every format that there was load for ever, and give the logits they gave then."""

from pathlib import Path

import numpy as np
import pytest

from charlstm.checkpoint.format import FORMAT_VERSION, read, read_header, read_model, verify
from charlstm.engine.load import load_engine, torch_model
from charlstm.engine.network import Engine
from charlstm.errors import IncompatibleError
from charlstm.training import snapshot

GOLDEN = Path(__file__).parents[1] / "golden"
FILES = sorted(GOLDEN.glob("v*.safetensors"))
RESUMES = [path for path in FILES if path.stem.endswith(".resume")]
MODELS = [path for path in FILES if path not in RESUMES]
TEXT = "the moon lay on the sand."


def test_there_are_files_of_every_format():
    assert {path.name.partition("-")[0] for path in MODELS} == {f"v{1 + n}" for n in range(FORMAT_VERSION)}


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
    assert header.run.model.vocab_size >= 20
    assert header.provenance.corpus.name


def test_what_models_keep_beside_their_weights_is_still_there():
    records = read_model(GOLDEN / "v2-peephole-records.safetensors")
    assert len(records.records) > 100
    assert records.writing.record == "\n"
    assert "lantern" not in records.words
    packed = read_model(GOLDEN / "v2-lstm-deep-side-inputs-ensemble-int8.safetensors")
    assert packed.is_int8
    assert {"moon", "sand", "lamp"} <= set(packed.words)
    assert read_model(GOLDEN / "v2-gru-attention-bytes.safetensors").writing.starts


@pytest.mark.parametrize("path", [path for path in RESUMES if path.name.startswith("v2")], ids=lambda path: path.stem)
def test_runs_of_format_2_can_be_resumed(path):
    saved = verify(path)
    snapshot.verify(saved)
    assert saved.cursor["step"] == 30


def test_a_run_of_format_1_cannot_be_resumed_and_the_hint_says_what_can():
    with pytest.raises(IncompatibleError, match=r"earlier charlstm .*Begin a new run from the model"):
        read(GOLDEN / "v1-lstm-side-inputs-ensemble.resume.safetensors", kind="resume")


def test_torch_reads_them_too():
    import torch

    for name in ("v1-lstm-side-inputs-ensemble", "v2-lstm-deep-side-inputs-ensemble-int8"):
        checkpoint = read_model(GOLDEN / f"{name}.safetensors")
        ids = checkpoint.load_tokenizer().encode(TEXT)
        with torch.inference_mode():
            logits, _ = torch_model(checkpoint)(torch.tensor([ids.tolist()]))
        np.testing.assert_allclose(logits[0].numpy(), np.load(GOLDEN / f"{name}.npy"), atol=1e-4)
