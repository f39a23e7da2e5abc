"""``charlstm tune``: what it prints, what it leaves behind, and what stops it."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time

import pytest

from charlstm.checkpoint.store import Store
from charlstm.settings_file import read_settings
from charlstm.tuning import study_file
from tests.command_line import Cli, start
from tests.fake_worker import TEXT, use_fake_worker

TINY = "[model]\nhidden_size = 8\nembedding_size = 8\nnum_layers = 1\n[train]\nprecision = 'fp32'\ndevice = 'cpu'\n"


@pytest.fixture
def cli(tmp_path, monkeypatch, capsys):
    return Cli(tmp_path, monkeypatch, capsys)


@pytest.mark.slow
def test_the_command_searches_and_its_settings_train(cli):
    cli.folder.joinpath("my.txt").write_text(TEXT)
    cli.folder.joinpath("tiny.toml").write_text(TINY)
    result = cli("tune", "my.txt", "--budget", "2s", "--trial-time", "1s", "--config", "tiny.toml")
    assert result.code == 0, result.err
    assert re.search(r"^trial 0: \d\.\d+ nats/token .* default$", result.err, re.M)
    assert re.search(r"^ +0 +\d\.\d{4} +\d\.\d{4} +default", result.out, re.M)
    assert "searching in tuning/my: 2 s left, enough for at most 2 trials of 1 s; trial 0" in result.err
    assert "Trials: 2 finished" in result.out
    assert "too few trials to find much" in result.out
    assert "a longer --budget continues" in result.out
    command = result.out.splitlines()[-1].strip()
    assert command == "charlstm train my.txt --config tuning/my/best.toml --max-time 10s"
    best = read_settings(cli.folder / "tuning/my/best.toml")
    assert best["model"]["hidden_size"] == 8
    assert len(list(cli.folder.glob("tuning/my/trial-*/model.safetensors"))) == 1
    trained = cli("train", "my.txt", "--config", "tuning/my/best.toml", "--max-steps", "3", "--name", "x", "--json")
    assert trained.code == 0, trained.err
    assert json.loads(trained.out.splitlines()[-1])["reason"] == "finished"


def test_a_longer_search_says_how_the_best_compares_with_the_default(cli, tmp_path, monkeypatch):
    cli.folder.joinpath("my.txt").write_text(TEXT)
    use_fake_worker(tmp_path, monkeypatch, "evaluate(3 - number, 1)\nstopped()")
    result = cli("tune", "my.txt", "--budget", "0.2s", "--trial-time", "0.1s")
    assert result.code == 0, result.err
    assert "Trial 1 was the best, 1.0000 nats/token better than the default." in result.out
    assert "charlstm sample tuning/my/trial-1" in result.out
    again = cli("tune", "my.txt", "--budget", "0.2s", "--trial-time", "0.1s")
    assert again.code == 0, again.err
    assert again.err.startswith("continuing the search in tuning/my after 2 trials, 0 s left")


def test_no_finished_trial_is_an_error_with_the_reason(cli, tmp_path, monkeypatch):
    cli.folder.joinpath("my.txt").write_text(TEXT)
    use_fake_worker(tmp_path, monkeypatch, "fail(7, 'the loss is nan')")
    result = cli("tune", "my.txt", "--budget", "0.2s", "--trial-time", "0.1s")
    assert result.code == 1
    assert "the loss is nan" in result.err.splitlines()[-1]
    assert result.out == ""


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_after_kill_9_the_same_command_continues_and_no_trial_outlives_its_search(tmp_path):
    tmp_path.joinpath("my.txt").write_text(TEXT)
    words = ("tune", "my.txt", "--budget", "1h", "--trial-time", "3s", "--json")

    def until(running, kind, number):
        for line in running.stdout:
            event = json.loads(line)
            if event["event"] == kind and event.get("number", event.get("trial", {}).get("number")) == number:
                return event
        raise AssertionError(running.stderr.read())

    first = start(*words, folder=tmp_path)
    until(first, "TrialDone", 0)
    cut = until(first, "TrialStarted", 1)
    while not (tmp_path / "tuning/my/trial-1").is_dir():
        time.sleep(0.05)
    first.kill()
    first.communicate()
    second = start(*words, folder=tmp_path)
    began = json.loads(second.stdout.readline())
    assert (began["event"], began["trials"]) == ("SearchStarted", 1)
    assert began["seconds_left"] < 3600
    assert until(second, "TrialStarted", 2)["settings"] == cut["settings"]
    assert until(second, "TrialDone", 2)["trial"]["state"] == "finished"
    second.send_signal(signal.SIGINT)
    out, err = second.communicate(timeout=60)
    assert second.returncode == 130, err
    assert json.loads(out.splitlines()[-1])["reason"] == "interrupted"
    with Store(tmp_path).lock(tmp_path / "tuning/my"):
        pass
    assert len(list(tmp_path.glob("tuning/my/trial-*"))) <= 2, "the best, and one that may just be ending"


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["my.txt", "--budget", "1m", "--trial-time", "31s"], 2, "two trials of 31 s"),
        (["my.txt", "--budget", "soon"], 2, "length of time"),
        (["nowhere.txt"], 4, "nowhere.txt"),
        (["-"], 2, "standard input"),
        (["my.txt", "--name", "a", "--out", "b"], 2, "--out"),
        (["my.txt", "--name", "a/b"], 2, "name"),
        (["short.txt"], 2, "validation"),
        (["my.txt", "--config", "no.toml"], 4, "no.toml"),
        (["my.txt", "--out", "my.txt"], 6, "my.txt"),
    ],
)
def test_mistakes_are_one_line_and_leave_nothing(cli, words, code, message):
    cli.folder.joinpath("my.txt").write_text(TEXT)
    cli.folder.joinpath("short.txt").write_text("abcabc")
    result = cli("tune", *words)
    assert (result.code, result.err.count("\n")) == (code, 1), result.err
    assert message in result.err
    assert not cli.folder.joinpath("tuning").exists()


def test_without_optuna_one_line_says_what_to_install(cli, monkeypatch):
    monkeypatch.setattr(study_file, "find_spec", lambda name: None)
    result = cli("tune", "my.txt")
    assert (result.code, result.err.count("\n")) == (2, 1)
    assert "pip install optuna" in result.err


def test_its_help_loads_neither_torch_nor_optuna():
    script = (
        "import sys\nfrom charlstm.cli.app import main\nsys.argv = ['charlstm', 'tune', '--help']\n"
        "try: main()\nexcept SystemExit: pass\nassert not {'torch', 'numpy', 'optuna'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, timeout=60, env={**os.environ})
