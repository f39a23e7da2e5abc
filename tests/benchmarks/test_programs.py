"""Every benchmark starts, explains itself, and can leave its record out."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
WITHOUT_RECORD = {"render", "classics_manifest", "starter_mix"}
SHARED = {"__init__", "peers", "plain_lstm", "records", "runs", "timing"}
PROGRAMS = sorted(path.stem for path in (ROOT / "benchmarks").glob("*.py") if path.stem not in SHARED)


def run(*arguments):
    return subprocess.run(
        [sys.executable, "-m", *arguments],
        cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, timeout=110,
    )  # fmt: skip


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_benchmark_explains_itself(program):
    done = run(f"benchmarks.{program}", "--help")
    assert done.returncode == 0, done.stderr
    assert f"python -m benchmarks.{program}" in done.stdout
    assert ("--no-record" in done.stdout) == (program not in WITHOUT_RECORD)


def test_the_readme_of_the_benchmarks_lists_all_of_them():
    page = (ROOT / "benchmarks" / "README.md").read_text("utf-8")
    assert [program for program in PROGRAMS if f"python -m benchmarks.{program}" not in page] == []


@pytest.mark.slow
def test_a_whole_run_appends_its_record(tmp_path):
    text = tmp_path / "text.txt"
    text.write_text("It was a dark and stormy night. " * 200, "utf-8")
    done = run("benchmarks.val_loss", str(text), "--max-time", "2s", "--no-record")
    assert done.returncode == 0, done.stderr
    assert '"name": "stateful", "unit": "nats per character"' in done.stdout.splitlines()[-1]
    assert str(tmp_path) not in done.stdout.splitlines()[-1]
