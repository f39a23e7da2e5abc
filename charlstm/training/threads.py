"""Sharing a busy machine: fewer threads while other programs want the cores.

Threads that compute together wait for each other at every step of a recurrence. When one of them loses its core to
another program, all wait for the scheduler, hundreds of times a window: with one busy neighbour on two cores a window
was seen to take a hundred times as long, while half the threads took twice as long.
"""

from __future__ import annotations

import time

import torch

_STEPS = 6
_SECONDS = 0.5
"""So many steps, or so many seconds of them, are enough to judge a number of threads."""
_FIRST_WAIT, _LONGEST_WAIT = 4.0, 60.0
"""Seconds with half the threads until all are tried again; the wait doubles while that is in vain."""


class Threads:
    """Goes to half the CPU threads when steps take longer with all of them, and back.

    Args:
        adapt: whether to do anything; a run that must be the same to the last bit may not, since another number of
            threads adds numbers up in another order.
    """

    def __init__(self, adapt: bool) -> None:
        self._all = torch.get_num_threads()
        self._half = max(1, self._all // 2)
        self._adapt = adapt and self._all > 1
        self._latest: dict[int, float] = {}
        self._times: list[float] = []
        self._wait = _FIRST_WAIT
        self._retry = 0.0

    def after_step(self, seconds: float) -> None:
        """Take in how long a step took, and change the number of threads where that helps."""
        if not self._adapt:
            return
        self._times.append(seconds)
        if len(self._times) < _STEPS and sum(self._times) < _SECONDS:
            return
        threads, now = torch.get_num_threads(), time.monotonic()
        mean = self._latest[threads] = sum(self._times) / len(self._times)
        self._times.clear()
        if threads == self._all:
            if mean > self._latest.get(self._half, 0.0):
                torch.set_num_threads(self._half)
                self._retry = now + self._wait
                self._wait = min(2 * self._wait, _LONGEST_WAIT)
        elif mean > self._latest[self._all] or now >= self._retry:
            if mean > self._latest[self._all]:
                self._wait = _FIRST_WAIT
            torch.set_num_threads(self._all)

    def restore(self) -> None:
        """All threads again, for whoever computes next."""
        if self._adapt:
            torch.set_num_threads(self._all)
