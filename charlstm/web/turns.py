"""Requests that compute take turns: one network steps at a time, and who has had least goes first.

Each request has a thread of its own, so that what it calls (the sampler, the search for blanks) is plain code. Before
every step of a network it asks for its turn. There it waits while another request has had less, and there it ends once
its client is gone. So a request that has just come is answered at once, whatever long ones are under way, and a closed
connection costs no more than the step that is being taken. Who asks for much text waits as if it had had some of it
already: else many that come at once, and want all there is, would go before one that wants a word.
"""

from __future__ import annotations

import asyncio
import heapq
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import numpy as np

from charlstm.errors import CharlstmError, UsageError

PLACES = 64
"""Requests under way, at most."""
SLICE = 0.008
"""Seconds after which a turn passes on."""
LONGEST = 30.0
"""Seconds that one request may compute."""

_TOKEN = 2e-5
"""Seconds that a token counts for before it is drawn: fewer than it takes, so that nobody waits for ever."""
_LOOK = 0.1
"""Seconds after which one that waits for a lock looks whether it is still wanted."""

CLOSING = "the server is being ended"

Part = bytes | Exception | None
"""A piece of an answer; what went wrong; or None, the end."""


class Busy(CharlstmError):  # noqa: N818 - clear without the suffix
    """There is no place for one more request."""


class Closing(CharlstmError):  # noqa: N818
    """The server is being ended."""


class Stopped(Exception):  # noqa: N818 - no error: whoever asked is gone
    """The answer is no longer wanted."""


class Job:
    """The work for one request.

    Args:
        turns: where it takes its turns.
        number: of the request.
        deliver: called with each part of the answer, in the thread that the answer is sent in.

    Attributes:
        stopped: whether the answer is no longer wanted.
        seconds: for which it has computed before its present turn.
        tokens: that it is to draw, of all rows together.
        since: when that began.
        turn: released when it may go on.
        media_type: of the answer; to be set before its first part.
        pause: seconds to wait after each part.
    """

    def __init__(self, turns: Turns, number: int, deliver: Callable[[Part], object]) -> None:
        self.stopped, self.seconds, self.since, self.tokens = False, 0.0, 0.0, 0
        self.turn = threading.Semaphore(0)
        self.media_type, self.pause = "application/json", 0.0
        self.number = number
        self._turns, self._deliver = turns, deliver
        self._loop = asyncio.get_running_loop()

    def __lt__(self, other: Job) -> bool:
        return (self._had, self.number) < (other._had, other.number)

    @property
    def _had(self) -> float:
        return self.seconds + self.tokens * _TOKEN

    def breathe(self) -> None:
        """Wait for a turn, unless it has one.

        Raises:
            Stopped: the answer is no longer wanted.
            UsageError: it has computed for too long.
        """
        self._turns.take(self)
        if self.stopped:
            raise Stopped
        if self.seconds > LONGEST:
            what = f"this takes more than {LONGEST:.0f} seconds of computing"
            raise UsageError(what, hint="Ask for less at a time.")

    @contextmanager
    def holding(self, lock: threading.Lock) -> Iterator[None]:
        """Hold a lock in a ``with`` block, for what one does at a time and cannot be stopped; meanwhile others compute.

        Raises:
            Stopped: the answer is no longer wanted, and the lock was not free yet.
        """
        self._turns.leave(self)
        while not lock.acquire(timeout=_LOOK):
            if self.stopped:
                raise Stopped
        try:
            yield
        finally:
            lock.release()

    def send(self, part: Part) -> None:
        """Send the next part of the answer."""
        with suppress(RuntimeError):  # the server has ended
            self._loop.call_soon_threadsafe(self._deliver, part)


Work = Callable[[Job], bytes | None]
"""What a request asks for. It returns the whole answer, or None if it has sent it in parts."""


class Turns:
    """Whose turn it is."""

    def __init__(self) -> None:
        self.closing = False
        self._lock = threading.Lock()
        self._jobs: set[Job] = set()
        self._waiting: list[Job] = []
        self._running: Job | None = None
        self._count = 0

    def __len__(self) -> int:
        return len(self._jobs)

    def begin(self, work: Work, deliver: Callable[[Part], object]) -> Job:
        """Begin the work for a request, in a thread of its own.

        Args:
            work: what to do.
            deliver: as in `Job`.

        Returns:
            The job.

        Raises:
            Busy: too many are under way.
            Closing: the server is being ended.
        """
        with self._lock:
            if self.closing:
                raise Closing(CLOSING)
            if len(self._jobs) >= PLACES:
                raise Busy(f"{PLACES} requests are under way already", hint="Try again in a moment.")
            self._count += 1
            job = Job(self, self._count, deliver)
            self._jobs.add(job)
        threading.Thread(target=self._run, args=(job, work), daemon=True).start()
        return job

    def stop(self, job: Job) -> None:
        """Stop a job; it ends before its next step."""
        job.stopped = True
        job.turn.release()

    def close(self) -> None:
        """Stop all jobs, and begin no other."""
        with self._lock:
            self.closing = True
            jobs = list(self._jobs)
        for job in jobs:
            self.stop(job)

    def take(self, job: Job) -> None:
        """Return when it is this job's turn, or when it was stopped."""
        now = time.perf_counter()
        mine = self._running is job
        if mine and now - job.since < SLICE:
            return
        with self._lock:
            if mine:
                job.seconds += now - job.since
            if mine or self._running is not None:
                heapq.heappush(self._waiting, job)
            if mine:
                self._pass_on()
            elif self._running is None:
                self._give(job)
        job.turn.acquire()

    def leave(self, job: Job) -> None:
        """Give up a job's turn, if it has it."""
        with self._lock:
            if self._running is job:
                job.seconds += time.perf_counter() - job.since
                self._pass_on()

    def _give(self, job: Job) -> None:
        self._running, job.since = job, time.perf_counter()
        job.turn.release()

    def _pass_on(self) -> None:
        """Give the turn to the waiting job that has had least, if there is one."""
        self._running = None
        while self._waiting and self._running is None:
            job = heapq.heappop(self._waiting)
            if not job.stopped:
                self._give(job)

    def _run(self, job: Job, work: Work) -> None:
        answer: Part = None
        try:
            with np.errstate(over="ignore", invalid="ignore"):  # an error says more of a network that diverged
                answer = work(job)
        except Stopped:
            answer = Closing(CLOSING) if self.closing else None
        except Exception as fault:
            answer = fault
        finally:
            self.leave(job)
            with self._lock:
                self._jobs.remove(job)
        if answer is not None:
            job.send(answer)
        job.send(None)
