"""The trials of a search: stored on disk, proposed, and compared to stop the hopeless ones early.

Optuna stores the trials and proposes settings. In its terms a trial that failed by itself is PRUNED, and we mark it as
failed: FAIL would hide it from the sampler, which would try the same again, while pruned trials rank behind all that
finished. FAIL is a trial that was cut off with the search: its result is unknown, and its settings are tried again.
"""

from __future__ import annotations

import math
import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from charlstm.schemas import parse, to_plain
from charlstm.tuning import space
from charlstm.tuning.events import Trial, TrialState
from charlstm.tuning.identity import SearchIdentity
from charlstm.tuning.space import Axis
from charlstm.tuning.study_file import open_storage, translated_errors

if TYPE_CHECKING:
    import optuna

_NAME = "charlstm"
_STAGES = 10
"""Trials are compared at tenths of their time, by when they have done very different numbers of steps."""
_WARMUP_STAGES = 4
"""A wide network or a high learning rate starts slowly: no trial is pruned before this many tenths."""
_MIN_COMPARED = 3
"""Finished trials before any is pruned."""
_KEPT_PERCENT = 67.0
"""Share of trials that are not pruned. Not half, as is usual: trials with a high learning rate catch up at the end,
when it falls, and so do wide networks."""
RANDOM_TRIALS = 6
"""Trials drawn at random, besides the default, before the sampler models which settings are good."""


class Study:
    """The trials of one search; made by `open_study`.

    Args:
        study: optuna's study.
        identity: what the search was started with.
        search_id: the search's own name, for its checkpoints.

    Attributes:
        space: the settings that are varied.
    """

    def __init__(self, study: optuna.Study, identity: SearchIdentity, search_id: str) -> None:
        self._study = study
        self.identity = identity
        self.search_id = search_id
        self.space = space.axes(identity.run, identity.fixed)
        self._running: dict[int, optuna.Trial] = {}

    @property
    def seconds_spent(self) -> float:
        """Seconds of searching, over all sessions."""
        return float(self._study.user_attrs.get("spent", 0.0))

    @seconds_spent.setter
    def seconds_spent(self, seconds: float) -> None:
        self._study.set_user_attr("spent", seconds)

    def requeue_unfinished(self) -> None:
        """Queue the default settings in a new study, and in an old one the trials that a kill cut off."""
        import optuna

        if not self._study.trials:
            self._study.enqueue_trial(space.start(self.space))
        for trial in self._study.get_trials(states=[optuna.trial.TrialState.RUNNING]):
            # Killed before all its settings were drawn, it has some of them only in the queue.
            self._requeue(trial.number, trial.system_attrs.get("fixed_params", {}) | trial.params)

    def ask(self) -> tuple[int, dict[str, Any]]:
        """Return the number of the next trial, and its settings that vary."""
        import optuna

        # A sampler for each trial, seeded by the number of trials before it: a search that is continued proposes the
        # same trials as one that was never stopped. One sampler would start again with its first proposals.
        past = sum(trial.state != optuna.trial.TrialState.FAIL for trial in self._study.trials)
        self._study.sampler = optuna.samplers.TPESampler(
            seed=(self.identity.seed * 1_000_003 + past) % 2**32,
            n_startup_trials=RANDOM_TRIALS,
            multivariate=True,
            constant_liar=True,
        )
        trial = self._study.ask()
        positions = {
            axis.name: trial.suggest_float(axis.name, axis.low, axis.high, step=axis.step) for axis in self.space
        }
        self._running[trial.number] = trial
        return trial.number, space.values(self.space, positions)

    def is_hopeless(self, number: int, loss: float, progress: float) -> bool:
        """Record an evaluation, and compare the trial with others at the same stage.

        Args:
            number: the trial's.
            loss: its validation loss, nats per token.
            progress: share of its time used, in [0, 1].

        Returns:
            Whether its best loss is worse than that of two thirds of the others by then.
        """
        trial = self._running[number]
        stage = int(progress * _STAGES)
        reported = len(self._study.get_trials(deepcopy=False)[number].intermediate_values)
        for each in range(reported + 1, stage + 1):  # a stage without an evaluation has the next one's loss
            trial.report(loss, each)
        return 0 < reported + 1 <= stage < _STAGES and trial.should_prune()

    def skip(self, number: int) -> None:
        """End a trial without a result; its settings are tried again under another number."""
        self._requeue(number, self._running.pop(number).params)

    def record(self, trial: Trial) -> None:
        """Store how a trial ended; the settings of an interrupted one are tried again."""
        import optuna

        if trial.state == "interrupted":
            self.skip(trial.number)
            return
        running = self._running.pop(trial.number)
        for name in ("bits_per_char", "seconds", "reason", "loss"):
            running.set_user_attr(name, getattr(trial, name))
        if trial.state == "finished":
            self._study.tell(trial.number, trial.loss)
            return
        if trial.state == "failed":
            running.set_user_attr("failed", True)
        self._study.tell(trial.number, state=optuna.trial.TrialState.PRUNED)

    def trials(self) -> list[Trial]:
        """Return all trials that have ended, in order."""
        return [_ended(trial, self.space) for trial in self._study.trials if trial.state.is_finished()]

    def best(self) -> Trial | None:
        """Return the finished trial with the lowest loss, of equal ones the first."""
        finished = [trial for trial in self.trials() if trial.state == "finished"]
        return min(finished, key=lambda trial: trial.loss or 0.0, default=None)

    def check(self) -> None:
        """Check everything that is stored, so that a damaged file does not crash the search later.

        Raises:
            ValueError: a value is missing, of the wrong kind, or out of range.
        """
        if [direction.name for direction in self._study.directions] != ["MINIMIZE"]:
            raise ValueError("not a study of one loss to minimise")
        _check_numbers([self.seconds_spent])
        for number, trial in enumerate(self._study.trials):
            if trial.number != number:
                raise ValueError(f"trial {trial.number} in place of trial {number}")
            _check_trial(trial, self.space)

    def _requeue(self, number: int, positions: Mapping[str, float]) -> None:
        import optuna

        self._study.enqueue_trial(dict(positions))
        self._study.tell(number, state=optuna.trial.TrialState.FAIL)


@contextmanager
def open_study(path: Path, identity: SearchIdentity) -> Iterator[Study]:
    """Open the study of a search, or begin a new one.

    Args:
        path: its file.
        identity: what a new search is started with.

    Yields:
        The study; its file is closed at the end of the ``with`` block.

    Raises:
        CorruptError: the file is damaged, or not a search's.
        StorageError: the disk is full, or the file cannot be opened or written.
    """
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    pruner = optuna.pruners.PercentilePruner(
        _KEPT_PERCENT, n_startup_trials=_MIN_COMPARED, n_warmup_steps=_WARMUP_STAGES
    )
    with open_storage(path) as (storage, is_new):
        with translated_errors(path):
            if is_new:
                optuna.create_study(storage=storage, study_name=_NAME, load_if_exists=True)
            stored = optuna.load_study(storage=storage, study_name=_NAME, pruner=pruner)
            if "about" not in stored.user_attrs and not stored.trials:  # new, or killed at this moment
                stored.set_user_attr("about", to_plain(identity))
            if "id" not in stored.user_attrs:  # new, or begun by an older version
                stored.set_user_attr("id", secrets.token_hex(8))
            attributes = stored.user_attrs
            study = Study(stored, parse(SearchIdentity, attributes["about"]), str(attributes["id"]))
            study.check()
        yield study


def _ended(trial: optuna.trial.FrozenTrial, axes: Sequence[Axis]) -> Trial:
    """A trial of optuna's that has ended, as an event holds it."""
    attributes = trial.user_attrs
    pruned: TrialState = "failed" if attributes.get("failed") else "pruned"
    states: dict[str, TrialState] = {"COMPLETE": "finished", "PRUNED": pruned}
    drawn = all(axis.name in trial.params for axis in axes)  # a kill may come before all were
    settings = space.values(axes, trial.params) if drawn else {}
    return Trial(
        trial.number,
        states.get(trial.state.name, "interrupted"),
        attributes.get("loss"),
        attributes.get("bits_per_char"),
        float(attributes.get("seconds", 0.0)),
        settings,
        space.changed(axes, settings) if drawn else {},
        str(attributes.get("reason", "")),
    )


def _check_trial(trial: optuna.trial.FrozenTrial, axes: Sequence[Axis]) -> None:
    """Raise a `ValueError` if a stored trial is not one that `Study` could have stored."""
    if not all(isinstance(key, str) for key in (*trial.system_attrs, *trial.user_attrs)):
        raise ValueError("an attribute without a name")
    ended = _ended(trial, axes)
    queued = trial.system_attrs.get("fixed_params", {})
    by_name = {axis.name: axis for axis in axes}
    for name, position in [*trial.params.items(), *queued.items()]:
        _check_numbers([position])
        if not by_name[name].low <= position <= by_name[name].high:
            raise ValueError(f"{name} is out of range")
    _check_numbers([ended.seconds, *trial.intermediate_values, *trial.intermediate_values.values()])
    _check_numbers([number for number in (ended.loss, ended.bits_per_char) if number is not None])
    if ended.state == "finished" and (ended.loss is None or trial.values != [ended.loss]):
        raise ValueError("a finished trial without its loss")
    if ended.state != "interrupted" and len(ended.settings) != len(axes):
        raise ValueError("an ended trial without its settings")


def _check_numbers(values: Sequence[Any]) -> None:
    if not all(isinstance(value, int | float) and math.isfinite(value) for value in values):
        raise ValueError("a value that is not a finite number")
