"""Every way to name a model or a run, and the error for a name that leads nowhere."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from charlstm.checkpoint.format import read_model, write
from charlstm.checkpoint.references import find_model, find_resumable, find_writer
from charlstm.checkpoint.run import MODEL, RESUME
from charlstm.checkpoint.store import Store
from charlstm.config import DataConfig
from charlstm.errors import NotFoundError
from charlstm.nn.model import CharLM
from tests.checkpoint_samples import run, run_folder
from tests.networks import architecture


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    starter = tmp_path / "shipped" / "starter"
    starter.mkdir(parents=True)
    (starter / MODEL).write_bytes(b"the starter")
    monkeypatch.setattr("charlstm.checkpoint.references.starter_folder", lambda: starter)
    monkeypatch.chdir(tmp_path)
    return Store(tmp_path / "checkpoints")


def test_every_way_to_name_a_model(store: Store, tmp_path: Path) -> None:
    old = run_folder(store, "old", MODEL, modified=1_000) / MODEL
    new = run_folder(store, "new run", MODEL, modified=2_000) / MODEL
    run_folder(store, "newer but without a model", RESUME)
    starter = tmp_path / "shipped" / "starter" / MODEL
    (tmp_path / "loose.bin").write_bytes(b"")
    for reference, path in {
        None: new,
        "latest": new,
        "old": old,
        "new run": new,
        "starter": starter,
        str(store.root / "old"): old,
        "checkpoints/old/": Path("checkpoints/old") / MODEL,
        str(old): old,
        "shipped/starter": Path("shipped/starter") / MODEL,
        "loose.bin": Path("loose.bin"),
    }.items():
        assert find_model(store, reference) == path
        assert find_model(store, reference).is_file()


@pytest.mark.parametrize("typed", ["caf\u00e9", "cafe\u0301"])
def test_a_run_is_found_however_its_letters_are_composed(store: Store, typed: str) -> None:
    folder = run_folder(store, "caf\u00e9", MODEL, RESUME)
    assert find_model(store, typed) == folder / MODEL
    assert find_resumable(store, typed) == folder


def test_to_write_the_newest_causal_run_is_used(store: Store, tmp_path: Path) -> None:
    assert find_writer(store) == (tmp_path / "shipped" / "starter" / MODEL, [])
    for age, (name, bidirectional) in enumerate({"both": True, "writer": False, "newer": True, "newest": True}.items()):
        path = run(store, name)
        saved = read_model(path)
        model = architecture(**{**saved.run.to_plain()["model"], "bidirectional": bidirectional})
        data = DataConfig(windows="shuffled" if bidirectional else "stateful")
        tensors = CharLM(model).to_tensors()
        write(path, replace(saved, run=saved.run.replace(model=model, data=data), tensors=tensors))
        os.utime(path, (1_000 + age, 1_000 + age))
        if name == "both":
            assert find_writer(store) == (tmp_path / "shipped" / "starter" / MODEL, ["both"])
    assert find_writer(store) == (store.root / "writer" / MODEL, ["newest", "newer"])
    broken = run_folder(store, "broken", MODEL) / MODEL
    assert find_writer(store) == (broken, [])


def test_a_runs_name_takes_precedence_over_a_file_here(store: Store, tmp_path: Path) -> None:
    model = run_folder(store, "play", MODEL) / MODEL
    (tmp_path / "play").write_bytes(b"")
    assert find_model(store, "play") == model
    assert find_model(store, "./play") == Path("play")


def test_without_runs_the_starter_is_used(store: Store, tmp_path: Path) -> None:
    starter = tmp_path / "shipped" / "starter" / MODEL
    assert find_model(store, None) == starter
    run_folder(store, "begun")
    assert find_model(store, None) == starter
    with pytest.raises(NotFoundError, match=r"no trained runs yet.*charlstm train"):
        find_model(store, "latest")
    starter.unlink()
    for reference in (None, "starter"):
        with pytest.raises(NotFoundError, match="no starter model"):
            find_model(store, reference)


def test_an_unknown_name_is_an_error_that_suggests_similar_names(store: Store) -> None:
    for name in ("english-1", "english-2", "Shakespeare", "zzz"):
        run_folder(store, name, MODEL)
    for reference, near in {"englsh-1": "english-1", "shakespear": "Shakespeare", "ENGLISH-2": "english-2"}.items():
        with pytest.raises(NotFoundError, match=f"Did you mean .*{near}.*charlstm checkpoints list") as caught:
            find_model(store, reference)
        assert "zzz" not in str(caught.value)
    for reference in ("", "no/such/folder", "..\0", "x" * 5000, "."):
        with pytest.raises(NotFoundError):
            find_model(store, reference)


def test_the_error_for_a_run_without_a_model_says_what_to_do(store: Store) -> None:
    run_folder(store, "begun", RESUME)
    with pytest.raises(NotFoundError, match=r"no model\.safetensors in it.*`resume`"):
        find_model(store, "begun")


def test_what_can_be_resumed(store: Store, tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match=r"no run to resume.*charlstm train"):
        find_resumable(store, "latest")
    for name, when in {"first": 1_000, "second": 3_000, "third": 2_000}.items():
        run_folder(store, name, RESUME, modified=when)
    run_folder(store, "copied", MODEL)
    assert find_resumable(store, "latest") == store.root / "second"
    assert find_resumable(store, "first") == store.root / "first"
    assert find_resumable(store, "checkpoints/third") == Path("checkpoints/third")
    with pytest.raises(NotFoundError, match=r"no resume\.safetensors in it"):
        find_resumable(store, "copied")
    with pytest.raises(NotFoundError, match="Did you mean third"):
        find_resumable(store, "thrid")


def test_a_real_run_is_found(store: Store) -> None:
    path = run(store, "real", modified=9_000)
    assert store.runs()[0].model == find_model(store, "real") == path
