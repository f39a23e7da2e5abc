"""Every benchmark starts, explains itself, and can leave its record out."""

import importlib
import json
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
def test_a_benchmark_explains_itself(program, monkeypatch, capsys):
    monkeypatch.syspath_prepend(ROOT)
    monkeypatch.setattr(sys, "argv", [f"{program}.py", "--help"])
    with pytest.raises(SystemExit) as ended:  # in this process: a new one would load torch each time
        importlib.import_module(f"benchmarks.{program}").main()
    assert ended.value.code == 0
    help_page = capsys.readouterr().out
    assert f"python -m benchmarks.{program}" in help_page
    assert ("--no-record" in help_page) == (program not in WITHOUT_RECORD)


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


@pytest.mark.slow
def test_the_two_starts_and_the_writing_of_a_kind_are_measured(tmp_path):
    text = tmp_path / "text.txt"
    text.write_text("".join(f"It was a dark and stormy night, the {n}th of them. " for n in range(300)), "utf-8")
    shared = [str(text), "--max-time", "2s", "--length", "300", "--no-record"]
    done = run("benchmarks.starts", *shared)
    assert done.returncode == 0, done.stderr
    figures = {(f["row"], f["name"]): f["values"][0] for f in json.loads(done.stdout.splitlines()[-1])["figures"]}
    row = "text.txt, 2s"
    nothing, starter = figures[row, "from nothing"], figures[row, "from the starter"]
    assert figures[row, "better by"] == pytest.approx(nothing - starter, abs=1e-4)
    assert figures[row, "the choice loses"] == pytest.approx(max(0.0, starter - nothing), abs=1e-4)
    assert 0 < figures["the starter", "own 5-grams"] < figures[row, "own 5-grams"] <= 1
    done = run("benchmarks.kinds", *shared, "--seeds", "1")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1])["details"]["samples"][row]
