"""What becomes of the trials of a search: good, hopeless, failing, stuck or interrupted."""

from __future__ import annotations

import os
import sqlite3
import textwrap
import time
from dataclasses import replace

import pytest

from charlstm.checkpoint.format import read_header
from charlstm.config import section_of
from charlstm.errors import CharlstmError, UsageError
from charlstm.settings_file import read_settings
from charlstm.training import prepare as preparing
from charlstm.tuning.events import SearchDone, SearchStarted, TrialDone, TrialStarted
from charlstm.tuning.search import open_search
from tests.fake_worker import GOOD


def run_search(spec, trials):
    """The events of a search that is stopped after some trials."""
    events = []
    with open_search(spec) as search:
        for event in search.events(lambda: len(done(events)) >= trials):
            events.append(event)
    return events


def done(events):
    return [event.trial for event in events if isinstance(event, TrialDone)]


def test_trial_0_is_the_default_and_only_the_best_is_kept(spec, fake_worker):
    fake_worker(GOOD)
    events = run_search(spec, 4)
    run = spec.prepared.plan.run
    default = {name: run.to_plain()[section_of(name)][name] for name in events[0].default}
    first, *others = (event for event in events if isinstance(event, TrialStarted))
    assert first.settings == events[0].default == default
    assert first.changed == {}
    assert all(other.changed for other in others)
    last = events[-1]
    assert last.best.loss == min(trial.loss for trial in done(events))
    kept = sorted(path.name for path in spec.folder.iterdir())
    assert kept == sorted(["best.toml", "study.lock", "study.sqlite", f"trial-{last.best.number}"])
    written = read_settings(spec.folder / "best.toml")
    best = {name: value for table in written.values() for name, value in table.items()}
    assert last.best.settings.items() <= best.items()


def test_the_checkpoint_of_a_trial_records_its_search(spec, fake_worker):
    fake_worker(GOOD)
    last = run_search(replace(spec, provenance={"command": "charlstm tune my.txt"}), 1)[-1]
    recorded = read_header(spec.folder / "trial-0" / "model.safetensors").provenance.to_plain()
    assert last.checkpoint == str(spec.folder / "trial-0")
    assert (recorded["command"], recorded["trial"]) == ("charlstm tune my.txt", 0)


def test_every_trial_has_as_many_networks_as_the_default(spec, fake_worker, machine, tmp_path):
    machine.flops_per_second = 1e11
    spec = replace(spec, prepared=preparing.prepare(spec.fixed, tmp_path / "cache"))
    count = spec.prepared.plan.run.model.ensemble
    assert count > 1
    fake_worker("evaluate(settings['model']['ensemble'], 1)\nstopped()")
    assert {trial.loss for trial in done(run_search(spec, 3))} == {count}
    assert read_settings(spec.folder / "best.toml")["model"]["ensemble"] == count


def test_the_same_seed_proposes_the_same_trials_also_after_a_pause(spec, fake_worker, tmp_path):
    fake_worker(GOOD)
    whole = [trial.settings for trial in done(run_search(replace(spec, folder=tmp_path / "a"), 4))]
    paused = [trial.settings for n in (1, 3) for trial in done(run_search(replace(spec, folder=tmp_path / "b"), n))]
    other = [trial.settings for trial in done(run_search(replace(spec, folder=tmp_path / "c", seed=2), 2))]
    assert paused == whole
    assert other[0] == whole[0]
    assert other[1] != whole[1]


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("stopped('diverged', 'the loss is nan at step 3')", "the loss is nan at step 3"),
        ("fail(5, 'out of memory')", "out of memory"),
        ("evaluate(0.1, 0.5); os.kill(os.getpid(), signal.SIGKILL)", "killed by signal 9"),
        ("stopped()", "before an evaluation"),
        ("sys.exit(3)", "exit code 3"),
        ("raise RuntimeError('a bug')", "RuntimeError: a bug"),
    ],
)
def test_a_trial_that_fails_is_recorded_with_its_reason_and_the_search_continues(spec, fake_worker, body, reason):
    fake_worker(f"if number % 2: {body}\nelse:\n" + textwrap.indent(GOOD, "    "))
    events = run_search(spec, 4)
    assert [trial.state for trial in done(events)] == ["finished", "failed", "finished", "failed"]
    assert reason in done(events)[1].reason
    assert events[-1].best.number in (0, 2)
    assert [trial.reason for trial in events[-1].trials] == [trial.reason for trial in done(events)]


@pytest.mark.parametrize(("code", "exit_code", "trials"), [(5, 1, 5), (6, 6, 1)])
def test_five_failures_in_a_row_end_the_search_and_a_full_disk_at_once(spec, fake_worker, code, exit_code, trials):
    fake_worker(f"fail({code}, 'it is full')")
    with pytest.raises(CharlstmError, match="it is full") as error:
        run_search(spec, 20)
    assert error.value.exit_code == exit_code
    assert not list(spec.folder.glob("trial-*"))
    fake_worker(GOOD)
    assert run_search(spec, 1)[0].trials == trials


def test_a_hopeless_trial_is_stopped_early(spec, fake_worker):
    fake_worker(
        """
        bad = number == 4
        for share in (0.2, 0.5):
            evaluate(1 + 5 * bad, share)
        if bad:
            time.sleep(100)
        stopped()
        """
    )
    start = time.monotonic()
    trials = done(run_search(spec, 6))
    assert time.monotonic() - start < 60
    assert [trial.number for trial in trials if trial.state == "pruned"] == [4]
    assert trials[4].loss == 6


def test_what_a_stop_interrupts_is_tried_again(spec, fake_worker):
    fake_worker("if number == 1: time.sleep(100)\n" + GOOD)
    events = []
    with open_search(spec) as search:
        for event in search.events(lambda: isinstance(events[-1], TrialStarted) and events[-1].number == 1):
            events.append(event)
    assert [trial.state for trial in done(events)] == ["finished", "interrupted"]
    assert events[-1].reason == "interrupted"
    again = run_search(spec, 1)
    assert again[0].trials == 1
    assert again[1].settings == done(events)[1].settings
    assert 0 < again[0].seconds_left < events[0].seconds_left


@pytest.mark.parametrize(
    ("statement", "message", "code"),
    [("begin exclusive", "cannot be saved", 6), ("drop table trial_intermediate_values", "is damaged", 3)],
)
def test_results_that_cannot_be_saved_are_one_line_and_no_process_is_left(spec, fake_worker, statement, message, code):
    fake_worker(
        f"""
        import sqlite3
        database = sqlite3.connect(f"{{root}}/study.sqlite")
        database.execute("{statement}")
        open(f"{{root}}/pid", "w").write(str(os.getpid()))
        evaluate(loss, 0.5)
        time.sleep(100)
        """
    )
    with pytest.raises(CharlstmError, match=message) as error:
        run_search(spec, 1)
    assert error.value.exit_code == code
    with pytest.raises(ProcessLookupError):
        os.kill(int(spec.folder.joinpath("pid").read_text()), 0)


def test_a_caller_that_stops_listening_leaves_no_process_and_no_lock(spec, fake_worker):
    fake_worker("open(f'{root}/pid', 'w').write(str(os.getpid()))\nevaluate(1, 0.9)\ntime.sleep(100)")
    with open_search(spec) as search:
        for event in search.events():
            if isinstance(event, TrialStarted):
                while not spec.folder.joinpath("pid").exists():
                    time.sleep(0.02)
                break
    with pytest.raises(ProcessLookupError):
        os.kill(int(spec.folder.joinpath("pid").read_text()), 0)
    with open_search(spec):
        pass


def test_parallel_trials_and_the_end_of_the_budget(spec, fake_worker):
    fake_worker("time.sleep(0.3)\n" + GOOD)
    with open_search(replace(spec, jobs=2, budget=2.5)) as search:
        events = list(search.events())
    kinds = [type(event) for event in events]
    assert kinds[:3] == [SearchStarted, TrialStarted, TrialStarted]
    assert kinds[-1] is SearchDone
    assert events[-1].reason == "finished"
    assert len(done(events)) >= 2
    assert {trial.state for trial in done(events)} == {"finished"}
    with open_search(replace(spec, jobs=2, budget=0.5)) as search:
        assert not any(isinstance(event, TrialStarted) for event in search.events())


def test_a_search_that_another_program_holds_is_not_called_damaged(spec, fake_worker):
    fake_worker(GOOD)
    run_search(spec, 1)
    with sqlite3.connect(spec.folder / "study.sqlite") as database:
        database.execute("begin exclusive")
        with pytest.raises(CharlstmError, match="cannot be opened") as error:
            run_search(spec, 2)
    assert error.value.exit_code == 6
    assert run_search(spec, 2)


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"seed": 2}, "seed 1"),
        ({"trial_time": 0.2}, "a trial time of 0.1 s"),
        ({"jobs": 2}, "1 parallel trials"),
        ({"fixed": {"train": {"lr": 1e-3}}}, "other fixed settings"),
    ],
)
def test_a_different_search_does_not_continue_this_one(spec, fake_worker, change, what):
    fake_worker(GOOD)
    run_search(spec, 1)
    with pytest.raises(UsageError, match=f"was started with {what}") as error:
        run_search(replace(spec, **change), 1)
    assert "--" not in str(error.value)


def test_errors_come_at_the_call_and_not_with_the_first_event(spec):
    with pytest.raises(UsageError, match="the shortest is"), open_search(replace(spec, budget=0.1)):
        pass
    assert not spec.folder.exists()


@pytest.mark.parametrize("name", ["a b", "ümläut ß", "50% {x}?#&"])
def test_a_folder_may_have_any_name(spec, fake_worker, tmp_path, name):
    fake_worker(GOOD)
    folder = tmp_path / name
    run_search(replace(spec, folder=folder), 1)
    assert sorted(path.name for path in folder.iterdir()) == ["best.toml", "study.lock", "study.sqlite", "trial-0"]
    assert run_search(replace(spec, folder=folder), 1)[0].trials == 1
