"""A search of a small text."""

from __future__ import annotations

from functools import partial
from types import SimpleNamespace

import pytest

from charlstm.training import prepare as preparing
from charlstm.training.plan import probe
from charlstm.tuning.search import SearchSpec
from tests.fake_worker import TEXT, use_fake_worker


@pytest.fixture
def machine(monkeypatch):
    """A machine of which nothing is measured."""
    machine = SimpleNamespace(
        device="cpu", precision="fp32", flops_per_second=1e9, free_memory=8 << 30, precision_reason="fixed by the test"
    )
    monkeypatch.setattr(probe, "probe", lambda *_: machine)
    return machine


@pytest.fixture
def spec(tmp_path, machine):
    """A search with trials of a tenth of a second."""
    tmp_path.joinpath("my.txt").write_text(TEXT)
    fixed = {"data": {"sources": (str(tmp_path / "my.txt"),)}}
    prepared = preparing.prepare(fixed, tmp_path / "cache")
    return SearchSpec(prepared, fixed, tmp_path / "tuning", tmp_path / "cache", budget=1000.0, trial_time=0.1, seed=1)


@pytest.fixture
def fake_worker(tmp_path, monkeypatch):
    """What replaces the worker by a few lines."""
    return partial(use_fake_worker, tmp_path, monkeypatch)
