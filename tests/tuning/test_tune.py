"""The search: what it varies, what becomes of trials that fail or are hopeless; no kill loses what was done."""

from __future__ import annotations

import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
import textwrap
import time
from dataclasses import replace
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from charlstm.checkpoint.store import Store
from charlstm.config import DataConfig, RunConfig, TrainConfig, section_of
from charlstm.errors import CharlstmError, UsageError
from charlstm.settings_file import check_partial, read_settings
from charlstm.training import prepare as preparing
from charlstm.training.plan import probe
from charlstm.tuning import space, study
from charlstm.tuning import trial_process as process
from charlstm.tuning.budget import trial_seconds
from charlstm.tuning.events import SearchDone, SearchStarted, TrialDone, TrialStarted
from charlstm.tuning.search import Plan, search
from tests.command_line import Cli, start
from tests.networks import architecture

MACHINE = SimpleNamespace(device="cpu", precision="fp32", flops=1e9, memory=8 << 30, reason="said so")
TEXT = "".join(f"{number} is one more than {number - 1}.\n" for number in range(400))
TINY = "[model]\nhidden_size = 8\nembedding_size = 8\nnum_layers = 1\n[train]\nprecision = 'fp32'\ndevice = 'cpu'\n"

FAKE = """
import json, os, signal, sys, time, tomllib
number, folder, config, seconds = int(sys.argv[1]), sys.argv[2], sys.argv[3], float(sys.argv[4])
tables = tomllib.load(open(config, "rb"))
os.mkdir(f"{folder}/trial-{number}")
open(f"{folder}/trial-{number}/model.safetensors", "w").close()
def say(kind, **values): print(json.dumps({"event": kind, **values}), flush=True)
def evaluate(loss, share):
    say("EvalDone", val_loss=loss, bits_per_char=loss / 0.7, best=True, seconds=share * seconds)
def leave(code, text):
    print("charlstm:", text, file=sys.stderr)
    sys.exit(code)
loss = 1 + abs(tables["train"]["lr"] - 0.005)
"""


@pytest.fixture
def cli(tmp_path, monkeypatch, capsys):
    return Cli(tmp_path, monkeypatch, capsys)


@pytest.fixture
def plan(tmp_path, monkeypatch):
    """A search of a small text, of trials of a tenth of a second."""
    tmp_path.joinpath("my.txt").write_text(TEXT)
    given = {"data": {"sources": (str(tmp_path / "my.txt"),)}}
    monkeypatch.setattr(probe, "probe", lambda *_: MACHINE)
    prepared = preparing.prepare(given, tmp_path / "cache")
    return Plan(prepared, given, tmp_path / "tuning", tmp_path / "cache", budget=1000.0, trial_time=0.1, seed=1)


@pytest.fixture
def fake(tmp_path, monkeypatch):
    """Let trials run a few lines instead of a training: what they do is given, by what `FAKE` has to offer."""

    def use(body: str) -> None:
        script = tmp_path / "fake.py"
        script.write_text(FAKE + textwrap.dedent(body))

        def command(number, folder, config, cache):
            return [sys.executable, str(script), str(number), str(folder), str(config), "0.1"]

        monkeypatch.setattr(process, "command", command)

    return use


GOOD = "evaluate(loss, 1)\nsay('Stopped', reason='finished')"


def searched(plan, trials):
    """The events of a search that is stopped after so many trials."""
    events = []
    for event in search(plan, lambda: sum(isinstance(each, TrialDone) for each in events) >= trials):
        events.append(event)
    return events


def done(events):
    return [event.trial for event in events if isinstance(event, TrialDone)]


# ---- what is varied -----------------------------------------------------------------------------------------------


@st.composite
def choices(draw):
    """Runs as `choose` may have chosen them."""
    return RunConfig(
        name="x",
        model=architecture(
            vocab_size=50,
            hidden_size=draw(st.sampled_from([32, 48, 320, 2048])),
            num_layers=draw(st.integers(1, 5)),
            dropout=draw(st.integers(0, 90)) / 100,
            weight_drop=draw(st.integers(0, 90)) / 100,
            ngram_order=draw(st.sampled_from([0, 6])),
            ngram_dropout=draw(st.integers(0, 90)) / 100,
        ),
        data=DataConfig(batch_size=draw(st.integers(1, 200)), seq_len=draw(st.integers(1, 200))),
        train=TrainConfig(lr=draw(st.sampled_from([0.015, 0.0037, 0.026]))),
    )


@given(choices(), st.data())
def test_the_start_is_the_default_and_every_place_is_a_setting_that_can_be(run, data):
    axes = space.axes(run)
    default = space.values(axes, space.start(axes))
    assert default == {name: getattr(getattr(run, section), name) for section, name in map(where, default)}
    assert all(axis.low <= axis.start <= axis.high for axis in axes)
    positions = {axis.name: data.draw(st.floats(axis.low, axis.high)) for axis in axes}
    settings = space.values(axes, positions)
    for section, table in space.by_section(settings).items():
        check_partial(section, table)
    assert space.changed(axes, default) == {}
    assert settings["hidden_size"] in (run.model.hidden_size, *range(16, 8192, 16))


def where(name):
    return section_of(name), name


def test_what_is_given_is_not_varied():
    run = RunConfig(name="x", model=architecture(vocab_size=5))
    names = {axis.name for axis in space.axes(run)}
    assert names - {axis.name for axis in space.axes(run, ["lr", "hidden_size", "sources"])} == {"lr", "hidden_size"}


def test_what_is_left_out_of_a_table_is_varied_where_there_is_one():
    for order, other in ((0, "weight_drop"), (6, "ngram_dropout")):
        run = RunConfig(name="x", model=architecture(vocab_size=5, ngram_order=order))
        assert {axis.name for axis in space.axes(run)} & {"weight_drop", "ngram_dropout"} == {other}


def test_an_hour_has_thirty_trials_and_a_budget_without_room_for_two_is_refused():
    assert trial_seconds(3600, None) == 120
    assert trial_seconds(60, None) == 20
    assert trial_seconds(60, 30) == 30
    for budget, asked in ((59, 30), (39, None)):
        with pytest.raises(CharlstmError, match="no room for two trials"):
            trial_seconds(budget, asked)


# ---- trials -------------------------------------------------------------------------------------------------------


def test_trial_0_is_the_default_and_only_the_best_is_kept(plan, fake):
    fake(GOOD)
    events = searched(plan, 4)
    default = {name: getattr(getattr(plan.prepared.plan.run, s), name) for s, name in map(where, events[0].default)}
    first, *others = (event for event in events if isinstance(event, TrialStarted))
    assert first.settings == events[0].default == default
    assert first.changed == {}
    assert all(other.changed for other in others)
    last = events[-1]
    assert last.best.loss == min(trial.loss for trial in done(events))
    kept = sorted(path.name for path in plan.folder.iterdir())
    assert kept == sorted(["best.toml", "study.lock", "study.sqlite", f"trial-{last.best.number}"])
    written = read_settings(plan.folder / "best.toml")
    found = {name: value for table in written.values() for name, value in table.items()}
    assert last.best.settings.items() <= found.items()


def test_every_trial_has_as_many_networks_as_the_default(plan, fake, monkeypatch, tmp_path):
    monkeypatch.setattr(MACHINE, "flops", 1e11)
    plan = replace(plan, prepared=preparing.prepare(plan.given, tmp_path / "cache"))
    count = plan.prepared.plan.run.model.ensemble
    assert count > 1
    fake("evaluate(tables['model']['ensemble'], 1)\nsay('Stopped', reason='finished')")
    assert {trial.loss for trial in done(searched(plan, 3))} == {count}
    assert read_settings(plan.folder / "best.toml")["model"]["ensemble"] == count


def test_the_same_seed_proposes_the_same_trials_also_after_a_pause(plan, fake, tmp_path):
    fake(GOOD)
    whole = [trial.settings for trial in done(searched(replace(plan, folder=tmp_path / "a"), 4))]
    paused = [trial.settings for n in (1, 3) for trial in done(searched(replace(plan, folder=tmp_path / "b"), n))]
    other = [trial.settings for trial in done(searched(replace(plan, folder=tmp_path / "c", seed=2), 2))]
    assert paused == whole
    assert other[0] == whole[0]
    assert other[1] != whole[1]


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ("leave(7, 'the loss is nan at step 3')", "the loss is nan at step 3"),
        ("leave(5, 'out of memory')", "out of memory"),
        ("evaluate(0.1, 0.5); os.kill(os.getpid(), signal.SIGKILL)", "killed by signal 9"),
        ("say('Stopped', reason='finished')", "no evaluation"),
        ("sys.exit(3)", "exit code 3"),
    ],
)
def test_a_trial_that_fails_is_recorded_with_its_reason_and_the_search_goes_on(plan, fake, body, told):
    fake(f"if number % 2: {body}\nelse:\n" + textwrap.indent(GOOD, "    "))
    events = searched(plan, 4)
    assert [trial.state for trial in done(events)] == ["finished", "failed", "finished", "failed"]
    assert told in done(events)[1].reason
    assert events[-1].best.number in (0, 2)
    assert [trial.reason for trial in events[-1].trials] == [trial.reason for trial in done(events)]


@pytest.mark.parametrize(("code", "exit_code", "trials"), [(5, 1, 5), (6, 6, 1)])
def test_trials_that_all_fail_end_the_search_and_a_full_disk_at_once(plan, fake, code, exit_code, trials):
    fake(f"leave({code}, 'it is full')")
    with pytest.raises(CharlstmError, match="it is full") as fault:
        searched(plan, 20)
    assert fault.value.exit_code == exit_code
    assert not list(plan.folder.glob("trial-*"))
    fake(GOOD)
    assert searched(plan, 1)[0].trials == trials


def test_a_hopeless_trial_is_killed_half_way(plan, fake):
    fake(
        """
        bad = number == 4
        for share in (0.2, 0.5):
            evaluate(1 + 5 * bad, share)
        if bad:
            time.sleep(100)
        say('Stopped', reason='finished')
        """
    )
    began = time.monotonic()
    trials = done(searched(plan, 6))
    assert time.monotonic() - began < 60
    assert [trial.number for trial in trials if trial.state == "pruned"] == [4]
    assert trials[4].loss == 6


def test_what_a_stop_cuts_off_is_tried_again(plan, fake):
    fake("if number == 1: time.sleep(100)\n" + GOOD)
    events = []
    for event in search(plan, lambda: isinstance(events[-1], TrialStarted) and events[-1].number == 1):
        events.append(event)
    assert [trial.state for trial in done(events)] == ["finished", "interrupted"]
    assert events[-1].reason == "interrupted"
    again = searched(plan, 1)
    assert again[0].trials == 1
    assert again[1].settings == done(events)[1].settings
    assert 0 < again[0].seconds_left < events[0].seconds_left


def test_a_default_that_was_killed_before_it_began_is_still_the_first(plan, fake):
    fake(GOOD)
    plan.folder.mkdir()
    about = {"seed": 1}
    with study.opened(plan.folder, about) as killed:
        killed.begin(space.axes(plan.prepared.plan.run))
        killed._study.ask()
    with study.opened(plan.folder, about) as again:
        again.begin(space.axes(plan.prepared.plan.run))
        number, settings = again.ask()
    assert number == 1
    assert space.changed(space.axes(plan.prepared.plan.run), settings) == {}


def test_a_study_that_cannot_be_written_is_one_line_and_no_process_is_left(plan, fake):
    fake(
        """
        import sqlite3
        with sqlite3.connect(f"{folder}/study.sqlite") as database:
            database.execute("drop table trial_intermediate_values")
        open(f"{folder}/pid", "w").write(str(os.getpid()))
        evaluate(loss, 0.5)
        time.sleep(100)
        """
    )
    with pytest.raises(CharlstmError, match="cannot be kept") as fault:
        searched(plan, 1)
    assert fault.value.exit_code == 6
    with pytest.raises(ProcessLookupError):
        os.kill(int(plan.folder.joinpath("pid").read_text()), 0)


def test_two_at_once_and_the_end_of_the_budget(plan, fake):
    fake("time.sleep(0.3)\n" + GOOD)
    events = list(search(replace(plan, jobs=2, budget=2.5)))
    kinds = [type(event) for event in events]
    assert kinds[:3] == [SearchStarted, TrialStarted, TrialStarted]
    assert kinds[-1] is SearchDone
    assert events[-1].reason == "finished"
    assert len(done(events)) >= 2
    assert {trial.state for trial in done(events)} == {"finished"}
    assert not any(isinstance(event, TrialStarted) for event in search(replace(plan, jobs=2, budget=0.5)))


def test_a_search_that_another_program_holds_is_not_called_broken(plan, fake):
    fake(GOOD)
    searched(plan, 1)
    with sqlite3.connect(plan.folder / "study.sqlite") as database:
        database.execute("begin exclusive")
        with pytest.raises(CharlstmError, match="cannot be opened") as fault:
            searched(plan, 2)
    assert fault.value.exit_code == 6
    assert searched(plan, 2)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"seed": 2}, "--seed 1"),
        ({"trial_time": 0.2}, "--trial-time 0.1"),
        ({"jobs": 2}, "--jobs 1"),
        ({"given": {"train": {"lr": 1e-3}}}, "conf"),
    ],
)
def test_another_search_does_not_go_on_with_this_one(plan, fake, change, told):
    fake(GOOD)
    searched(plan, 1)
    with pytest.raises(CharlstmError, match=told) as fault:
        searched(replace(plan, **change), 1)
    assert fault.value.exit_code == 2
    plan.folder.joinpath("study.sqlite").write_bytes(b"no database" * 100)
    with pytest.raises(CharlstmError, match="not a search") as fault:
        searched(plan, 1)
    assert fault.value.exit_code == 3


# ---- the command --------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_the_command_searches_and_what_it_found_trains(cli):
    cli.folder.joinpath("my.txt").write_text(TEXT)
    cli.folder.joinpath("tiny.toml").write_text(TINY)
    result = cli("tune", "my.txt", "--budget", "2s", "--trial-time", "1s", "--config", "tiny.toml")
    assert result.code == 0, result.err
    assert re.search(r"^trial 0: \d\.\d+ nats/token .* the default$", result.err, re.M)
    assert re.search(r"^ +0 +\d\.\d{4} +\d\.\d{4} +the default", result.out, re.M)
    assert "validation" in result.out
    command = result.out.splitlines()[-1].strip()
    assert command == "charlstm train my.txt --config tuning/my/best.toml --max-time 10s"
    best = read_settings(cli.folder / "tuning/my/best.toml")
    assert best["model"]["hidden_size"] == 8
    assert len(list(cli.folder.glob("tuning/my/trial-*/model.safetensors"))) == 1
    trained = cli("train", "my.txt", "--config", "tuning/my/best.toml", "--max-steps", "3", "--name", "x", "--json")
    assert trained.code == 0, trained.err
    assert json.loads(trained.out.splitlines()[-1])["reason"] == "finished"


def test_when_no_trial_comes_to_its_end_that_is_an_error_with_the_reason(cli, fake):
    cli.folder.joinpath("my.txt").write_text(TEXT)
    fake("leave(7, 'the loss is nan')")
    result = cli("tune", "my.txt", "--budget", "0.2s", "--trial-time", "0.1s")
    assert result.code == 1
    assert "the loss is nan" in result.err.splitlines()[-1]
    assert result.out == ""


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_after_kill_9_the_same_command_goes_on_and_no_trial_outlives_its_search(tmp_path):
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


@pytest.mark.slow
def test_a_training_on_a_leash_stops_and_saves_when_it_is_let_go(tmp_path):
    tmp_path.joinpath("my.txt").write_text(TEXT)
    tmp_path.joinpath("tiny.toml").write_text(TINY)
    words = ("train", "my.txt", "--config", "tiny.toml", "--epochs", "1e6", "--leash", "--name", "x", "--json")
    training = start(*words, folder=tmp_path, stdin=subprocess.PIPE)
    assert json.loads(training.stdout.readline())["event"] == "Started"
    _, err = training.communicate(timeout=60)  # closes its standard input
    assert training.returncode == 143, err
    assert (tmp_path / "checkpoints/x/resume.safetensors").exists()


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (["my.txt", "--budget", "1m", "--trial-time", "31s"], 2, "no room for two trials"),
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
def test_mistakes_are_one_line_and_leave_nothing(cli, words, code, told):
    cli.folder.joinpath("my.txt").write_text(TEXT)
    cli.folder.joinpath("short.txt").write_text("abcabc")
    result = cli("tune", *words)
    assert (result.code, result.err.count("\n")) == (code, 1), result.err
    assert told in result.err
    assert not cli.folder.joinpath("tuning").exists()


def test_without_optuna_one_line_says_what_to_install(cli, monkeypatch):
    monkeypatch.setattr(study, "find_spec", lambda name: None)
    result = cli("tune", "my.txt")
    assert (result.code, result.err.count("\n")) == (2, 1)
    assert "pip install optuna" in result.err


def test_its_help_loads_neither_torch_nor_optuna():
    script = (
        "import sys\nfrom charlstm.cli.app import main\nsys.argv = ['charlstm', 'tune', '--help']\n"
        "try: main()\nexcept SystemExit: pass\nassert not {'torch', 'numpy', 'optuna'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, timeout=60, env={**os.environ})


def test_a_folder_that_holds_something_else_is_left_as_it_is(plan, fake):
    fake(GOOD)
    plan.folder.mkdir()
    mine = plan.folder / "trial-base.toml"
    mine.write_text("[train]\n")
    with pytest.raises(UsageError, match="not empty"):
        searched(plan, 1)
    assert mine.read_text() == "[train]\n"
