"""The search: starts trials while there is time, stops the hopeless ones, and keeps the best."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from queue import Empty, Queue
from typing import Any, Literal

from charlstm.checkpoint.run import MODEL
from charlstm.errors import CharlstmError, StorageError, UsageError
from charlstm.events import EvalDone
from charlstm.training.plan.merge import Given, merge
from charlstm.training.prepare import Prepared
from charlstm.tuning import space
from charlstm.tuning.budget import MIN_TRIALS, trial_seconds, trial_threads
from charlstm.tuning.events import Event, SearchDone, SearchStarted, Trial, TrialDone, TrialStarted, TrialState
from charlstm.tuning.folder import STUDY, SearchFolder, provenance, trial_name
from charlstm.tuning.identity import SearchIdentity, fixed_settings
from charlstm.tuning.protocol import Message, TrialSpec
from charlstm.tuning.settings import best_settings, trial_settings
from charlstm.tuning.study import Study, open_study
from charlstm.tuning.trial_process import Inbox, TrialProcess, is_finite

_MAX_FAILURES = 5
"""Failures in a row that end the search: then the settings are not the cause."""
_STUCK_FACTOR, _STUCK_SECONDS = 3, 120.0
"""A trial is stuck after this many times its training time, plus this many seconds."""


@dataclass(frozen=True)
class SearchSpec:
    """A search that could start now."""

    prepared: Prepared
    """The default settings for a trial's time, and the text."""
    fixed: Given
    """The settings that stay as they are, by section."""
    folder: Path
    """The folder of the search."""
    cache: Path
    """The folder of encoded texts."""
    budget: float
    """Seconds of searching, over all sessions."""
    trial_time: float | None
    """Seconds of training of each trial; None is a thirtieth of the budget, or what the search was started with."""
    seed: int
    """Of the proposals."""
    jobs: int = 1
    """Trials that run in parallel."""
    provenance: Mapping[str, Any] = field(default_factory=dict)
    """What each trial's checkpoint records of its origin, besides what training records itself."""


@contextmanager
def open_search(spec: SearchSpec) -> Iterator[Search]:
    """Start a search or continue it; its folder is locked until the end, when its processes have ended too.

    Args:
        spec: what to search for, where, and for how long.

    Raises:
        UsageError: the text has no validation part, the budget is too short, or the folder holds something else or
            another search.
        CorruptError: the file of the search is damaged.
        StorageError: the disk is full, or the folder cannot be used.
    """
    run = spec.prepared.plan.run
    if not run.data.val_fraction:
        raise UsageError("settings cannot be compared without a validation part of the text", hint="Give more text.")
    identity = SearchIdentity(
        text=spec.prepared.encoded.corpus_sha256,
        given=fixed_settings(spec.fixed),
        seed=spec.seed,
        trial_time=trial_seconds(spec.budget, spec.trial_time),
        jobs=spec.jobs,
        defaults=run.to_plain(),
    )
    folder = SearchFolder(spec.folder)
    with folder.locked(), open_study(spec.folder / STUDY, identity) as study:
        differences = study.identity.differences(identity, trial_time=spec.trial_time)
        if differences:
            what = f"the search in this folder was started with {differences[0]}"
            raise UsageError(what, where=spec.folder, hint="Use the same, or choose another name or folder.")
        search = Search(spec, study, folder)
        try:
            yield search
        finally:
            search.close()


class Search:
    """One session of a search; made by `open_search`.

    Args:
        spec: what to search for, where, and for how long.
        study: its trials.
        folder: its folder, locked.

    Attributes:
        trial_time: seconds of training of each trial.
    """

    def __init__(self, spec: SearchSpec, study: Study, folder: SearchFolder) -> None:
        self._spec, self._study, self._folder = spec, study, folder
        self._run, self.trial_time = study.identity.run, study.identity.trial_time
        self._fixed = merge({"data": {"sources": spec.prepared.plan.run.data.sources}}, spec.fixed)
        self._inbox: Inbox = Queue()
        self._running: dict[int, tuple[TrialProcess, TrialStarted]] = {}
        self._start_time, self._earlier_seconds = time.monotonic(), study.seconds_spent
        self._completed = 0  # trials of all sessions
        self._failures = 0  # in a row
        self._overhead = 0.0  # seconds that a trial takes beyond its training

    def events(self, stop: Callable[[], bool] = lambda: False) -> Iterator[Event]:
        """Search until the budget is used up.

        Args:
            stop: checked several times a second; True kills the running trials and ends the search.

        Yields:
            `SearchStarted` first, `SearchDone` last; all losses are those on the validation text.

        Raises:
            StorageError: the disk is full, or a file cannot be written.
            CharlstmError: several trials in a row fail.
        """
        self._study.requeue_unfinished()
        self._completed = sum(trial.state != "interrupted" for trial in self._study.trials())
        self._keep_best()
        default = space.values(self._study.space, space.start(self._study.space))
        yield SearchStarted(str(self._folder.path), default, self.trial_time, self._completed, self._seconds_left)
        stopped = False
        while not (stopped := stop()):
            while len(self._running) < self._spec.jobs and self._has_room():
                yield self._start_trial()
            if not self._running:
                break
            yield from self._watch()
        for number in list(self._running):
            yield self._end_trial(number, "interrupted")
        yield self._result("interrupted" if stopped else "finished")

    def close(self) -> None:
        """Kill the trials that an error, or a caller that stopped listening, left running."""
        for process, _ in self._running.values():
            process.end(kill=True)
        self._running.clear()
        self._study.seconds_spent = self._seconds_spent

    @property
    def _seconds_spent(self) -> float:
        return self._earlier_seconds + time.monotonic() - self._start_time

    @property
    def _seconds_left(self) -> float:
        return max(0.0, self._spec.budget - self._seconds_spent)

    def _has_room(self) -> bool:
        """Whether a whole trial still fits: one with less time could not be compared with the others."""
        fits = self._seconds_left >= self.trial_time + self._overhead
        return fits or self._completed + len(self._running) < MIN_TRIALS  # which `trial_seconds` has promised

    def _start_trial(self) -> TrialStarted:
        number, varied = self._study.ask()
        while os.path.lexists(self._folder.trial(number)):  # the user's: `remove_trials` has left it
            self._study.skip(number)
            number, varied = self._study.ask()
        started = TrialStarted(number, varied, space.changed(self._study.space, varied))
        spec = TrialSpec(
            name=trial_name(number),
            root=str(self._folder.path),
            cache=str(self._spec.cache),
            settings=trial_settings(
                self._run, self._fixed, varied, seconds=self.trial_time, threads=trial_threads(self._spec.jobs)
            ),
            provenance={**self._spec.provenance, **provenance(self._study.search_id, number)},
        )
        self._running[number] = TrialProcess(number, spec, self._inbox), started
        return started

    def _watch(self) -> Iterator[Event]:
        """Wait a moment for a message of a trial, and act on it."""
        try:
            number, message = self._inbox.get(timeout=0.2)
        except Empty:
            yield from self._end_stuck()
            return
        if number not in self._running:  # the last messages of one that was killed
            return
        if message is None:
            yield self._end_trial(number, "finished")
            return
        self._running[number][0].record(message)
        if self._is_hopeless(number, message):
            yield self._end_trial(number, "pruned")

    def _is_hopeless(self, number: int, message: Message) -> bool:
        if not isinstance(message, EvalDone) or not is_finite(message.val_loss):
            return False
        self._study.seconds_spent = self._seconds_spent
        return self._study.is_hopeless(number, message.val_loss, message.seconds / self.trial_time)

    def _end_stuck(self) -> Iterator[Event]:
        limit = _STUCK_FACTOR * self.trial_time + _STUCK_SECONDS
        for number, (process, _) in list(self._running.items()):
            if process.seconds > limit:
                yield self._end_trial(
                    number, "failed", f"killed, because it was still running after {process.seconds:.0f} s"
                )

    def _end_trial(self, number: int, state: TrialState, reason: str = "") -> TrialDone:
        """End a trial's process, and record the result.

        Args:
            number: the trial's.
            state: how it ends; "finished" waits for it, and may find that it failed.
            reason: why it failed, if that is known.
        """
        process, started = self._running.pop(number)
        code = process.end(kill=state != "finished")
        if state == "finished":
            reason = process.failure(code)
            if reason:
                state = "failed"
            else:
                self._overhead = max(self._overhead, process.seconds - self.trial_time)
        best = process.best
        trial = Trial(
            number,
            state,
            best.val_loss if best is not None else None,
            best.bits_per_char if best is not None else None,
            round(process.seconds, 3),
            started.settings,
            started.changed,
            reason,
        )
        self._study.record(trial)
        self._study.seconds_spent = self._seconds_spent
        self._completed += state != "interrupted"
        self._keep_best()
        self._check_failures(trial, process.error_code)
        return TrialDone(trial, self._study.best(), self._seconds_left)

    def _check_failures(self, trial: Trial, error_code: int) -> None:
        """Check whether it makes sense to continue.

        Raises:
            StorageError: the disk is full, or a file cannot be written.
            CharlstmError: several trials in a row failed.
        """
        if trial.state != "failed":
            self._failures = 0
            return
        self._failures += 1
        hint = "Once that is fixed, the same command continues the search."
        if error_code == StorageError.exit_code:
            raise StorageError(trial.reason, hint=hint)
        if self._failures >= _MAX_FAILURES:
            raise CharlstmError(f"{_MAX_FAILURES} trials in a row failed, the last one: {trial.reason}", hint=hint)

    def _keep_best(self) -> None:
        """Write the best settings, and remove the runs of all other trials, also those that a kill left."""
        best = self._study.best()
        keep = set(self._running)
        if best is not None:
            keep.add(best.number)
            self._folder.write_settings(
                best_settings(self._run, self._fixed, best, trials=self._completed, seconds=self.trial_time)
            )
        self._folder.remove_trials(self._study.search_id, keep=keep)

    def _result(self, reason: Literal["finished", "interrupted"]) -> SearchDone:
        best = self._study.best()
        run = self._folder.trial(best.number) if best is not None else None
        return SearchDone(
            reason,
            best,
            tuple(self._study.trials()),
            str(self._folder.settings_file) if best is not None else None,
            str(run) if run is not None and (run / MODEL).is_file() else None,
            self._seconds_spent,
        )
