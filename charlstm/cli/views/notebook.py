"""Training as a notebook shows it: one line of HTML with a bar, rewritten in place, and the last preview below it."""

from __future__ import annotations

import math
import sys
import time
from html import escape
from typing import Any

from charlstm.cli.views.progress import Status
from charlstm.cli.views.terminal import duration, visible
from charlstm.events import Event, Notice, Preview, StepDone, Stopped

_EVERY = 0.3
"""Seconds between updates."""


def in_notebook() -> bool:
    """Whether this process is the kernel of a notebook; IPython is not imported to find out."""
    ipython = sys.modules.get("IPython")
    shell: Any = ipython.get_ipython() if ipython is not None else None
    return hasattr(shell, "kernel")


class NotebookBar(Status):
    """A bar, the figures of `Status`, notices and the last preview, in a notebook's output cell."""

    def __enter__(self) -> NotebookBar:
        from IPython.display import HTML, display

        self._html = HTML
        self._share, self._preview, self._left = 0.0, "", ""
        self._notices: list[str] = []
        self._handle = display(HTML(self.html()), display_id=True)
        self._shown_at = time.monotonic()
        return self

    def __exit__(self, *_: object) -> None:
        self._handle.update(self._html(self.html()))

    def show(self, event: Event) -> None:
        """Take an event in, and rewrite the cell if the last time is long enough ago."""
        self.update(event)
        if isinstance(event, StepDone):
            self._share = event.progress
            left = self.pace.seconds_left
            self._left = "" if math.isnan(left) else f"{duration(left)} left"
        elif isinstance(event, Preview):
            self._preview = event.text
        elif isinstance(event, Notice):
            self._notices.append(event.text)
        elif isinstance(event, Stopped):
            self._share = 1.0 if event.reason == "finished" else self._share
            self._left = event.reason
        if time.monotonic() - self._shown_at >= _EVERY:
            self._shown_at = time.monotonic()
            self._handle.update(self._html(self.html()))

    def html(self) -> str:
        """What the cell holds now."""
        figures = " · ".join(filter(None, (f"{self._share:.0%}", self._left, self.numbers())))
        parts = [f'<progress value="{self._share:.4f}" max="1"></progress> {escape(figures)}']
        parts += [f"<div>{escape(visible(notice))}</div>" for notice in self._notices]
        if self._preview:
            parts.append(f'<pre style="white-space: pre-wrap">{escape(visible(self._preview))}</pre>')
        return "".join(parts)
