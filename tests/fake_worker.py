"""Workers of `charlstm.tuning` that run a few lines instead of a training."""

from __future__ import annotations

import sys
import textwrap
from pathlib import Path

import pytest

from charlstm.tuning import trial_process

TEXT = "".join(f"{number} is one more than {number - 1}.\n" for number in range(400))

FAKE_WORKER = """
import json, os, signal, sys, time
spec = json.loads(sys.stdin.readline())
name, root, settings = spec["name"], spec["root"], spec["settings"]
number, seconds = int(name.removeprefix("trial-")), settings["train"]["max_time"]
os.mkdir(f"{root}/{name}")

sys.path[:0] = PATHS
from charlstm.checkpoint.format import Checkpoint, write
from charlstm.checkpoint.provenance import Provenance
from charlstm.config import RunConfig
from charlstm.nn.architecture import Architecture
from pathlib import Path

run = RunConfig(name=name, model=Architecture.from_settings({"vocab_size": 2}))
about = Provenance.from_plain(spec["provenance"])
write(Path(f"{root}/{name}/model.safetensors"), Checkpoint("model", {}, run, {}, about))

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


def use_fake_worker(folder: Path, monkeypatch: pytest.MonkeyPatch, body: str) -> None:
    """Replace the worker by `FAKE_WORKER` and the lines of ``body``, in a script in ``folder``."""
    script = folder / "fake.py"
    script.write_text(FAKE_WORKER.replace("PATHS", repr(sys.path)) + textwrap.dedent(body))
    monkeypatch.setattr(trial_process, "worker_command", lambda: [sys.executable, str(script)])
