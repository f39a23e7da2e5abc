"""Every call to the system about files below a folder: counted, recorded, and made to fail where a test wants it.

`FileCalls` stands in for the functions of `os`, `io` and `fcntl` by which Python opens, writes, flushes, locks, renames
and removes files. What is read through the C library of another package is not seen, which no writer of ours does.
"""

from __future__ import annotations

import builtins
import errno
import fcntl
import io
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

PACKAGE = str(Path(__file__).parents[2] / "charlstm")


@dataclass(frozen=True)
class Call:
    """One call."""

    kind: str
    """Such as ``"open"``, ``"write"``, ``"fsync"``."""
    path: str
    site: str
    """The line of the package that made it, and the kind."""
    data: bytes = b""
    """What was written."""
    target: str = ""
    """What a file was renamed to."""


@dataclass
class FileCalls:
    """The calls about files below ``folder``, while `watched`."""

    folder: Path
    act: Callable[[int, Call], None] = lambda number, call: None
    """Called before each call, with its number from 0; what it raises, the call raises."""
    made: list[Call] = field(default_factory=list)
    _open: dict[int, str] = field(default_factory=dict)

    def _before(self, kind: str, path: Any, data: Any = b"", target: Any = "") -> None:
        call = Call(kind, os.fspath(path), f"{_site()} {kind}", bytes(data), os.fspath(target))
        self.made.append(call)
        self.act(len(self.made) - 1, call)

    def _concerns(self, path: Any) -> bool:
        if isinstance(path, int):
            return path in self._open
        return os.path.abspath(os.fsdecode(path)).startswith(str(self.folder) + os.sep)

    def _watch(self, kind: str, original: Callable[..., Any]) -> Callable[..., Any]:
        """A function of one path, or descriptor, that is watched."""

        def call(path: Any, *args: Any, **options: Any) -> Any:
            if self._concerns(path) and "dir_fd" not in options:
                self._before(kind, self._open.get(path, path) if isinstance(path, int) else path)
            return original(path, *args, **options)

        return call

    def _low_open(self, path: Any, flags: int, mode: int = 0o777, **options: Any) -> int:
        if not self._concerns(path):
            return _OPEN(path, flags, mode, **options)
        self._before("create" if flags & os.O_CREAT else "open", path)
        descriptor = _OPEN(path, flags, mode, **options)
        self._open[descriptor] = os.fspath(path)
        return descriptor

    def _low_close(self, descriptor: int) -> None:
        path = self._open.pop(descriptor, None)
        try:
            if path is not None:
                self._before("close", path)
        finally:
            _CLOSE(descriptor)

    def _replace(self, source: Any, target: Any, **options: Any) -> None:
        if self._concerns(target):
            self._before("rename", source, target=target)
        _REPLACE(source, target, **options)

    def _high_open(self, file: Any, mode: str = "r", *args: Any, **options: Any) -> Any:
        if not self._concerns(file):
            return _FILE(file, mode, *args, **options)
        path = self._open[file] if isinstance(file, int) else os.fspath(file)
        if not isinstance(file, int):
            self._before("open" if "r" in mode else "create", path)
        return _File(self, path, _FILE(file, mode, *args, **options))

    @contextmanager
    def watched(self) -> Iterator[FileCalls]:
        """Watch the calls made in a ``with`` block."""
        names = {"fsync": "fsync", "unlink": "unlink", "rmdir": "rmdir", "mkdir": "mkdir", "listdir": "list"}
        with ExitStack() as patches:
            for module, name, stand_in in (
                (os, "open", self._low_open),
                (os, "close", self._low_close),
                (os, "replace", self._replace),
                (io, "open", self._high_open),
                (builtins, "open", self._high_open),
                (fcntl, "flock", self._watch("flock", fcntl.flock)),
                *((os, name, self._watch(kind, getattr(os, name))) for name, kind in names.items()),
            ):
                patches.enter_context(mock.patch.object(module, name, stand_in))
            yield self


_OPEN, _CLOSE, _REPLACE, _FILE = os.open, os.close, os.replace, io.open


class _File:
    """A file whose writes are watched, and for the rest what it stands for."""

    def __init__(self, calls: FileCalls, path: str, file: Any) -> None:
        self._calls, self._path, self._file = calls, path, file

    def write(self, data: Any) -> int:
        raw = data.encode() if isinstance(data, str) else data
        self._calls._before("write", self._path, raw)
        return int(self._file.write(data))

    def read(self, *args: Any) -> Any:
        self._calls._before("read", self._path)
        return self._file.read(*args)

    def close(self) -> None:
        if not self._file.closed:
            self._calls._open.pop(self._file.fileno(), None)
            try:
                if self._file.writable():  # nothing is lost by closing what was only read
                    self._calls._before("close", self._path)
            finally:
                self._file.close()

    def fileno(self) -> int:
        descriptor = int(self._file.fileno())
        self._calls._open.setdefault(descriptor, self._path)
        return descriptor

    def __enter__(self) -> _File:
        return self

    def __exit__(self, *fault: object) -> None:
        self.close()

    def __iter__(self) -> Iterator[Any]:
        return iter(self._file)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


def _site() -> str:
    """The innermost line of the package that is being run: ``files.py:128``."""
    frame = sys._getframe(2)
    while frame is not None:
        if frame.f_code.co_filename.startswith(PACKAGE):
            return f"{os.path.relpath(frame.f_code.co_filename, PACKAGE)}:{frame.f_lineno}"
        frame = frame.f_back  # type: ignore[assignment]
    return ""


def system_error(number: int) -> OSError:
    """The error that the system gives for a number of `errno`."""
    return OSError(number, os.strerror(number))


FAULTS: dict[str, Callable[[], BaseException]] = {
    **{name: partial(system_error, getattr(errno, name)) for name in ("ENOSPC", "EIO", "EDQUOT", "EACCES")},
    "interrupt": KeyboardInterrupt,
}
"""What every call is made to fail with."""
