"""Scratch arrays of a step, reused from step to step, separate for each thread."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

_MOST = 8
"""The number of different batch sizes for which a thread keeps its buffers."""


class BufferCache(threading.local):
    """Buffers by batch size."""

    def __init__(self) -> None:
        self._by_rows: dict[tuple[int, ...], Any] = {}

    def get(self, rows: tuple[int, ...], make: Callable[[tuple[int, ...]], Any]) -> Any:
        """Return this thread's buffers for a batch size, created on first use.

        Args:
            rows: ``(B,)``, or ``()`` for a single text without a batch axis.
            make: creates the buffers for ``rows``.

        Returns:
            What ``make`` returned.
        """
        buffers = self._by_rows.get(rows)
        if buffers is None:
            if len(self._by_rows) == _MOST:
                self._by_rows.clear()
            buffers = self._by_rows[rows] = make(rows)
        return buffers
