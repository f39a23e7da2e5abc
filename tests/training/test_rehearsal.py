"""Memory is measured by beginning a training: of every kind, in little time, and nothing is left of it."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from charlstm.engine.load import load_engine
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


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_training_is_begun_and_forgotten(tmp_path: Path, kind: str) -> None:
    prepared = prepared_for(tmp_path, **KINDS[kind])
    before = sorted(tmp_path.rglob("*")), torch.random.get_rng_state()
    measured = rehearsal.measure(prepared, ALONE)
    assert measured is None or measured > 0
    assert sorted(tmp_path.rglob("*")) == before[0]
    assert torch.equal(torch.random.get_rng_state(), before[1])


def test_it_takes_the_steps_and_evaluates_and_saves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names: list[str] = []

    class Watched(rehearsal.Training):
        def events(self, stop):
            for event in super().events(stop):
                names.append(type(event).__name__)
                yield event

    monkeypatch.setattr(rehearsal, "Training", Watched)
    rehearsal.measure(prepared_for(tmp_path), Session(write_preview=lambda *_: "written", load_engine=load_engine))
    assert names.count("StepDone") >= 5
    assert {"EvalDone", "CheckpointSaved"} <= set(names)


def test_a_run_that_goes_on_from_another_is_measured(tmp_path: Path) -> None:
    saved = trained_on(tmp_path, prose(3000).encode())
    prepared = prepare(
        {"data": {"sources": (str(tmp_path / "book.txt"),)}, "train": {"max_steps": 50, "device": "cpu"}, "model": {}},
        tmp_path / "cache",
        init=saved,
    )
    assert rehearsal.measure(prepared, ALONE) != 0


def test_a_large_network_has_a_large_peak(tmp_path: Path) -> None:
    measured = rehearsal.measure(prepared_for(tmp_path, model={"hidden_size": 640}), ALONE)
    assert measured is not None
    assert measured > 20e6


def test_what_would_take_too_long_or_is_not_of_this_process_is_not_measured(tmp_path: Path, monkeypatch) -> None:
    prepared = prepared_for(tmp_path)
    monkeypatch.setattr(rehearsal, "Training", None)  # nothing is begun
    assert rehearsal.measure(replace(prepared, plan=replace(prepared.plan, tokens_per_second=100.0)), ALONE) is None
