"""``metrics.jsonl``: the events of a run, one per line, over all its sessions."""

from __future__ import annotations

import json
import os
import time
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import TextIO

from charlstm.errors import StorageError
from charlstm.events import Event, Notice, StepDone, to_json
from charlstm.files import storage_error, write_atomically

_STEP_EVERY = 1.0
"""Seconds between recorded steps: days of training make megabytes, not gigabytes."""


class MetricsLog:
    """A context manager that appends events to a file. A file that cannot be written never stops the training.

    Args:
        path: the file; it need not exist.
        step: the last step to keep. Later events, of a session that was killed, are dropped: training repeats them.
    """

    def __init__(self, path: Path, step: int) -> None:
        self._path = path
        self._step = step
        self._last_step = -_STEP_EVERY
        self._file: TextIO | None = None
        self._unreported: StorageError | None = None

    def __enter__(self) -> MetricsLog:
        self._begin()
        return self

    def _begin(self) -> None:
        """Open the file for what follows after `self._step`."""
        try:
            self._drop_lines_after_step()
            self._file = self._path.open("a", encoding="utf-8")
        except StorageError as fault:
            self._give_up(fault)
        except OSError as fault:
            self._give_up(storage_error(self._path, fault, "cannot be written"))

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, tb: TracebackType | None) -> None:
        self._close()

    def write(self, event: Event) -> Notice | None:
        """Append an event; of step events at most one per second.

        An event of an earlier step than those before it takes their place: training has gone back.

        Returns:
            A notice the first time that writing fails, after which no event is recorded; otherwise None.
        """
        if event.step < self._step and self._file is not None:
            self._close()
            self._step = event.step
            self._begin()
        self._step = event.step
        if not isinstance(event, StepDone) or self._is_step_due():
            try:
                self._append(to_json(event))
            except OSError as fault:
                self._give_up(storage_error(self._path, fault, "cannot be written"))
        unreported, self._unreported = self._unreported, None
        if unreported is None:
            return None
        return Notice(event.step, f"{unreported} Training continues, but its events are no longer recorded.")

    def _append(self, line: str) -> None:
        if self._file is not None:
            self._file.write(line + "\n")
            self._file.flush()

    def _is_step_due(self) -> bool:
        now = time.monotonic()
        if now - self._last_step < _STEP_EVERY:
            return False
        self._last_step = now
        return True

    def _give_up(self, fault: StorageError) -> None:
        self._unreported = fault
        self._close()

    def _close(self) -> None:
        file, self._file = self._file, None
        if file is not None:
            with suppress(OSError):  # what could not be written is still in its buffer
                file.close()

    def _drop_lines_after_step(self) -> None:
        if not os.path.lexists(self._path):
            return
        if self._path.is_symlink() or not self._path.is_file():  # it may lead elsewhere; opening a pipe would block
            raise StorageError("cannot be written: not a plain file", where=self._path, hint="Remove it.")
        lines = self._path.read_bytes().splitlines(keepends=True)
        write_atomically(self._path, b"".join(line for line in lines if self._is_kept(line)))

    def _is_kept(self, line: bytes) -> bool:
        try:
            event = json.loads(line)
        except (ValueError, RecursionError):  # truncated when the process was killed, or not JSON
            return False
        step = event.get("step", 0) if isinstance(event, dict) else None
        return line.endswith(b"\n") and isinstance(step, int) and step <= self._step
