"""A search on the command line: a line a trial while it runs, the best trials at its end, and what to type next."""

from __future__ import annotations

import contextlib
import shlex
import sys
from typing import TYPE_CHECKING, Any

import typer

from charlstm.cli.interrupts import StopRequest
from charlstm.cli.views.terminal import (
    counted,
    duration,
    fold,
    is_terminal,
    say,
    stdout_console,
    terminal_width,
    visible,
)
from charlstm.errors import CharlstmError

if TYPE_CHECKING:
    from charlstm.tuning.events import Event, SearchDone, SearchStarted, Trial, TrialDone
    from charlstm.tuning.search import Plan

SHOWN = 5
"""Trials in the table, and the default, if it is not among them."""
_LONGER = 10
"""The training that is proposed lasts as many times as a trial."""


def perform(plan: Plan, sources: list[str], *, json_lines: bool) -> None:
    """Run a search, show it, and leave with the right exit code.

    Raises:
        CharlstmError: no trial came to its end.
    """
    from charlstm.tuning.events import SearchDone, SearchStarted, to_json
    from charlstm.tuning.search import search

    last: SearchDone | None = None
    trial_time = 0.0
    with StopRequest("stopping the running trials") as request, contextlib.closing(search(plan, request)) as events:
        for event in events:
            if json_lines:
                print(to_json(event), flush=True)
            else:
                _tell(event)
            if isinstance(event, SearchStarted):
                trial_time = event.trial_time
            elif isinstance(event, SearchDone):
                last = event
    assert last is not None
    if last.best is not None and not json_lines:
        _show(last, sources, trial_time)
    if last.reason == "interrupted":
        say("stopped; the same command goes on with the rest of the budget")
        raise typer.Exit(request.exit_code)
    if last.best is None:
        reasons = [trial.reason for trial in last.trials if trial.reason]
        what = f"no trial came to its end ({reasons[-1]})" if reasons else "no trial came to its end"
        raise CharlstmError(what, hint="Nothing was found; a longer --budget goes on.")


def _tell(event: Event) -> None:
    from charlstm.tuning.events import SearchStarted, TrialDone

    if isinstance(event, SearchStarted):
        say(_opening(event))
    elif isinstance(event, TrialDone):
        say(_line(event), indent=2)


def _opening(event: SearchStarted) -> str:
    left = f"{duration(event.seconds_left)} left"
    if event.trials:
        return f"going on after {counted(event.trials, 'trial')}, {left}. In {event.folder}"
    return (
        f"trials of {duration(event.trial_time)} of training, {left}; trial 0 is the default choice: "
        f"{_settings(event.default)}. In {event.folder}"
    )


def _line(event: TrialDone) -> str:
    trial, best = event.trial, event.best
    loss = "" if trial.loss is None else f"{trial.loss:.4f} nats/token"
    told = {
        "finished": loss,
        "pruned": f"{loss}, stopped as hopeless",
        "failed": f"failed: {trial.reason}",
        "interrupted": "cut off, to be tried again",
    }[trial.state]
    so_far = f"best {best.loss:.4f} (trial {best.number})" if best else "no best yet"
    return f"trial {trial.number}: {told} · {so_far} · {duration(event.seconds_left)} left · {_changes(trial)}"


def _changes(trial: Trial) -> str:
    if trial.changed:
        return _settings(trial.changed)
    return "the default" if trial.settings else ""


def _settings(settings: dict[str, Any]) -> str:
    return ", ".join(f"{name} {value:g}" for name, value in settings.items())


def _show(done: SearchDone, sources: list[str], trial_time: float) -> None:
    """The best trials as a table, and what follows from them."""
    _draw(done)
    print()
    for sentence in map(visible, _sentences(done, trial_time)):
        print("\n".join(fold(sentence, terminal_width(), "  ")) if is_terminal(sys.stdout) else sentence)
    print(f"  {visible(_command(done, sources, trial_time))}")  # never folded: it is there to be copied


def _draw(done: SearchDone) -> None:
    from rich.table import Table
    from rich.text import Text

    finished = sorted((t for t in done.trials if t.state == "finished"), key=lambda t: (t.loss or 0.0, t.number))
    rows = finished[:SHOWN] + [trial for trial in finished[SHOWN:] if not trial.changed]
    table = Table(box=None, pad_edge=False)
    for column in ("trial", "nats/token", "bits/char"):
        table.add_column(column, justify="right")
    table.add_column("changed from the default")
    for trial in rows:
        bits = "" if trial.bits_per_char is None else f"{trial.bits_per_char:.4f}"
        table.add_row(str(trial.number), f"{trial.loss:.4f}", bits, Text(_changes(trial)))
    stdout_console().print(table)


def _sentences(done: SearchDone, trial_time: float) -> list[str]:
    states = [trial.state for trial in done.trials]
    best = done.best
    assert best is not None
    told = [
        f"Trials that finished: {states.count('finished')}; stopped as hopeless: {states.count('pruned')}; failed: "
        f"{states.count('failed')}; {duration(done.seconds)} in all.",
        "The loss is on the validation part, by which the best was chosen: on text never seen expect a little more. "
        "Each trial was trained once; small differences may be chance.",
    ]
    default = next((trial for trial in done.trials if not trial.changed and trial.loss is not None), None)
    if not best.changed:
        told.append("Nothing was better than the default, which for a longer training charlstm train chooses anew.")
    elif default is not None and default.state == "finished":
        told.append(f"The best needs {default.loss - best.loss:.4f} nats/token less than the default.")  # type: ignore[operator]
    if done.checkpoint:
        told.append(f"Write with: charlstm sample {shlex.quote(done.checkpoint)}")
    won = "These settings won" if best.changed else "The default won"
    told.append(
        f"{won} in trainings of {duration(trial_time)}; in a far longer one a wider network and more dropout may win. "
        f"{'Train with them for longer:' if best.changed else 'To train for longer with just these settings:'}"
    )
    return told


def _command(done: SearchDone, sources: list[str], trial_time: float) -> str:
    """What trains with the settings found, for longer."""
    words = ["charlstm", "train", *sources, "--config", str(done.settings_file)]
    return f"{shlex.join(words)} --max-time {duration(_LONGER * trial_time).replace(' ', '')}"
