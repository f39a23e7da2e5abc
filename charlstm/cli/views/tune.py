"""A search on the command line: one line per trial while it runs, then the best trials and what to type next."""

from __future__ import annotations

import shlex
import sys
from typing import TYPE_CHECKING, Any

import typer

from charlstm.cli.interrupts import StopRequest
from charlstm.cli.spelling import with_options
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
    from charlstm.tuning.search import SearchSpec

_TABLE_ROWS = 5
"""Trials in the table; the default is added if it is not among them."""
_LONGER_TRAINING = 10
"""The suggested training takes this many times as long as a trial."""


def run(spec: SearchSpec, sources: list[str], *, json_lines: bool) -> None:
    """Run a search and show it.

    Args:
        spec: what to search for, where, and for how long.
        sources: the text, as it was typed.
        json_lines: print events as JSON lines instead.

    Raises:
        CharlstmError: no trial finished.
        typer.Exit: the search was interrupted.
    """
    from charlstm.tuning.events import SearchDone, to_json
    from charlstm.tuning.search import open_search

    done: SearchDone | None = None
    with StopRequest("stopping the running trials") as request, open_search(spec) as search:
        for event in search.events(request):
            if json_lines:
                print(to_json(event), flush=True)
            else:
                _show_progress(event, spec.jobs)
            if isinstance(event, SearchDone):
                done = event
        trial_time = search.trial_time
    assert done is not None
    if done.best is not None and not json_lines:
        _show_result(done, sources, trial_time)
    if done.reason == "interrupted":
        say("stopped; the same command continues with the rest of the budget")
        raise typer.Exit(request.exit_code)
    if done.best is None:
        reasons = [trial.reason for trial in done.trials if trial.reason]
        what = f"no trial finished; the last one failed: {reasons[-1]}" if reasons else "no trial finished"
        raise CharlstmError(what, hint="The same command with a longer --budget continues.")


def _show_progress(event: Event, jobs: int) -> None:
    from charlstm.tuning.events import SearchStarted, TrialDone

    if isinstance(event, SearchStarted):
        say(_start_line(event, jobs))
    elif isinstance(event, TrialDone):
        say(_trial_line(event), indent=2)


def _start_line(event: SearchStarted, jobs: int) -> str:
    left = f"{duration(event.seconds_left)} left"
    if event.trials:
        return f"continuing the search in {event.folder} after {counted(event.trials, 'trial')}, {left}"
    most = max(2, jobs * int(event.seconds_left / event.trial_time))
    return (
        f"searching in {event.folder}: {left}, enough for at most {most} trials of {duration(event.trial_time)}; "
        f"trial 0 has the default settings: {_listed(event.default)}"
    )


def _trial_line(event: TrialDone) -> str:
    trial, best = event.trial, event.best
    loss = "" if trial.loss is None else f"{trial.loss:.4f} nats/token"
    result = {
        "finished": loss,
        "pruned": f"{loss}, stopped early: worse than most",
        "failed": f"failed: {with_options(trial.reason or '')}",
        "interrupted": "interrupted; it will be tried again",
    }[trial.state]
    best_loss = f"best {best.loss:.4f} (trial {best.number})" if best else "none finished yet"
    return f"trial {trial.number}: {result} · {best_loss} · {duration(event.seconds_left)} left · {_changes(trial)}"


def _changes(trial: Trial) -> str:
    if trial.changed:
        return _listed(trial.changed)
    return "default" if trial.settings else ""


def _listed(settings: dict[str, Any]) -> str:
    return ", ".join(f"{name} {value:g}" for name, value in settings.items())


def _show_result(done: SearchDone, sources: list[str], trial_time: float) -> None:
    _show_table(done)
    print()
    for sentence in map(visible, _sentences(done, trial_time)):
        print("\n".join(fold(sentence, terminal_width(), "  ")) if is_terminal(sys.stdout) else sentence)
    print(f"  {visible(_train_command(done, sources, trial_time))}")  # never folded, so that it can be copied


def _show_table(done: SearchDone) -> None:
    from rich.table import Table
    from rich.text import Text

    finished = sorted((t for t in done.trials if t.state == "finished"), key=lambda t: (t.loss or 0.0, t.number))
    rows = finished[:_TABLE_ROWS] + [trial for trial in finished[_TABLE_ROWS:] if not trial.changed]
    table = Table(box=None, pad_edge=False)
    for column in ("trial", "nats/token", "bits/char"):
        table.add_column(column, justify="right")
    table.add_column("changed settings")
    for trial in rows:
        bits = "" if trial.bits_per_char is None else f"{trial.bits_per_char:.4f}"
        table.add_row(str(trial.number), f"{trial.loss:.4f}", bits, Text(visible(_changes(trial))))
    stdout_console().print(table)


def _sentences(done: SearchDone, trial_time: float) -> list[str]:
    from charlstm.tuning.study import RANDOM_TRIALS

    states = [trial.state for trial in done.trials]
    finished, pruned, failed = (states.count(state) for state in ("finished", "pruned", "failed"))
    sentences = [
        f"Trials: {finished} finished, {pruned} stopped early, {failed} failed, in {duration(done.seconds)}.",
        "The loss is measured on the validation text, which also chose the best trial: expect a slightly higher one on "
        "new text. Each trial was trained once, so small differences may be chance.",
        _comparison(done),
    ]
    if finished + pruned <= RANDOM_TRIALS:
        sentences.append(
            f"These are too few trials to find much: after the default, {RANDOM_TRIALS} have random settings, and only "
            "later ones build on the results. The same command with a longer --budget continues this search."
        )
    if done.checkpoint:
        sentences.append(f"Sample from the best trial: charlstm sample {shlex.quote(done.checkpoint)}")
    sentences.append(
        f"All trials trained for {duration(trial_time)}; with much more time a wider network and more dropout may be "
        "better. To train longer with the best settings:"
    )
    return sentences


def _comparison(done: SearchDone) -> str:
    """How the best trial compares with the default settings."""
    best = done.best
    assert best is not None
    assert best.loss is not None
    if not best.changed:
        return "No trial was better than the default settings, which charlstm train would choose by itself."
    default = next((trial for trial in done.trials if not trial.changed and trial.state == "finished"), None)
    if default is None or default.loss is None:
        return f"Trial {best.number} was the best; the default settings did not finish."
    return f"Trial {best.number} was the best, {default.loss - best.loss:.4f} nats/token better than the default."


def _train_command(done: SearchDone, sources: list[str], trial_time: float) -> str:
    words = ["charlstm", "train", *sources, "--config", str(done.settings_file)]
    seconds = _LONGER_TRAINING * trial_time
    time = f"{seconds:.0f}s" if seconds < 120 else f"{seconds / 60:.0f}m"
    return f"{shlex.join(words)} --max-time {time}"
