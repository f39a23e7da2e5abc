"""Sharing a busy machine: fewer threads while other programs want the cores.

Threads that compute together wait for each other at every product of a recurrence. When one of them loses its core to
another program, all wait for the scheduler, thousands of times a second: with one busy neighbour on two cores a step
was seen to take a hundred times as long, while half the threads took twice as long.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable

_FIRST_WAIT, _LONGEST_WAIT = 4.0, 60.0
"""Seconds with half the threads until all are tried again; the wait doubles while that is in vain."""


class Threads:
    """Goes to half the threads when steps take longer with all of them, and back.

    Args:
        most: all of them.
        use: takes a number of threads, which all that follows shall have.
        adapt: whether to do anything; what must be the same to the last bit may not, where another number of threads
            adds numbers up in another order.
        steps: so many steps are enough to judge a number of threads,
        seconds: or so many seconds of them.

    Attributes:
        now: the number of threads at the moment.
        half: the other number.
    """

    def __init__(
        self, most: int, use: Callable[[int], object], *, adapt: bool = True, steps: int = 6, seconds: float = 0.5
    ) -> None:
        self.now = self._most = most
        self.half = max(1, most // 2)
        self._use = use
        self._adapt = adapt and most > 1
        self._steps, self._seconds = steps, seconds
        self._latest: dict[int, float] = {}
        self._times: list[float] = []
        self._wait = _FIRST_WAIT
        self._retry = 0.0

    def after_step(self, seconds: float) -> None:
        """Take in how long a step took, and change the number of threads where that helps."""
        if not self._adapt:
            return
        self._times.append(seconds)
        if len(self._times) < self._steps and sum(self._times) < self._seconds:
            return
        now = time.monotonic()
        mean = self._latest[self.now] = sum(self._times) / len(self._times)
        self._times.clear()
        if self.now == self._most:
            if mean > self._latest.get(self.half, 0.0):
                self._change(self.half)
                self._retry = now + self._wait
                self._wait = min(2 * self._wait, _LONGEST_WAIT)
        elif mean > self._latest[self._most] or now >= self._retry:
            if mean > self._latest[self._most]:
                self._wait = _FIRST_WAIT
            self._change(self._most)

    def _change(self, threads: int) -> None:
        self.now = threads
        self._use(threads)


def cores() -> int:
    """The processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
