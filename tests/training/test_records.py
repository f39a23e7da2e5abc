"""A list of texts from the file to the sample: trained, resumed, scored and written record by record."""

from pathlib import Path

import numpy as np
import pytest

import charlstm
from charlstm.checkpoint.format import read_model
from charlstm.errors import ConfigError, UsageError
from charlstm.events import EvalDone
from charlstm.training.prepare import begin, prepare
from charlstm.training.resume import resume

SETTINGS = {"hidden_size": 16, "ensemble": 1, "ngram_order": 0, "seed": 1}


def write_names(folder: Path, count: int = 400) -> Path:
    random = np.random.default_rng(2)
    syllables = ["ka", "mi", "ro", "ta", "el", "an"]
    names = {"".join(random.choice(syllables, random.integers(2, 5))).capitalize() for _ in range(count)}
    file = folder / "names.txt"
    file.write_text("\n".join(sorted(names)))
    return file


def train(folder, **more):
    """Train on the names; return the last validation loss."""
    options = {"root": folder / "runs", "cache": folder / "cache", "name": "names", "force": True}
    events = list(charlstm.train(write_names(folder), **options, **SETTINGS, **more))
    return [event.val_loss for event in events if isinstance(event, EvalDone)][-1]


def test_a_list_is_found_trained_and_written(tmp_path):
    assert train(tmp_path, max_steps=150, batch_size=16) < 1.5
    model = charlstm.load(tmp_path / "runs" / "names")
    assert model.config.data.records == "lines"
    known = set(write_names(tmp_path).read_text().split())
    written = model.records(20, seed=1)
    assert len(set(written)) == 20
    assert sum(name[0].isupper() and name[1:].islower() for name in written) > 15
    new = [name not in known for name in written]
    assert new == sorted(new, reverse=True), "new ones first"
    assert not set(model.records(10, new=True, seed=1)) & known
    assert all(name.startswith("Ka") for name in model.records(3, prompt="Ka", seed=1))
    assert "\n" not in model.generate(seed=1), "a text of such a network is one record"


def test_the_score_of_a_list_is_that_of_its_records(tmp_path):
    train(tmp_path, max_steps=20)
    model = charlstm.load(tmp_path / "runs" / "names")
    whole, parts = model.score("Kami\nRota\n"), [model.score("Kami\n"), model.score("Rota\n")]
    np.testing.assert_allclose(whole.nats, np.concatenate([part.nats for part in parts]), atol=1e-5)


def test_a_resumed_run_of_records_is_the_uninterrupted_one(tmp_path):
    model = {name: value for name, value in SETTINGS.items() if name != "seed"}
    data = {"sources": (str(write_names(tmp_path)),), "batch_size": 8, "seq_len": 4}
    prepared = prepare({"model": model, "data": data, "train": {"max_steps": 60, "preview": 0}}, tmp_path / "cache")
    for name, stops in (("whole", [99]), ("cut", [17, 5, 99])):
        (tmp_path / name).mkdir()
        training = begin(prepared, tmp_path / name)
        for number, steps in enumerate(stops):
            if number:
                training = resume(tmp_path / name, tmp_path / "cache", {})
            left = iter(range(steps))
            list(training.events(lambda left=left: next(left, None) is None))
    whole, cut = (read_model(tmp_path / name / "model.safetensors") for name in ("whole", "cut"))
    assert whole.provenance.step == cut.provenance.step
    assert whole.provenance.val_loss == cut.provenance.val_loss
    for name, tensor in whole.tensors.items():
        np.testing.assert_array_equal(tensor, cut.tensors[name])


def test_records_need_a_network_with_an_order(tmp_path):
    for setting in ({"bidirectional": True, "windows": "shuffled"}, {"windows": "shuffled"}):
        with pytest.raises(ConfigError, match="records"):
            train(tmp_path, records="lines", max_steps=2, **setting)


def test_a_network_of_one_text_has_no_records(tmp_path):
    train(tmp_path, records="none", max_steps=2)
    with pytest.raises(UsageError, match="no list"):
        charlstm.load(tmp_path / "runs" / "names").records()


def test_the_plan_says_so_and_warns_of_a_sorted_list_and_of_leakage(tmp_path):
    names = str(write_names(tmp_path))

    def notes(source, **data):
        given = {"data": {"sources": (source,), **data}, "model": {}, "train": {"max_steps": 5}}
        return " ".join(prepare(given, tmp_path / "cache").plan.notes)

    assert "a list of" in notes(names)
    assert "random order" in notes(names)
    assert "sorted" in notes(names, records="none")
    twice = tmp_path / "twice.txt"
    twice.write_text("".join(f"The {number}th line of a long story, told twice. " for number in range(300)) * 2)
    assert "of the validation part occurs in the training part" in notes(str(twice))
