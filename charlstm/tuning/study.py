"""What a search knows, kept on the disk by optuna: trials asked for, what they reported, and how they ended.

The file is SQLite: each fact is one transaction, so a kill at any moment leaves those before it. Optuna's other store,
a journal, was rejected: a line that a kill cut in two is glued to the next one and makes the whole file unreadable
(`JournalFileBackend.read_logs`), and its lock outlives its owner by 30 seconds.

In optuna's words a trial that failed by itself is PRUNED, and its own mark here says that it failed: FAIL would hide it
from the sampler, which would go there again, while what was pruned ranks behind all that finished. FAIL is a trial that
was cut off with the search: nothing is known of it, and it is tried again.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from charlstm.errors import CorruptError, StorageError, UsageError
from charlstm.tuning.events import Trial
from charlstm.tuning.space import Axis, Positions, changed, start, values

if TYPE_CHECKING:
    import optuna

FILE = "study.sqlite"

_OF_THE_DISK = {
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_PERM,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_LOCKED,
}
"""Where SQLite finds the fault in these, the file may well be whole."""
_MENDED = "Is the disk full, or closed to you? Once that is mended, the same command goes on."

STAGES = 10
"""Trials are compared at tenths of their time, where they take very different numbers of steps."""
_WARMUP_STAGES = 4
"""A wide network or a high rate begins behind: nothing is judged before this many tenths."""
_COMPARED = 3
"""Finished trials before any is judged."""
_HOPEFUL = 67.0
"""The share of trials, in percent, that are not hopeless. Not half, as is usual: a high rate comes down, and a wide
network comes up, at the end."""
_RANDOM = 6
"""Trials drawn at random, besides the default, before the sampler models what is good."""


def check_installed() -> None:
    """Say so when no search can be made here.

    Raises:
        UsageError: optuna is not installed.
    """
    if find_spec("optuna") is None:
        raise UsageError("the search needs optuna, which is not installed", hint="pip install optuna")


class Study:
    """The trials of one search.

    Args:
        study: optuna's.
        about: what the search is of, as it was first begun.
    """

    def __init__(self, study: optuna.Study, about: dict[str, Any]) -> None:
        self._study, self.about = study, about
        self._space: tuple[Axis, ...] = ()
        self._open: dict[int, optuna.Trial] = {}

    def begin(self, space: tuple[Axis, ...]) -> None:
        """Take up the search: the default is its first trial; what was cut off by a kill is tried again."""
        import optuna

        self._space = space
        if not self._study.trials:
            self._study.enqueue_trial(start(space))
        for trial in self._study.get_trials(states=[optuna.trial.TrialState.RUNNING]):
            # Killed before all its settings were drawn, it has some only as what it was to be given.
            self._again(trial.number, trial.system_attrs.get("fixed_params", {}) | trial.params)

    @property
    def spent(self) -> float:
        """Seconds of searching, over all sessions."""
        return float(self._study.user_attrs.get("spent", 0.0))

    @spent.setter
    def spent(self, seconds: float) -> None:
        self._study.set_user_attr("spent", seconds)

    def ask(self) -> tuple[int, dict[str, Any]]:
        """The next trial's number, and its settings that vary."""
        import optuna

        # A sampler for each trial, seeded by how many there were: a search that was cut off and goes on proposes what
        # it would have, where one sampler begun anew would propose its first trials again.
        nth = sum(trial.state != optuna.trial.TrialState.FAIL for trial in self._study.trials)
        seed = (int(self.about["seed"]) * 1_000_003 + nth) % 2**32
        self._study.sampler = optuna.samplers.TPESampler(
            seed=seed, n_startup_trials=_RANDOM, multivariate=True, constant_liar=True
        )
        trial = self._study.ask()
        positions: Positions = {
            axis.name: trial.suggest_float(axis.name, axis.low, axis.high, step=axis.step) for axis in self._space
        }
        self._open[trial.number] = trial
        return trial.number, values(self._space, positions)

    def hopeless(self, number: int, loss: float, share: float) -> bool:
        """Report a trial's evaluation; whether at its best it is worse than two thirds of the others were by then.

        Args:
            number: the trial's.
            loss: its validation loss, nats per token.
            share: of its time, in [0, 1].
        """
        trial = self._open[number]
        stage = int(share * STAGES)
        reported = len(self._study.get_trials(deepcopy=False)[number].intermediate_values)
        for each in range(reported + 1, stage + 1):  # also those it had no evaluation in
            trial.report(loss, each)
        return 0 < reported + 1 <= stage < STAGES and trial.should_prune()

    def tell(self, number: int, told: Trial) -> None:
        """Record a trial's end."""
        import optuna

        trial = self._open.pop(number)
        if told.state == "interrupted":
            self._again(number, trial.params)
            return
        for name in ("bits_per_char", "seconds", "reason", "loss"):
            trial.set_user_attr(name, getattr(told, name))
        if told.state == "finished":
            self._study.tell(number, told.loss)
            return
        if told.state == "failed":
            trial.set_user_attr("failed", True)
        self._study.tell(number, state=optuna.trial.TrialState.PRUNED)

    def trials(self) -> list[Trial]:
        """All that have ended, in their order."""
        return [_told(trial, self._space) for trial in self._study.trials if trial.state.is_finished()]

    def best(self) -> Trial | None:
        """Of those that ran to their end, the one with the lowest loss; of equals the first."""
        finished = [trial for trial in self.trials() if trial.state == "finished" and trial.loss is not None]
        return min(finished, key=lambda trial: trial.loss or 0.0, default=None)

    def _again(self, number: int, params: dict[str, Any]) -> None:
        import optuna

        self._study.enqueue_trial(params)
        self._study.tell(number, state=optuna.trial.TrialState.FAIL)


@contextmanager
def opened(folder: Path, about: dict[str, Any]) -> Iterator[Study]:
    """The search of a folder, begun or gone on with.

    Args:
        folder: where its file is, or will be.
        about: what the search is of, for one that begins.

    Raises:
        CorruptError: there is a file that is no search's.
        StorageError: the disk is full or closed.
    """
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    path = folder / FILE
    storage = None
    try:
        storage = optuna.storages.RDBStorage(f"sqlite:///{quote(str(path.absolute()))}")
        pruner = optuna.pruners.PercentilePruner(_HOPEFUL, n_startup_trials=_COMPARED, n_warmup_steps=_WARMUP_STAGES)
        study = optuna.create_study(storage=storage, study_name="charlstm", load_if_exists=True, pruner=pruner)
        kept = study.user_attrs.get("about")
        if kept is None:
            study.set_user_attr("about", about)
    except Exception as fault:  # sqlalchemy's, alembic's and optuna's own
        if storage is not None:
            storage.engine.dispose()
        if _is_of_the_disk(fault):
            raise StorageError("the search cannot be opened", where=path, hint=_MENDED) from fault
        hint = "Choose another --name, or remove that folder by hand."
        raise CorruptError("not a search that can go on", where=path, hint=hint) from fault
    try:
        yield Study(study, kept or about)
    except optuna.exceptions.StorageInternalError as fault:
        raise StorageError("what the search found cannot be kept", where=path, hint=_MENDED) from fault
    finally:
        storage.remove_session()
        storage.engine.dispose()


def _is_of_the_disk(fault: BaseException) -> bool:
    """Whether SQLite could not read or write a file that may well be a search's."""
    chain: BaseException | None = fault
    while chain is not None:
        cause = getattr(chain, "orig", chain)  # sqlalchemy wraps SQLite's own
        code = getattr(cause, "sqlite_errorcode", None)
        if code is not None:
            return code & 0xFF in _OF_THE_DISK
        chain = chain.__cause__ or chain.__context__
    return False


def _told(trial: optuna.trial.FrozenTrial, space: tuple[Axis, ...]) -> Trial:
    import optuna

    known = trial.user_attrs
    states = {optuna.trial.TrialState.COMPLETE: "finished", optuna.trial.TrialState.PRUNED: "pruned"}
    state: Any = "failed" if known.get("failed") else states.get(trial.state, "interrupted")
    whole = all(axis.name in trial.params for axis in space)  # a kill may come before all were drawn
    settings = values(space, trial.params) if whole else {}
    return Trial(
        trial.number,
        state,
        known.get("loss"),
        known.get("bits_per_char"),
        float(known.get("seconds", 0.0)),
        settings,
        changed(space, settings) if whole else {},
        str(known.get("reason", "")),
    )
