"""When a training does what: the share of its budget that is used, and what is due at it.

::

    start │ evaluation │ step step step … evaluation … step step … preview … save … step │ evaluation, min-p, save │ end
          └ of a network that was trained before                                         └ the reserve ────────────┘

A budget of time holds for the whole command, so that the schedule of the learning rate ends before it does: a reserve
is kept for what comes before the steps and after them.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from charlstm.config import TrainConfig
from charlstm.training.budget import TrainingClock, progress
from charlstm.training.snapshot import Cursor

_PREVIEW_EVERY = 0.1
"""Share of the budget between previews, and before the first one: an untrained network writes only spaces."""
_LATEST_START = 0.99
"""The share of the budget at which the schedule begins, at the latest."""
_NEARLY_OVER = 0.97
"""Share of the budget after which nothing is evaluated or shown, because the end is near."""
_EVALUATIONS = 20
"""Evaluations in a time budget, unless they would take more than their share of it."""
_EVALUATION_SHARE, _VALIDATION_SHARE = 0.03, 0.015
"""The most of a time budget that all evaluations take, but for the last; and that scoring the validation text takes."""
_WRITING_SHARE = 0.03
"""The most of a time budget that is spent on the min-p with which the network writes best."""
_SAVE_EVERY, _SAVE_SHARE = 30.0, 0.02
"""Seconds between saves of what is needed to resume, and the most of the time that they take, but for the last."""


class Timetable:
    """The time of one run in this session.

    Args:
        config: the settings of training.
        passes: returns the passes over the text before a batch, by its epoch and number: `Batches.passes`.
        cursor: where the run stands.
        spent: seconds that the command has taken up to now.
        agree: makes one figure of those of all processes.

    Attributes:
        clock: the seconds of training over all sessions.
    """

    def __init__(
        self,
        config: TrainConfig,
        passes: Callable[[int, int], float],
        cursor: Cursor,
        *,
        spent: float,
        agree: Callable[[float], float],
    ) -> None:
        self._config, self._passes, self._agree = config, passes, agree
        self.clock = TrainingClock(cursor.seconds)
        self._spent, self._least_reserve = spent, cursor.reserve
        self._took = {"evaluation": 0.0, "preview": 0.0, "save": 0.0}  # seconds, the last time
        self._last_preview = self.share(cursor)

    # ---- how much is used --------------------------------------------------------------------------------------------

    def share(self, cursor: Cursor) -> float:
        """Return the share of the budget that is used, in [0, 1]."""
        return progress(
            self._config,
            seconds=self.clock.seconds,
            steps=cursor.step,
            epochs=self._passes(cursor.epoch, cursor.index),
            reserve=self.reserve,
        )

    def start_schedule(self, cursor: Cursor) -> None:
        """Let the schedule of the learning rate begin here, at the first step.

        A schedule that had begun before would cut off the beginning of the warm-up.
        """
        cursor.first_share = min(self.share(cursor), _LATEST_START)

    def schedule_share(self, cursor: Cursor) -> float:
        """Return the share of the schedule that is done, in [0, 1]."""
        return max(0.0, (self.share(cursor) - cursor.first_share) / (1.0 - cursor.first_share))

    @property
    def reserve(self) -> float:
        """The seconds of a time budget that are not for training.

        They are never fewer than at the end of the last session: a run that has used up its budget stays finished.
        """
        writing = _WRITING_SHARE * (self._config.max_time or 0.0)
        return max(self._least_reserve, self._spent + self._took["evaluation"] + self._took["save"] + writing)

    @contextmanager
    def doing(self, work: str) -> Iterator[None]:
        """Count the time of a ``with`` block as training time, and remember it as that of such work.

        Args:
            work: ``evaluation``, ``preview`` or ``save``.
        """
        start = time.perf_counter()
        yield
        self._took[work] = self._agree(time.perf_counter() - start)
        self.clock.add(self._took[work])

    # ---- what is due -------------------------------------------------------------------------------------------------

    def evaluation_due(self, cursor: Cursor, *, before_first_step: bool) -> bool:
        """Return whether to evaluate now.

        Args:
            cursor: where the run stands.
            before_first_step: whether there is something to evaluate before it.
        """
        share = self.share(cursor)
        if cursor.evaluated == cursor.step or share >= _NEARLY_OVER:
            return False
        if not cursor.step:
            return before_first_step
        if self._config.eval_every is not None:
            return cursor.step % self._config.eval_every == 0
        interval = 1 / _EVALUATIONS
        if self._config.max_time is not None:
            interval = max(interval, self._took["evaluation"] / (_EVALUATION_SHARE * self._config.max_time))
        return share >= cursor.evaluated_share + interval

    def preview_due(self, cursor: Cursor) -> bool:
        """Return whether to show what the network writes, if that is wanted."""
        return self._last_preview + _PREVIEW_EVERY <= self.share(cursor) < _NEARLY_OVER

    def too_early_for_preview(self, cursor: Cursor) -> bool:
        """Return whether the network has learnt too little to be shown."""
        return self.share(cursor) < _PREVIEW_EVERY

    def previewed(self, cursor: Cursor) -> None:
        """Take note that the network was shown."""
        self._last_preview = self.share(cursor)

    @property
    def save_interval(self) -> float:
        """The seconds between saves of what is needed to resume."""
        return self._config.save_every or max(_SAVE_EVERY, self._took["save"] / _SAVE_SHARE)

    @property
    def validation_seconds(self) -> float:
        """The seconds that scoring the validation text may take."""
        return _VALIDATION_SHARE * (self._config.max_time or math.inf)

    @property
    def writing_seconds(self) -> float:
        """The seconds that may be spent on the min-p with which the network writes best."""
        return _WRITING_SHARE * (self._config.max_time or math.inf)
