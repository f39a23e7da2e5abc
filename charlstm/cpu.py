"""CPU cores and threads: the cores this process may use, and fewer threads while other programs use them too.

Threads that compute together wait for each other at every matrix product of a recurrence. When one of them loses its
core to another program, all wait for the scheduler, thousands of times a second: with one busy neighbour on two cores
a step took up to a hundred times as long, while half the threads took twice as long.
"""

from __future__ import annotations

import math
import os
import platform
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

_FIRST_WAIT, _LONGEST_WAIT = 4.0, 60.0
"""Seconds with half the threads before all are tried again; the wait doubles each time that does not help."""


class AdaptiveThreads:
    """Halves the number of threads while that makes steps faster, and then returns to all of them.

    Args:
        max_threads: the number of threads on an idle machine.
        set_num_threads: called with the number of threads that all further computation should use.
        enabled: False keeps `max_threads` throughout. Results that must be equal to the last bit need this, because
            another number of threads adds numbers up in another order.
        min_steps: steps that are enough to judge a number of threads.
        min_seconds: seconds of steps that are enough instead.

    Attributes:
        num_threads: the current number of threads.
        half_threads: the smaller of the two numbers it chooses from.
    """

    def __init__(
        self,
        max_threads: int,
        set_num_threads: Callable[[int], object],
        *,
        enabled: bool = True,
        min_steps: int = 6,
        min_seconds: float = 0.5,
    ) -> None:
        self.num_threads = self._max_threads = max_threads
        self.half_threads = max(1, max_threads // 2)
        self._set_num_threads = set_num_threads
        self._enabled = enabled and max_threads > 1
        self._min_steps, self._min_seconds = min_steps, min_seconds
        self._mean_seconds: dict[int, float] = {}  # of the latest steps, by number of threads
        self._times: list[float] = []
        self._wait = _FIRST_WAIT
        self._retry_at = 0.0

    def after_step(self, seconds: float) -> None:
        """Record how many seconds a step took, and change the number of threads where that helps."""
        if not self._enabled:
            return
        self._times.append(seconds)
        if len(self._times) < self._min_steps and sum(self._times) < self._min_seconds:
            return
        now = time.monotonic()
        mean = self._mean_seconds[self.num_threads] = sum(self._times) / len(self._times)
        self._times.clear()
        if self.num_threads == self._max_threads:
            if mean > self._mean_seconds.get(self.half_threads, 0.0):
                self._change(self.half_threads)
                self._retry_at = now + self._wait
                self._wait = min(2 * self._wait, _LONGEST_WAIT)
        elif mean > self._mean_seconds[self._max_threads] or now >= self._retry_at:
            if mean > self._mean_seconds[self._max_threads]:
                self._wait = _FIRST_WAIT
            self._change(self._max_threads)

    def _change(self, num_threads: int) -> None:
        self.num_threads = num_threads
        self._set_num_threads(num_threads)


def cores(root: Path = Path("/")) -> int:
    """Return the number of CPU cores that this process may use, at least 1.

    These are the cores of its affinity mask, or fewer where the CPU quota of its control group is smaller, as in a
    container. A quota is rounded down, as Rust's `std::thread::available_parallelism` does: more threads would use it
    up early, and all of them would be stopped for the rest of each period.

    Args:
        root: the folder that holds ``proc`` and ``sys``.
    """
    available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = min(_cgroup_quotas(root), default=math.inf)
    return available if quota >= available else max(1, int(quota))


def idle_cores() -> int:
    """Return the number of cores that no other program has used in the last minute, at least 1."""
    if not hasattr(os, "getloadavg"):
        return cores()
    return max(1, round(cores() - os.getloadavg()[0]))


def processor(root: Path = Path("/")) -> str:
    """Return the model of the processor, such as ``AMD EPYC 7763 64-Core Processor``; its architecture if unknown.

    Args:
        root: the folder that holds ``proc``.
    """
    with suppress(OSError):
        for line in root.joinpath("proc/cpuinfo").read_text("utf-8", "replace").splitlines():
            name, _, value = line.partition(":")
            if name.strip() == "model name" and value.strip():
                return value.strip()
    return platform.processor() or platform.machine() or "unknown"


def _cgroup_quotas(root: Path) -> Iterator[float]:
    """The CPU quotas, in cores, of this process's control groups and all groups above them."""
    mount = root / "sys/fs/cgroup"
    with suppress(OSError, ValueError):
        for line in root.joinpath("proc/self/cgroup").read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            if not controllers:
                hierarchies = [mount, mount / "unified"]
            elif "cpu" in controllers.split(","):
                hierarchies = [mount / controllers, mount / "cpu"]
            else:
                continue
            for hierarchy in hierarchies:
                # Inside a container the path may be the host's: then only the mounted root itself can be found.
                group = hierarchy / path.lstrip("/")
                groups = [group, *(parent for parent in group.parents if parent.is_relative_to(hierarchy))]
                yield from map(_quota_v1 if controllers else _quota_v2, groups)


def _quota_v2(group: Path) -> float:
    """Cores from ``cpu.max``: ``max 100000`` is no limit, ``150000 100000`` are 1.5 cores."""
    with suppress(OSError, ValueError, ZeroDivisionError):
        quota, period = group.joinpath("cpu.max").read_text().split()
        return int(quota) / int(period)
    return math.inf


def _quota_v1(group: Path) -> float:
    """Cores from ``cpu.cfs_quota_us``, where -1 is no limit, and ``cpu.cfs_period_us``."""
    with suppress(OSError, ValueError, ZeroDivisionError):
        quota, period = (int(group.joinpath(f"cpu.cfs_{name}_us").read_text()) for name in ("quota", "period"))
        return quota / period if quota > 0 else math.inf
    return math.inf
