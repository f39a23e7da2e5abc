"""A search of a small text, and workers that run a few lines instead of a training."""

from __future__ import annotations

import sys
import textwrap
from types import SimpleNamespace

import pytest

from charlstm.training import prepare as preparing
from charlstm.training.plan import probe
from charlstm.tuning import trial_process
from charlstm.tuning.search import SearchSpec

TEXT = "".join(f"{number} is one more than {number - 1}.\n" for number in range(400))

FAKE_WORKER = """
import json, os, signal, sys, time
spec = json.loads(sys.stdin.readline())
name, root, settings = spec["name"], spec["root"], spec["settings"]
number, seconds = int(name.removeprefix("trial-")), settings["train"]["max_time"]
os.mkdir(f"{root}/{name}")

sys.path[:0] = PATHS
from charlstm.checkpoint.format import Checkpoint, write
from pathlib import Path

write(Path(f"{root}/{name}/model.safetensors"), Checkpoint("model", {}, {"name": name}, {}, spec["provenance"]))

def say(kind, **values):
    print(json.dumps({"event": kind, **values}), flush=True)

def evaluate(loss, share):
    say("EvalDone", step=1, train_loss=loss, val_loss=loss, bits_per_char=loss / 0.7, weights="last", best=True,
        seconds=share * seconds)

def stopped(reason="finished", message=""):
    say("Stopped", step=1, reason=reason, best_val_loss=None, seconds=seconds, message=message)

def fail(code, message):
    say("TrialError", message=message, exit_code=code)
    sys.exit(code)

loss = 1 + abs(settings["train"]["lr"] - 0.005)
"""

GOOD = "evaluate(loss, 1)\nstopped()"
"""A trial that finishes; its loss is lowest where the learning rate is 0.005."""


@pytest.fixture
def machine(monkeypatch):
    """A machine of which nothing is measured."""
    machine = SimpleNamespace(device="cpu", precision="fp32", flops=1e9, memory=8 << 30, reason="fixed by the test")
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
    """Replace the worker by `FAKE_WORKER` and the lines that a test gives."""

    def use(body: str) -> None:
        script = tmp_path / "fake.py"
        script.write_text(FAKE_WORKER.replace("PATHS", repr(sys.path)) + textwrap.dedent(body))
        monkeypatch.setattr(trial_process, "worker_command", lambda: [sys.executable, str(script)])

    return use
