"""Training as a notebook shows it: one line of HTML with a bar, rewritten in place, and the last preview below it."""

from __future__ import annotations

import sys
import time
from html import escape
from pathlib import Path
from typing import Any

from charlstm.cli.views.progress import Pace, Status
from charlstm.cli.views.terminal import visible
from charlstm.events import Event, Notice, Preview, StepDone, Stopped

_EVERY = 0.3
"""Seconds between updates."""


def in_notebook() -> bool:
    """Whether this process is the kernel of a notebook; IPython is not imported to find out."""
    ipython = sys.modules.get("IPython")
    shell: Any = ipython.get_ipython() if ipython is not None else None
    return hasattr(shell, "kernel")


class NotebookBar(Status):
    """A bar, the figures of `Status`, notices and the last preview, in a notebook's output cell.

    Args:
        kind: as in `Status`.
        pace: as in `Status`.
        folder: where the run is saved.
    """

    def __init__(self, kind: str, pace: Pace, folder: Path) -> None:
        super().__init__(kind, pace)
        self._folder = folder
        self._share, self._preview, self._end = 0.0, "", ""
        self._notices: list[str] = []

    def __enter__(self) -> NotebookBar:
        from IPython.display import display

        self._handle = display(self, display_id=True)
        self._shown_at = time.monotonic()
        return self

    def __exit__(self, *_: object) -> None:
        self._handle.update(self)

    def show(self, event: Event) -> None:
        """Take an event in, and rewrite the cell if the last time is long enough ago."""
        self.update(event)
        if isinstance(event, StepDone):
            self._share = event.progress
        elif isinstance(event, Preview):
            self._preview = event.text
        elif isinstance(event, Notice):
            self._notices.append(event.text)
        elif isinstance(event, Stopped):
            self._share = 1.0 if event.reason == "finished" else self._share
            self._end = f"{event.reason}; saved in {self._folder}" if event.reason != "diverged" else event.reason
        if time.monotonic() - self._shown_at >= _EVERY:
            self._shown_at = time.monotonic()
            self._handle.update(self)

    def __repr__(self) -> str:
        return " · ".join(filter(None, (f"{self._share:.0%}", self._end or self.speed(), self.score())))

    def _repr_html_(self) -> str:
        """What the cell shows now."""
        parts = [f'<progress value="{self._share:.4f}" max="1"></progress> {escape(repr(self))}']
        parts += [f"<div>{escape(visible(notice))}</div>" for notice in self._notices]
        if self._preview:
            text = escape(visible(self._preview))
            parts.append(f'<div>It writes:</div><pre style="white-space: pre-wrap">{text}</pre>')
        return "".join(parts)
