"""The search itself: trials started while there is time, watched, judged, and the best of them kept."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, Queue
from typing import Any, Literal

from charlstm.checkpoint.store import MODEL, Store
from charlstm.config import RunConfig
from charlstm.errors import CharlstmError, StorageError, UsageError
from charlstm.files import storage_error, write_atomically
from charlstm.settings_file import to_toml
from charlstm.training.plan.merge import Given, merge
from charlstm.training.prepare import Prepared
from charlstm.tuning import space
from charlstm.tuning.budget import LEAST, trial_seconds, trial_threads
from charlstm.tuning.events import Event, SearchDone, SearchStarted, Trial, TrialDone, TrialStarted
from charlstm.tuning.study import FILE, Study, opened
from charlstm.tuning.trial_process import Message, Process, is_number, name_of

SETTINGS = "best.toml"
_LOCK = "study.lock"
_GIVE_UP = 5
"""Failures one after another that end the search: then it is not the settings."""
_DISK = 6
"""The exit code of a trial that cannot write."""
_OVERTIME = 3, 120.0
"""A trial that takes this many times its seconds, and as many seconds more, is stuck."""
_NOT_OF_THE_BEST = {"max_time", "max_steps", "epochs", "eval_every", "save_every", "preview", "threads"}
"""What is a trial's own, or chooses itself better from the time it is given: not for the settings file."""


@dataclass(frozen=True)
class Plan:
    """A search that could start now.

    Args:
        prepared: the default choice for a trial's time.
        given: settings made by hand, by section; they are not varied.
        folder: where its files go.
        cache: where encoded texts are kept.
        budget: seconds, over all sessions.
        trial_time: seconds of training of each trial; None is a thirtieth of the budget, or what the search has.
        seed: of the proposals.
        jobs: trials at once.
    """

    prepared: Prepared
    given: Given
    folder: Path
    cache: Path
    budget: float
    trial_time: float | None
    seed: int
    jobs: int = 1


def search(plan: Plan, stop: Callable[[], bool] = lambda: False) -> Generator[Event, None, None]:
    """Search, or go on searching, until the budget is used up.

    Args:
        plan: what is searched for and how long.
        stop: asked several times a second; once it says True, running trials are killed and the search ends.

    Yields:
        `SearchStarted` first, `SearchDone` last; the loss is always that on the validation part.

    Raises:
        UsageError: another search, or one of another text, is in that folder; no validation part.
        StorageError: the disk is full or closed.
        CharlstmError: one trial after another fails.
    """
    run = plan.prepared.plan.run
    if not run.data.val_fraction:
        raise UsageError("without a validation part no settings can be compared", hint="Give more text.")
    about = {
        "text": plan.prepared.encoded.corpus_sha256,
        "given": _comparable(plan.given),
        "seed": plan.seed,
        "trial_time": trial_seconds(plan.budget, plan.trial_time),
        "jobs": plan.jobs,
        "run": run.to_plain(),
    }
    with _locked(plan.folder), opened(_own(plan.folder), about) as study:
        _check_same(study.about, about, plan)
        with contextlib.closing(_Session(plan, study).events(stop)) as events:
            yield from events


class _Session:
    """From one start of the command to its end."""

    def __init__(self, plan: Plan, study: Study) -> None:
        self._plan, self._study, self._folder = plan, study, plan.folder
        self._trial_time = float(study.about["trial_time"])
        # The default as it was when the search began: measured again, the machine may seem another.
        self._run = RunConfig(**study.about["run"])
        fixed = [name for values in plan.given.values() for name in values]
        self._space = space.axes(self._run, fixed)
        self._messages: Queue[Message] = Queue()
        self._running: dict[int, tuple[Process, TrialStarted]] = {}
        self._began, self._before = time.monotonic(), study.spent
        self._done, self._failures, self._overhead = 0, 0, 0.0

    def events(self, stop: Callable[[], bool]) -> Generator[Event, None, None]:
        """All of the session's."""
        self._study.begin(self._space)
        self._done = len([trial for trial in self._study.trials() if trial.state != "interrupted"])
        self._keep_best()
        default = space.values(self._space, space.start(self._space))
        yield SearchStarted(str(self._folder), default, self._trial_time, self._done, self._left)
        stopped = False
        try:
            while not (stopped := stop()):
                while len(self._running) < self._plan.jobs and self._has_room():
                    yield self._start()
                if not self._running:
                    break
                yield from self._watch()
            for number in list(self._running):
                yield self._end(number, "interrupted")
        finally:
            for process, _ in self._running.values():  # an error, or whoever listened has gone
                process.end(kill=True)
            self._study.spent = self._spent
        yield self._result("interrupted" if stopped else "finished")

    @property
    def _spent(self) -> float:
        return self._before + time.monotonic() - self._began

    @property
    def _left(self) -> float:
        return max(0.0, self._plan.budget - self._spent)

    def _has_room(self) -> bool:
        """Whether a whole trial still fits: one that had less time could not be compared."""
        fits = self._left >= self._trial_time + self._overhead
        return fits or self._done + len(self._running) < LEAST  # even if starting them took longer than thought

    def _start(self) -> TrialStarted:
        number, settings = self._study.ask()
        started = TrialStarted(number, settings, space.changed(self._space, settings))
        config = self._folder / f"{name_of(number)}.toml"
        write_atomically(config, to_toml(self._tables(settings)).encode())
        process = Process(number, self._folder, config, self._plan.cache, self._messages)
        self._running[number] = process, started
        return started

    def _tables(self, settings: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
        """A trial's settings; the few that stay open choose themselves to go with them."""
        run, sources = self._run, self._plan.prepared.plan.run.data.sources
        same: dict[str, dict[str, Any]] = {
            "model": {"ensemble": run.model.ensemble},  # the default's: a width given by hand would mean one network
            "data": {"sources": sources, "val_fraction": run.data.val_fraction},
            "train": {
                "max_time": self._trial_time,
                "device": run.train.device,
                "precision": run.train.precision,
                "save_every": 1e6,
                "preview": 0,
                "threads": trial_threads(self._plan.jobs),
            },
        }
        return merge(same, self._plan.given, space.by_section(settings))

    def _watch(self) -> Iterator[Event]:
        """Wait a moment for what the trials tell, and act on it."""
        try:
            number, event = self._messages.get(timeout=0.2)
        except Empty:
            yield from self._end_stuck()
            return
        if number not in self._running:  # the last words of one that was killed
            return
        process, _ = self._running[number]
        if event is None:
            yield self._end(number, "finished")
            return
        process.take(event)
        if event["event"] == "EvalDone" and is_number(event["val_loss"]):
            self._study.spent = self._spent
            if self._study.hopeless(number, event["val_loss"], event["seconds"] / self._trial_time):
                yield self._end(number, "pruned")

    def _end_stuck(self) -> Iterator[Event]:
        times, more = _OVERTIME
        for number, (process, _) in list(self._running.items()):
            if process.seconds > times * self._trial_time + more:
                yield self._end(number, "failed", "it did not come to its end, and was killed")

    def _end(
        self, number: int, state: Literal["finished", "pruned", "failed", "interrupted"], reason: str = ""
    ) -> TrialDone:
        process, started = self._running.pop(number)
        code = process.end(kill=state != "finished")
        fault = process.fault(code)
        if state == "finished":
            state, reason = ("failed", fault) if fault else ("finished", "")
            if not fault:
                self._overhead = max(self._overhead, process.seconds - self._trial_time)
        best = process.best or {}
        trial = Trial(
            number, state, best.get("val_loss"), best.get("bits_per_char"), round(process.seconds, 3),
            started.settings, started.changed, reason,
        )  # fmt: skip
        self._study.tell(number, trial)
        self._study.spent = self._spent
        self._done += state != "interrupted"
        self._keep_best()
        self._check_sense(trial, code)
        return TrialDone(trial, self._study.best(), self._left)

    def _check_sense(self, trial: Trial, code: int) -> None:
        """Whether to go on at all.

        Raises:
            StorageError: the disk is full or closed.
            CharlstmError: one trial after another fails.
        """
        if trial.state != "failed":
            self._failures = 0
            return
        self._failures += 1
        again = "Once that is mended, the same command goes on."
        if code == _DISK:
            raise StorageError(trial.reason, hint=again)
        if self._failures >= _GIVE_UP:
            raise CharlstmError(f"{_GIVE_UP} trials in a row failed, the last one so: {trial.reason}", hint=again)

    def _keep_best(self) -> None:
        """Write the settings of the best, and remove all other trials' files, also those a kill left."""
        best = self._study.best()
        if best is not None:
            write_atomically(self._folder / SETTINGS, self._settings_file(best).encode())
        running = {name_of(number) for number in self._running}
        kept = running | ({name_of(best.number)} if best else set())
        store = Store(self._folder)
        for path in sorted(self._folder.glob("trial-*")):
            with contextlib.suppress(CharlstmError, OSError):  # one that is just ending is removed next time
                if path.suffix == ".toml" and path.stem not in running:
                    path.unlink()
                elif path.is_dir() and path.name not in kept:
                    store.remove(path.name)

    def _settings_file(self, best: Trial) -> str:
        model, data, train = (self._run.to_plain()[name] for name in ("model", "data", "train"))
        # Only what was searched for, or given: all else chooses itself, from more time another value than from less.
        wanted = {"cell", "ensemble", "embedding_size", "optimizer", "val_fraction"} | set(best.settings)
        tables = {
            section: {name: value for name, value in values.items() if name in wanted}
            for section, values in (("model", model), ("data", data), ("train", train))
        }
        given = {
            section: {name: value for name, value in values.items() if name not in _NOT_OF_THE_BEST | {"sources"}}
            for section, values in self._plan.given.items()
        }
        head = (
            f"# Found by charlstm tune: the best of {self._done} trials of {self._trial_time:g} s of training each.\n"
            f"# {best.loss:.4f} nats per token on the validation part, by which it was chosen.\n"
        )
        return head + to_toml(merge(tables, given, space.by_section(best.settings)))

    def _result(self, reason: Literal["finished", "interrupted"]) -> SearchDone:
        best = self._study.best()
        checkpoint = self._folder / name_of(best.number) if best else None
        return SearchDone(
            reason,
            best,
            tuple(self._study.trials()),
            str(self._folder / SETTINGS) if best else None,
            str(checkpoint) if checkpoint and (checkpoint / MODEL).is_file() else None,
            self._spent,
        )


def _check_same(kept: Mapping[str, Any], now: Mapping[str, Any], plan: Plan) -> None:
    """Refuse to mix what cannot be compared: another text, other fixed settings, another time, another share."""
    differs = {
        "another text": kept["text"] != now["text"],
        "another --config": kept["given"] != now["given"],
        f"--seed {kept['seed']}": kept["seed"] != now["seed"],
        f"--trial-time {kept['trial_time']:g}": plan.trial_time not in (None, kept["trial_time"]),
        f"--jobs {kept.get('jobs')}": kept.get("jobs", now["jobs"]) != now["jobs"],  # older searches do not tell
    }
    for what, is_so in differs.items():
        if is_so:
            hint = "Give the same, or choose another --name."
            raise UsageError(f"the search that is here was begun with {what}", where=plan.folder, hint=hint)


def _comparable(given: Given) -> dict[str, Any]:
    """Settings made by hand as JSON gives them back; the sources left out, as the text is what counts."""
    plain: dict[str, Any] = json.loads(json.dumps(merge(given)))
    plain["data"].pop("sources", None)
    return plain


def _own(folder: Path) -> Path:
    """The folder, if it is a search's, or empty: what is called like a trial in it is removed.

    Raises:
        UsageError: it holds something else.
    """
    try:
        names = {path.name for path in folder.iterdir()}
    except OSError as fault:
        raise storage_error(folder, fault, "cannot be used") from fault
    if FILE not in names and names - {_LOCK}:
        hint = "Choose another --name or --out: a search has a folder of its own."
        raise UsageError("this folder is not empty, and no search's", where=folder, hint=hint)
    return folder


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Make a search's folder, and keep it to this process."""
    from filelock import FileLock, Timeout

    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / _LOCK, timeout=0)
        lock.acquire()
    except Timeout as fault:
        raise UsageError("another charlstm is searching here", where=folder, hint="Wait, or stop it.") from fault
    except OSError as fault:
        raise storage_error(folder, fault, "cannot be used") from fault
    try:
        yield
    finally:
        lock.release()
