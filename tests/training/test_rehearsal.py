"""Memory is measured by beginning a training: of every kind, in little time, and nothing is left of it."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from charlstm.engine.load import load_engine
from charlstm.errors import StorageError
from charlstm.training import rehearsal
from charlstm.training.beginning import ALONE, Session
from charlstm.training.prepare import Prepared, prepare
from tests.trained_checkpoints import prose, trained_on

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the peak is read from /proc")

KINDS = {
    "plain": {},
    "bytes": {"data": {"tokenizer": "byte"}},
    "a list": {"data": {"records": "lines"}},
    "both directions": {"model": {"bidirectional": True}},
    "shuffled": {"data": {"windows": "shuffled"}},
    "no validation": {"data": {"val_fraction": 0.0}},
    "two networks, rolled back": {"model": {"ensemble": 2}, "train": {"on_divergence": "rollback"}},
}


def prepared_for(folder: Path, **given: dict[str, object]) -> Prepared:
    text = folder / "text.txt"
    text.write_text(prose(20_000), "utf-8")
    sections = {name: dict(given.get(name, {})) for name in ("model", "data", "train")}
    sections["data"]["sources"] = (str(text),)
    sections["model"] = {"hidden_size": 24, "embedding_size": 8, **sections["model"]}
    sections["train"] |= {"max_steps": 100, "device": "cpu", "precision": "fp32"}
    return prepare(sections, folder / "cache")


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the events of every training that is begun to be measured."""
    names: list[str] = []

    class Watched(rehearsal.Training):
        def events(self, stop):
            for event in super().events(stop):
                names.append(type(event).__name__)
                yield event

    monkeypatch.setattr(rehearsal, "Training", Watched)
    return names


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_training_steps_is_evaluated_and_saved_and_forgotten(
    tmp_path: Path, seen: list[str], kind: str
) -> None:
    prepared = prepared_for(tmp_path, **KINDS[kind])
    before = sorted(tmp_path.rglob("*")), torch.random.get_rng_state()
    rehearsal.measure(prepared, Session(write_preview=lambda *_: "written", load_engine=load_engine))
    assert seen.count("StepDone") >= 5
    assert ("EvalDone" in seen) == (kind != "no validation")
    assert "CheckpointSaved" in seen
    assert sorted(tmp_path.rglob("*")) == before[0]
    assert torch.equal(torch.random.get_rng_state(), before[1])


def test_a_run_that_goes_on_from_another_is_begun(tmp_path: Path, seen: list[str]) -> None:
    saved = trained_on(tmp_path, prose(3000).encode())
    prepared = prepare(
        {"data": {"sources": (str(tmp_path / "book.txt"),)}, "train": {"max_steps": 50, "device": "cpu"}, "model": {}},
        tmp_path / "cache",
        init=saved,
    )
    rehearsal.measure(prepared, ALONE)
    assert seen.count("StepDone") >= 5


def test_a_disk_without_room_is_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise StorageError("cannot be written: no space left on device")

    monkeypatch.setattr(rehearsal.Training, "save_resume", full)
    assert rehearsal.measure(prepared_for(tmp_path), ALONE) is None


def test_a_large_network_has_a_large_peak(tmp_path: Path) -> None:
    measured = rehearsal.measure(prepared_for(tmp_path, model={"hidden_size": 640}), ALONE)
    assert measured is not None
    assert measured > 20e6


def test_what_would_take_too_long_or_is_not_of_this_process_is_not_measured(tmp_path: Path, monkeypatch) -> None:
    prepared = prepared_for(tmp_path)
    monkeypatch.setattr(rehearsal, "Training", None)  # nothing is begun
    assert rehearsal.measure(replace(prepared, plan=replace(prepared.plan, tokens_per_second=100.0)), ALONE) is None
