"""Arrays that a step computes in, kept from step to step, for each thread its own."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

_MOST = 8
"""For so many different numbers of texts a thread keeps its buffers."""


class BufferCache(threading.local):
    """Buffers by the number of texts stepped side by side."""

    def __init__(self) -> None:
        self._by_rows: dict[tuple[int, ...], Any] = {}

    def get(self, rows: tuple[int, ...], make: Callable[[tuple[int, ...]], Any]) -> Any:
        """This thread's buffers, made when they are first needed.

        Args:
            rows: ``(B,)``, or ``()`` for one text alone.
            make: makes them for so many texts.
        """
        buffers = self._by_rows.get(rows)
        if buffers is None:
            if len(self._by_rows) == _MOST:
                self._by_rows.clear()
            buffers = self._by_rows[rows] = make(rows)
        return buffers
