"""The history of a run: whatever happened to its file, every step counts once, and what came last counts."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from charlstm.errors import StorageError
from charlstm.events import CheckpointSaved, EvalDone, Notice, Preview, Started, StepDone, Stopped, to_json
from charlstm.inspect import history as module
from charlstm.inspect.history import History, history_of, read_event, read_history


def step(number: int, loss: float = 2.0, *, seconds: float | None = None) -> StepDone:
    return StepDone(number, 0.1, loss, 0.01, 0.5, 100 * number, number / 4 if seconds is None else seconds)


def evaluation(number: int, val_loss: float = 2.0) -> EvalDone:
    return EvalDone(number, 2.1, val_loss, val_loss / math.log(2), "last", True, number / 4 + 1)


RUN = [
    Started("a", 0, 10, 1000, 100, "charlstm train my.txt", "2 cores of X"),
    step(1), step(5), Preview(5, "tqe"), evaluation(10), CheckpointSaved(10, "m", "model"), Preview(10, "the\n"),
    step(14), Notice(14, "Too little text"), Stopped(14, "finished", 2.0, 5.0),
]  # fmt: skip


def written(folder: Path, events, more: bytes = b"") -> Path:
    path = folder / "metrics.jsonl"
    path.write_bytes("".join(to_json(event) + "\n" for event in events).encode() + more)
    return path


def test_what_was_recorded_is_read(tmp_path: Path) -> None:
    found = read_history(written(tmp_path, RUN))
    assert found.sessions == (RUN[0],)
    assert found.steps == (RUN[1], RUN[2], RUN[7])
    assert (found.evaluations, found.previews, found.notices) == ((RUN[4],), (RUN[3], RUN[6]), (RUN[8],))
    assert found.stopped == RUN[9]


def test_no_file_and_an_empty_one_are_an_empty_history(tmp_path: Path) -> None:
    assert read_history(tmp_path / "metrics.jsonl") == History()
    empty = read_history(written(tmp_path, []))
    assert (empty.sessions, empty.steps, empty.stopped) == ((), (), None)
    assert empty.place(7).seconds == 0
    assert empty.binned("loss").mean == ()


@pytest.mark.parametrize(
    "damage",
    [b'{"event": "StepDone", "step": 15, "lo', b"\n\n", b"\xff\xfe\x00", b"[]\n5\nnull\n",
     b'{"event": "Later", "step": 1}\n',
     b'{"event": "StepDone", "step": "x"}\n', b'{"event": ["a"], "step": 1}\n', b"[" * 100_000, b'{"step": 3}\n',
     to_json(dataclasses.replace(RUN[7], seconds=math.nan)).encode() + b"\n",
     to_json(dataclasses.replace(RUN[7], tokens=10**400)).encode() + b"\n",
     to_json(dataclasses.replace(RUN[7], step=10**20)).encode() + b"\n"],
)  # fmt: skip
def test_lines_that_are_no_events_are_passed_over(tmp_path: Path, damage: bytes) -> None:
    assert read_history(written(tmp_path, RUN, damage)).steps == (RUN[1], RUN[2], RUN[7])


def test_what_a_later_version_adds_is_passed_over_and_what_an_earlier_lacks_is_empty() -> None:
    line = json.dumps({**json.loads(to_json(RUN[0])), "colour": "red"})
    assert read_event(line) == RUN[0]
    values = json.loads(to_json(RUN[0]))
    old = {name: value for name, value in values.items() if name not in ("command", "machine")}
    assert read_event(json.dumps(old)) == Started("a", 0, 10, 1000, 100)


def test_a_number_that_was_not_finite_is_nan() -> None:
    found = read_event(to_json(step(3, math.inf)))
    assert isinstance(found, StepDone)
    assert math.isnan(found.loss)
    assert read_event(to_json(Stopped(3, "diverged", None, 1.0, "it is infinite"))) == Stopped(
        3, "diverged", None, 1.0, "it is infinite"
    )


def test_a_resumed_session_replaces_the_steps_it_repeats() -> None:
    events = [Started("a", 0, 1, 1, 1), step(1), step(5, 9.0), Preview(5, "x"), evaluation(6, 9.0), step(7, 9.0)]
    again = [Started("a", 4, 1, 1, 1), step(5, 1.0), evaluation(6, 1.0), step(6, 1.0), Stopped(6, "finished", 1.0, 2.0)]
    found = history_of([*events, *again])
    assert [each.step for each in found.sessions] == [0, 4]
    assert [(each.step, each.loss) for each in found.steps] == [(1, 2.0), (5, 1.0), (6, 1.0)]
    assert [(each.step, each.val_loss) for each in found.evaluations] == [(6, 1.0)]
    assert found.previews == ()


def test_a_run_that_trains_again_has_not_ended() -> None:
    assert history_of([*RUN, Started("a", 14, 1, 1, 1)]).stopped is None
    assert history_of([*RUN, Started("a", 14, 1, 1, 1), step(15)]).stopped is None


STEPS = st.lists(st.integers(1, 60), min_size=1, max_size=40)


@given(STEPS)
def test_after_any_resumes_steps_rise_and_the_latest_count(numbers: list[int]) -> None:
    events = [step(number, float(place)) for place, number in enumerate(numbers)]
    found = history_of(events)
    # By another way: a step stays if no later event is at its step or before it.
    expected = [
        (number, float(place)) for place, number in enumerate(numbers) if all(n > number for n in numbers[place + 1 :])
    ]
    assert [(each.step, each.loss) for each in found.steps] == expected


def test_text_and_time_between_recorded_steps_are_in_proportion() -> None:
    found = history_of([step(4, seconds=2.0), step(8, seconds=10.0)])
    assert [found.place(number).tokens for number in (0, 2, 4, 5, 8, 10)] == [0, 200, 400, 500, 800, 1000]
    assert [found.place(number).seconds for number in (0, 2, 4, 5, 8, 10)] == [0, 1, 2, 4, 10, 14]


def test_an_evaluation_knows_the_time_too() -> None:
    found = history_of([step(4, seconds=2.0), evaluation(12)])
    assert found.place(12).seconds == 4
    assert found.place(12).tokens == 1200
    assert found.place(8).seconds == 3


def test_a_curve_of_many_steps_has_the_mean_and_the_range_of_each_part(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_BINS", 5)
    losses = np.random.default_rng(1).normal(size=23)
    binned = history_of([step(n + 1, loss) for n, loss in enumerate(losses.tolist())]).binned("loss")
    assert 4 <= len(binned.mean) <= 5
    ends = [int(tokens / 100) for tokens in binned.tokens]
    assert ends[-1] == 23
    for begin, end, mean, low, high in zip([0, *ends], ends, binned.mean, binned.low, binned.high, strict=False):
        part = losses[begin:end]
        assert (mean, low, high) == pytest.approx((part.mean(), part.min(), part.max()))


def test_speed_is_text_by_time_between_two_steps() -> None:
    found = history_of([step(4, seconds=2.0), step(8, seconds=3.0), step(9, seconds=3.0), step(10, seconds=8.0)])
    speed = found.binned("speed")
    assert speed.mean == (400, 20)
    assert speed.seconds == (3, 8)
    assert history_of([step(4)]).binned("speed").mean == ()


def test_of_very_many_steps_as_many_are_read_as_can_be_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MOST_STEPS", 20)
    events = [step(number) for number in range(1, 101)]
    events[50:50] = [evaluation(50), Preview(50, "x")]
    found = read_history(written(tmp_path, events))
    assert 10 <= len(found.steps) <= 20
    assert (len(found.evaluations), len(found.previews)) == (1, 1)
    assert len({b.step - a.step for a, b in zip(found.steps, found.steps[1:], strict=False)}) == 1


def test_a_file_that_cannot_be_read_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path, RUN)
    monkeypatch.setattr(Path, "read_bytes", lambda self: (_ for _ in ()).throw(PermissionError(13, "no")))
    with pytest.raises(StorageError, match="cannot be read"):
        read_history(path)
