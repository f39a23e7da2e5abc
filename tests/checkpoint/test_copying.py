"""A copy is complete, smaller on request, and never destroys what was there."""

from __future__ import annotations

import errno
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from charlstm.checkpoint.copying import copy
from charlstm.checkpoint.format import read, verify, write
from charlstm.checkpoint.references import find_model
from charlstm.checkpoint.run import METRICS, MODEL, RESUME
from charlstm.checkpoint.store import Store
from charlstm.errors import CorruptError, IncompatibleError, NotFoundError, StorageError, UsageError
from tests.checkpoint_samples import model, run


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    monkeypatch.chdir(tmp_path)
    store = Store(tmp_path / "checkpoints")
    folder = run(store, "first").parent
    (folder / RESUME).write_bytes(b"a resume")
    (folder / METRICS).write_bytes(b"{}")
    return store


def test_to_a_run_a_file_and_a_folder(store: Store, tmp_path: Path) -> None:
    original = read(find_model(store, "first"))
    for destination, path in {
        "second": store.root / "second" / MODEL,
        "checkpoints/third": Path("checkpoints/third") / MODEL,
        "share.safetensors": Path("share.safetensors"),
        "far/away/": Path("far/away") / MODEL,
        str(tmp_path / "usb" / "play.safetensors"): tmp_path / "usb" / "play.safetensors",
    }.items():
        assert copy(store, "first", destination) == path
        found = verify(path)
        assert replace(found, tensors={}, run=original.run, sha256="") == replace(original, tensors={}, sha256="")
        assert all((found.tensors[name] == tensor).all() for name, tensor in original.tensors.items())
        assert os.listdir(path.parent).count(RESUME) == 0
    assert read(find_model(store, "second")).run == original.run.replace(name="second")
    assert read(find_model(store, "third")).run == original.run.replace(name="third")
    assert read(Path("share.safetensors")).sha256 == original.sha256  # as it was: the same file
    assert {entry.name for entry in store.runs()} == {"first", "second", "third"}


def test_the_starter_can_be_updated(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match="reserved word"):
        copy(store, "first", "checkpoints/starter")
    monkeypatch.setattr("charlstm.checkpoint.copying.starter_folder", lambda: tmp_path / "checkpoints" / "starter")
    made = copy(store, "first", "checkpoints/starter")
    assert made == Path("checkpoints/starter") / MODEL
    assert read(made, kind="model").run.name == "starter"


def test_half_the_size_and_a_note(store: Store) -> None:
    path = copy(store, "first", "half.safetensors", dtype="float16", note="für dich")
    found = read(path)
    assert found.provenance == model().provenance.replace(note="für dich")
    assert {tensor.dtype for tensor in found.tensors.values()} == {np.dtype(np.float16)}
    again = copy(store, str(path), "again", dtype="float32")
    assert read(again).provenance.note == "für dich"  # kept unless another is given


def test_an_existing_file_is_replaced_only_with_force(store: Store, tmp_path: Path) -> None:
    taken = run(store, "taken", seed=7)
    (taken.parent / RESUME).write_bytes(b"of another model")
    before = taken.read_bytes()
    (tmp_path / "file.safetensors").write_bytes(b"mine")
    begun = store.create("begun", "", False)
    (begun / METRICS).write_bytes(b"{}")
    for destination in ("taken", "checkpoints/taken", "file.safetensors", "begun"):
        with pytest.raises(UsageError, match=r"exists already.*`force`"):
            copy(store, "first", destination)
    assert taken.read_bytes() == before
    assert (tmp_path / "file.safetensors").read_bytes() == b"mine"
    copy(store, "first", "taken", force=True)
    assert read(taken).tensors["head.bias"].tolist() == read(find_model(store, "first")).tensors["head.bias"].tolist()
    assert not (taken.parent / RESUME).exists()  # it would resume the weights of another model
    copy(store, "first", "file.safetensors", force=True)
    verify(tmp_path / "file.safetensors")


def test_a_run_in_training_is_never_replaced(store: Store) -> None:
    taken = run(store, "taken", seed=7)
    before = taken.read_bytes()
    with store.lock(taken.parent), pytest.raises(UsageError, match="another charlstm"):
        copy(store, "first", "taken", force=True)
    assert taken.read_bytes() == before


def test_what_cannot_be_copied(store: Store, tmp_path: Path) -> None:
    for same in ("first", "checkpoints/first", "checkpoints/first/model.safetensors"):
        with pytest.raises(UsageError, match="onto itself"):
            copy(store, "first", same, force=True)
    with pytest.raises(NotFoundError):
        copy(store, "frist", "x")
    with pytest.raises(UsageError, match="cannot be a run's name"):
        copy(store, "first", "starter")
    with pytest.raises(UsageError, match="cannot be a run's name"):
        copy(store, "first", "checkpoints/starter")
    write(tmp_path / "r.safetensors", replace(model(), kind="resume"))
    with pytest.raises(IncompatibleError):
        copy(store, "r.safetensors", "x")
    (tmp_path / "bad.safetensors").write_bytes(b"")
    with pytest.raises(CorruptError):
        copy(store, "bad.safetensors", "x")
    assert [entry.name for entry in store.runs()] == ["first"]


def test_a_copy_that_fails_leaves_nothing(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageError, match="no space left"):
        copy(store, "first", "second")
    assert os.listdir(store.root) == ["first"]
