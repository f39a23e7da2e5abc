"""One trial as a process of its own: ``charlstm train --json``, its events put into a queue as they come.

Whatever a trial does, run out of memory, be killed, crash, it does to itself only. It is held on a leash, its standard
input: when the search goes, however it goes, that ends, and the trial stops too instead of training on for nobody.
"""

from __future__ import annotations

import contextlib
import json
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

Message: TypeAlias = tuple[int, dict[str, Any] | None]
"""A trial's number and one of its events as JSON gave it; None when there will be no more."""


def command(number: int, folder: Path, config: Path, cache: Path) -> list[str]:
    """What is typed for a trial."""
    places = ["--name", name_of(number), "--root", str(folder), "--cache", str(cache)]
    return [sys.executable, "-m", "charlstm", "train", "--config", str(config), *places, "--json", "--leash"]


def name_of(number: int) -> str:
    """A trial's folder below its search's."""
    return f"trial-{number}"


class Process:
    """A trial that trains.

    Args:
        number: the trial's.
        folder: the search's; the trial's own is made below it.
        config: its settings, TOML.
        cache: where encoded texts are kept.
        messages: where its events go, those of single steps left out.
    """

    def __init__(self, number: int, folder: Path, config: Path, cache: Path, messages: Queue[Message]) -> None:
        self.number = number
        self.best: dict[str, Any] | None = None
        """Its best evaluation so far."""
        self.stopped: dict[str, Any] | None = None
        """Its last event, if it came to that."""
        self._began = time.monotonic()
        self._last_words = ""
        self._talk = tempfile.TemporaryFile()  # noqa: SIM115 - closed by `end`; a pipe would fill, unread till then
        try:
            self._process = subprocess.Popen(
                command(number, folder, config, cache),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._talk,
                start_new_session=True,  # a terminal's Ctrl-C is for the search, which decides
            )
        except OSError as fault:
            self._talk.close()
            raise StorageError(f"no process can be started for a trial ({fault.strerror})", where=folder) from fault
        self._reader = threading.Thread(target=self._read, args=(messages,), daemon=True)
        self._reader.start()

    @property
    def seconds(self) -> float:
        """Since it was started."""
        return time.monotonic() - self._began

    def take(self, event: dict[str, Any]) -> None:
        """Keep what an event tells of the trial's end."""
        if event["event"] == "EvalDone" and is_number(event["val_loss"]) and event["best"]:
            self.best = event
        elif event["event"] == "Stopped":
            self.stopped = event

    def end(self, *, kill: bool = False) -> int:
        """Wait for its end, or bring it about; its exit code, below 0 for a signal."""
        if kill:
            self._process.kill()
        code = self._process.wait()
        self._reader.join()
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):
            self._process.stdin.close()
        with self._talk as talk:
            talk.seek(0)
            self._last_words = talk.read().decode("utf-8", "replace").strip().rpartition("\n")[2]
        return code

    def fault(self, code: int) -> str:
        """Why it failed, in plain words, by its exit code and what it said last; empty if it did not."""
        if code == 0 and self.stopped is not None:
            return "" if self.best is not None else "it came to no evaluation"
        if code < 0:
            return f"killed by signal {-code}, by hand or for lack of memory"
        return self._last_words.removeprefix("charlstm: ") or f"it ended with exit code {code}"

    def _read(self, messages: Queue[Message]) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as lines:
            for line in lines:
                if b'"StepDone"' in line[:40]:  # hundreds a second
                    continue
                with contextlib.suppress(ValueError):  # cut short by a kill
                    event = json.loads(line)
                    if isinstance(event, dict) and "event" in event:
                        messages.put((self.number, event))
        messages.put((self.number, None))


def is_number(value: Any) -> bool:
    """Whether a value of an event is a finite number."""
    return isinstance(value, (int, float)) and math.isfinite(value)
