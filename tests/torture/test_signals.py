"""A signal at any moment from the first import to the last save: the right exit code at once, and whole files."""

from __future__ import annotations

import os
import random
import signal
import time
from pathlib import Path

import pytest

from charlstm.checkpoint import format as checkpoint_format
from charlstm.checkpoint.run import METRICS, MODEL, RESUME
from tests.command_line import start
from tests.torture.small_runs import prepare, train_command

pytestmark = [pytest.mark.skipif(os.name == "nt", reason="signals of POSIX"), pytest.mark.slow]

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
WHILE_PYTHON_STARTS = 0.15
"""Seconds in which Python itself has not begun with the program, and a signal does to it what it does to any."""
AT_MOST = 2.0
"""Seconds until the end, on a machine that does nothing else."""


@pytest.mark.timeout(7200)
@pytest.mark.rounds(18, full=200)
def test_a_signal_at_any_moment(tmp_path: Path, rounds: int) -> None:
    prepare(tmp_path)
    began = time.monotonic()
    undisturbed = start(*train_command("whole", 300, "--save-every", "0.1s"), folder=tmp_path)
    _, said = undisturbed.communicate()
    assert undisturbed.returncode == 0, said
    whole, late, chance = time.monotonic() - began, [], random.Random(1)
    for number in range(rounds):
        sent = SIGNALS[number % len(SIGNALS)]
        name = f"run{number}"
        process = start(*train_command(name, 300, "--save-every", "0.1s"), folder=tmp_path)
        time.sleep(chance.uniform(WHILE_PYTHON_STARTS, whole))
        process.send_signal(sent)
        told = time.monotonic()
        _, said = process.communicate(timeout=60)
        late.append(time.monotonic() - told)
        assert process.returncode in (0, 128 + sent, -sent), (sent, process.returncode, said)
        if process.returncode == -sent:  # as any program: before training has begun, or after its end
            metrics = tmp_path / "checkpoints" / name / METRICS
            lines = metrics.read_text().splitlines() if metrics.exists() else []
            assert not lines or '"event": "Stopped"' in lines[-1], lines[-1]
        assert "Traceback" not in said, said
        for file in (MODEL, RESUME):
            path = tmp_path / "checkpoints" / name / file
            if path.exists():
                checkpoint_format.verify(path)
    assert sorted(late)[len(late) * 9 // 10] < AT_MOST + 0.5 * whole, sorted(late)
