"""Training as a person sees it: whatever an event contains is shown, and a terminal obeys none of it."""

import io
import math
import time

import pytest

from charlstm import events
from charlstm.cli.views import live, region
from charlstm.cli.views.live import Live
from charlstm.cli.views.progress import Lines, Pace, Status

EVIL = "\x1b[2J\x9b31m\u202ered[bold]\r"
SHOWN = "␛[2J<U+009B>31m<U+202E>red[bold]␍"


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize(
    "event", [events.Notice(1, f"{EVIL}.txt has changed; use `batch_size=4`"), events.Preview(1, f"one\n{EVIL}")]
)
def test_what_comes_from_a_text_or_a_file_name_cannot_control_the_terminal(monkeypatch, event):
    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    monkeypatch.setenv("TERM", "xterm-256color")
    for module in (live, region):
        monkeypatch.setattr(module, "terminal_width", lambda: 200)
    with Live("char", Pace(None)) as view:
        view.show(event)
        live_view = terminal.getvalue()
    place = len(terminal.getvalue())
    Lines("char", Pace(None)).show(event)
    for shown in (live_view, terminal.getvalue()[place:]):
        assert SHOWN in shown
        assert not set("\x9b\u202e") & set(shown)
        assert "\x1b[2J" not in shown
        if isinstance(event, events.Notice):
            assert "use --batch-size 4" in shown


def test_the_speed_leaves_out_evaluations(monkeypatch):
    now = iter([0.0, 1.0, 61.0, 62.0])
    monkeypatch.setattr(time, "monotonic", lambda: next(now))
    status = Status("char", Pace(None))
    for step in (1, 2):
        status.update(events.StepDone(step, step / 10, 1.0, 0.1, 1.0, 1000 * step, float(step)))
    assert status.pace.tokens_per_second == 1000
    status.update(events.EvalDone(2, 1.0, 1.0, 1.4, "last", True, 62.0))
    assert math.isnan(status.pace.seconds_left)
    for step in (3, 4):
        status.update(events.StepDone(step, step / 10, 1.0, 0.1, 1.0, 1000 * step, 60.0 + step))
    assert status.pace.tokens_per_second == 1000


def test_the_time_left_is_never_more_than_the_budget_has(monkeypatch):
    now = iter([0.0, 10.0])
    monkeypatch.setattr(time, "monotonic", lambda: next(now))
    pace = Pace(60.0)
    for share, seconds in ((0.10, 6.0), (0.15, 50.0)):  # a busy machine: more than 20 seconds per 5 %
        pace.update(events.StepDone(1, share, 1.0, 0.1, 1.0, 64, seconds))
    assert pace.seconds_left == 10.0
