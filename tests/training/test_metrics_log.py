"""The file of events: what a killed session leaves is cut back, and nothing about the file stops a training."""

import os
from types import SimpleNamespace

import pytest

from charlstm.checkpoint.run import METRICS, was_killed
from charlstm.events import CheckpointSaved, Notice, Started, StepDone, Stopped, from_json, to_json
from charlstm.training import metrics_log
from charlstm.training.metrics_log import MetricsLog
from tests.training.test_training import run_through, training

EVENT = CheckpointSaved(3, "model.safetensors", "model")
on_posix = pytest.mark.skipif(os.name == "nt", reason="pipes and devices of POSIX")


def step(number):
    return StepDone(number, 0.1, 2.0, 0.01, 1.0, 64 * number, float(number))


def test_what_a_killed_session_recorded_too_much_is_dropped_and_so_is_what_is_no_event(tmp_path):
    path = tmp_path / METRICS
    kept = [to_json(step(1)), to_json(step(2))]
    odd = ["null", "[]", "3", '{"step": null}', '{"step": "x"}', "[" * 100_000, "not JSON", "\x00"]
    path.write_text("\n".join([kept[0], *odd, kept[1], to_json(step(3)), to_json(step(2))[:20]]))
    with MetricsLog(path, 2) as log:
        assert log.write(EVENT) is None
    assert path.read_text().splitlines() == [*kept, to_json(EVENT)]


def test_of_the_steps_one_per_second_is_recorded(tmp_path, monkeypatch):
    now = iter([0.0, 0.5, 0.9, 1.0, 1.5, 2.1])
    monkeypatch.setattr(metrics_log, "time", SimpleNamespace(monotonic=lambda: next(now)))  # and nobody else's clock
    with MetricsLog(tmp_path / METRICS, 0) as log:
        for number in range(6):
            log.write(step(number))
    recorded = [from_json(line).step for line in (tmp_path / METRICS).read_text().splitlines()]
    assert recorded == [0, 3, 5]


@on_posix
def test_a_pipe_in_its_place_neither_blocks_nor_stops_a_resume(tmp_path):
    os.mkfifo(tmp_path / METRICS)
    assert not was_killed(tmp_path)
    with MetricsLog(tmp_path / METRICS, 0) as log:
        notice = log.write(EVENT)
        assert log.write(EVENT) is None, "reported once"
    assert notice.step == EVENT.step
    assert notice.text.startswith(f"{tmp_path / METRICS}: cannot be written: not a plain file. Remove it. ")


@on_posix
def test_a_link_in_its_place_leads_nowhere(tmp_path):
    (tmp_path / METRICS).symlink_to(tmp_path / "elsewhere")
    with MetricsLog(tmp_path / METRICS, 0) as log:
        assert "not a plain file" in log.write(EVENT).text
    assert not (tmp_path / "elsewhere").exists()


def test_a_folder_in_its_place_is_reported(tmp_path):
    (tmp_path / METRICS).mkdir()
    with MetricsLog(tmp_path / METRICS, 0) as log:
        assert "Training continues" in log.write(EVENT).text


@on_posix
def test_a_write_that_fails_is_reported_once_with_path_and_hint(tmp_path):
    import resource

    path = tmp_path / METRICS
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    with MetricsLog(path, 0) as log:
        assert log.write(EVENT) is None
        resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size + 10, limit[1]))
        try:
            notices = [log.write(EVENT), log.write(EVENT)]
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limit)
    assert notices[1] is None
    assert notices[0].text == (
        f"{path}: cannot be written: the file exceeds the size limit. Choose another place, or raise the limit "
        "(ulimit -f). Training continues, but its events are no longer recorded."
    )
    with MetricsLog(path, 3):
        pass
    assert path.read_text() == to_json(EVENT) + "\n", "the half line is gone"


def test_training_continues_without_its_metrics(tmp_path):
    (tmp_path / METRICS).mkdir(parents=True)
    events = run_through(training(tmp_path))
    assert isinstance(events[0], Started)
    assert isinstance(events[-1], Stopped)
    assert events[-1].reason == "finished"
    assert [METRICS in event.text for event in events if isinstance(event, Notice)].count(True) == 1
    assert (tmp_path / "model.safetensors").exists()


@pytest.mark.parametrize("last", ["null", '{"event": "Notice", "step": 1, "text": "x"}'])
def test_a_session_was_killed_if_its_last_event_is_not_that_it_stopped(tmp_path, last):
    assert not was_killed(tmp_path)
    stopped = to_json(Stopped(3, "finished", None, 1.0))
    (tmp_path / METRICS).write_text(f"{last}\n{stopped}\n")
    assert not was_killed(tmp_path)
    (tmp_path / METRICS).write_text(f"{stopped}\n{last}\n")
    assert was_killed(tmp_path)
