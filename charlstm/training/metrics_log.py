"""``metrics.jsonl``: the events of a run, one a line, over all its sessions."""

from __future__ import annotations

import json
import time
from pathlib import Path
from types import TracebackType
from typing import TextIO

from charlstm.events import Event, StepDone, to_json
from charlstm.files import storage_error, write_atomically

_STEP_EVERY = 1.0
"""Seconds between steps that are written: days of training make megabytes, not gigabytes."""


class MetricsLog:
    """Appends events to a file while it is entered.

    Args:
        path: of the file; it need not exist.
        step: the last step that counts: what a killed session wrote after it is dropped, for it will be told again.
    """

    def __init__(self, path: Path, step: int) -> None:
        self._path = path
        self._step = step
        self._last_step = -_STEP_EVERY
        self._file: TextIO | None = None

    def __enter__(self) -> MetricsLog:
        try:
            if self._path.exists():
                lines = self._path.read_bytes().splitlines(keepends=True)
                write_atomically(self._path, b"".join(line for line in lines if self._counts(line)))
            self._file = self._path.open("a", encoding="utf-8")
        except OSError as fault:
            raise storage_error(self._path, fault, "cannot be written") from fault
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, tb: TracebackType | None) -> None:
        if self._file is not None:
            self._file.close()

    def write(self, event: Event) -> None:
        """Append an event; of the steps only one a second.

        Raises:
            StorageError: the disk is full or gone.
        """
        now = time.monotonic()
        if isinstance(event, StepDone):
            if now - self._last_step < _STEP_EVERY:
                return
            self._last_step = now
        assert self._file is not None
        try:
            self._file.write(to_json(event) + "\n")
            self._file.flush()
        except OSError as fault:
            raise storage_error(self._path, fault, "cannot be written") from fault

    def _counts(self, line: bytes) -> bool:
        try:
            return line.endswith(b"\n") and json.loads(line).get("step", 0) <= self._step
        except ValueError:  # the line a kill cut short
            return False
