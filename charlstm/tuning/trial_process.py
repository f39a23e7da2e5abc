"""The search's side of a trial: a worker process, and a thread that puts its messages into a queue.

A trial that runs out of memory, crashes or is killed harms only itself. In turn, however the search ends, the worker's
standard input ends with it, and the worker saves and stops.
"""

from __future__ import annotations

import contextlib
import math
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from queue import Queue
from typing import Any, TypeAlias

from charlstm.errors import StorageError
from charlstm.events import EvalDone, Stopped
from charlstm.tuning.protocol import Message, TrialError, TrialSpec, decode, encode

Inbox: TypeAlias = "Queue[tuple[int, Message | None]]"
"""Numbers of trials and their messages; None when a trial will send no more."""

_CREATE_NEW_PROCESS_GROUP = 0x00000200
"""Of the Windows API; `subprocess` defines it there only."""


def worker_command() -> list[str]:
    """Return the command line of a worker."""
    return [sys.executable, "-m", "charlstm.tuning.worker"]


def process_group_options(platform: str = sys.platform) -> dict[str, Any]:
    """Return the arguments of `subprocess.Popen` that keep a terminal's Ctrl-C from a worker: the search decides.

    Args:
        platform: as `sys.platform`. Windows ignores ``start_new_session``.
    """
    if platform == "win32":
        return {"creationflags": _CREATE_NEW_PROCESS_GROUP}
    return {"start_new_session": True}


class TrialProcess:
    """A trial whose worker process runs.

    Args:
        number: the trial's number.
        spec: what the worker trains.
        inbox: receives the worker's messages.

    Attributes:
        best: the worker's best evaluation so far.

    Raises:
        StorageError: the system cannot start another process.
    """

    def __init__(self, number: int, spec: TrialSpec, inbox: Inbox) -> None:
        self.number = number
        self.best: EvalDone | None = None
        self._stopped: Stopped | None = None
        self._error: TrialError | None = None
        self._last_line = ""
        self._start = time.monotonic()
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115 - closed by `end`; a pipe nobody reads would fill up
        try:
            self._process = subprocess.Popen(
                worker_command(),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._stderr,
                **process_group_options(),
            )
        except OSError as error:
            self._stderr.close()
            what = f"no process can be started for a trial ({error.strerror})"
            raise StorageError(what, where=Path(spec.root)) from error
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):  # a worker that has already died is reported by `failure`
            self._process.stdin.write(encode(spec))
            self._process.stdin.flush()
        self._reader = threading.Thread(target=self._read, args=(inbox,), daemon=True)
        self._reader.start()

    @property
    def seconds(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self._start

    @property
    def error_code(self) -> int:
        """The exit code of the `CharlstmError` that ended the trial; 0 if none did."""
        return self._error.exit_code if self._error is not None else 0

    def record(self, message: Message) -> None:
        """Keep a message of the worker that `best` or `failure` needs."""
        if isinstance(message, EvalDone) and is_finite(message.val_loss) and message.best:
            self.best = message
        elif isinstance(message, Stopped):
            self._stopped = message
        elif isinstance(message, TrialError):
            self._error = message

    def end(self, *, kill: bool = False) -> int:
        """Wait until the worker has ended.

        Args:
            kill: end it now; nothing more is saved.

        Returns:
            Its exit code, negative for a signal.
        """
        if kill:
            self._process.kill()
        code = self._process.wait()
        self._reader.join()
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):
            self._process.stdin.close()
        with self._stderr as stderr:
            stderr.seek(0)
            self._last_line = stderr.read().decode("utf-8", "replace").strip().rpartition("\n")[2]
        return code

    def failure(self, code: int) -> str:
        """Return why a trial that has ended failed; empty if it did not.

        Args:
            code: its exit code, as returned by `end`.
        """
        if self._error is not None:
            return self._error.message
        if self._stopped is not None and self._stopped.reason == "diverged":
            return self._stopped.message
        if code < 0:
            return f"killed by signal {-code}; perhaps the machine ran out of memory"
        if code > 0:
            return self._last_line or f"ended with exit code {code}"
        return "" if self._stopped is not None and self.best is not None else "ended before an evaluation"

    def _read(self, inbox: Inbox) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as lines:
            for line in lines:
                with contextlib.suppress(ValueError):  # a line that a kill cut short, or another library printed
                    inbox.put((self.number, decode(line)))
        inbox.put((self.number, None))


def is_finite(value: float | None) -> bool:
    """Return whether an event's number is finite; JSON holds None for one that is not."""
    return value is not None and math.isfinite(value)
