"""Whole files or none: what is read under a name was written to its last byte, whatever was killed when.

Bytes go to a temporary file beside the place, are flushed to the disk, and take the name in one step; the folder is
flushed behind them. A writer that was killed leaves only its temporary file, which the next writer sweeps away.
"""

from __future__ import annotations

import errno
import os
import re
import sys
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import TypeAlias

from charlstm.errors import StorageError

Bytes: TypeAlias = bytes | bytearray | memoryview
"""What can be written as it is."""

_TEMPORARY = re.compile(r"\.(?P<name>.+)\.(?P<pid>\d{1,10})\.[0-9a-f]{8}\.tmp", re.DOTALL)

_FAULTS: dict[int, tuple[str, str]] = {
    errno.ENOSPC: ("no space left on the disk", "Free some and run the same command again."),
    errno.EDQUOT: ("your disk quota is used up", "Free some space and run the same command again."),
    errno.EFBIG: ("larger than a file may be here", "Choose another place, or raise the limit (ulimit -f)."),
    errno.EACCES: ("no permission", "Choose a place that is yours, or ask for its permissions to be changed."),
    errno.EPERM: ("no permission", "Choose a place that is yours, or ask for its permissions to be changed."),
    errno.EROFS: ("the disk is read-only", "Choose another place."),
    errno.ENOENT: ("its folder does not exist", "Make the folder first."),
    errno.EEXIST: ("something else has this name", "Choose another name or place."),
    errno.ENOTDIR: ("part of its path is a file, not a folder", "Choose another place."),
    errno.EISDIR: ("a folder has this name", "Choose another name."),
    errno.ENAMETOOLONG: ("the name is too long for this disk", "Choose a shorter one."),
}


def write_atomically(path: Path, data: Bytes | Iterable[Bytes]) -> None:
    """Write a whole file or nothing; what was there before stays until the new file is safely on the disk.

    Args:
        path: the file; its folder must exist.
        data: its bytes, in one piece or several.

    Raises:
        StorageError: the disk is full, read-only or closed to this user; nothing is left behind.
    """
    pieces = (data,) if isinstance(data, Bytes) else data
    with suppress(OSError):  # a folder one may write to, but not list
        _sweep(path)
    try:
        temporary = path.with_name(f".{path.name}.{os.getpid()}.{os.urandom(4).hex()}.tmp")
        try:
            _write_through(temporary, pieces)
            _rename(temporary, path)
        except BaseException:
            with suppress(OSError):
                temporary.unlink()
            raise
        _flush_folder(path.parent)
    except OSError as fault:
        raise storage_error(path, fault, "cannot be written") from fault


def storage_error(path: Path, fault: OSError, failed: str) -> StorageError:
    """The system's refusal in plain words.

    Args:
        path: the file or folder it is about.
        fault: what the system said.
        failed: what did not work, as ``"cannot be written"``.
    """
    words, hint = _FAULTS.get(fault.errno or 0, ((fault.strerror or str(fault)).lower(), ""))
    return StorageError(f"{failed}: {words}", where=path, hint=hint)


def remove_unless_written(path: Path) -> None:
    """Remove a file, but no temporary one whose writer is at work.

    Raises:
        OSError: it is being written, or cannot be removed.
    """
    match = _TEMPORARY.fullmatch(path.name)
    if match is None:
        path.unlink()
    elif _alive(int(match["pid"])):
        raise BlockingIOError(errno.EWOULDBLOCK, "it is being written", str(path))
    else:
        _remove_unused(path)


def temporary_for(name: str) -> str | None:
    """The file a temporary file was to become, by their names; None for any other file."""
    match = _TEMPORARY.fullmatch(name)
    return match["name"] if match else None


def _write_through(temporary: Path, pieces: Iterable[Bytes]) -> None:
    # Not tempfile: its files are closed to the group whatever the umask says, and the name must tell the process.
    descriptor = os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY | getattr(os, "O_BINARY", 0), 0o666)
    with open(descriptor, "wb") as file:
        _mark_in_use(descriptor)
        for piece in pieces:
            file.write(piece)
        file.flush()
        os.fsync(descriptor)


def _flush_folder(folder: Path) -> None:
    """Make the new name itself survive a power cut, where the system knows how."""
    if sys.platform == "win32":  # there a folder cannot be opened
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as fault:
        # Some network and FUSE file systems refuse this; the file itself was flushed all the same.
        if fault.errno not in {errno.EINVAL, errno.ENOTSUP, errno.EBADF}:
            raise
    finally:
        os.close(descriptor)


def _sweep(path: Path) -> None:
    """Remove the temporary files that killed writers of the same file left."""
    for entry in path.parent.iterdir():
        if temporary_for(entry.name) == path.name:
            with suppress(OSError):  # gone already, or in use, if only on another machine
                remove_unless_written(entry)


if sys.platform == "win32":
    # There nobody can remove a file that another process has open: trying is the test.

    def _alive(pid: int) -> bool:
        return False

    def _mark_in_use(descriptor: int) -> None:
        pass

    def _remove_unused(entry: Path) -> None:
        entry.unlink()

    def _rename(temporary: Path, path: Path) -> None:
        # Nor replace one that is open: a sample that loads the model at this moment has it for some milliseconds.
        for _ in range(50):
            try:
                os.replace(temporary, path)
                return
            except PermissionError:
                time.sleep(0.02)
        os.replace(temporary, path)

else:
    import fcntl

    def _alive(pid: int) -> bool:
        """Whether another process has this number. Our own is not asked: in a container it is the same each time."""
        if pid == os.getpid():
            return False
        try:
            os.kill(pid, 0)
        except (ProcessLookupError, OverflowError):
            return False
        except PermissionError:
            return True
        return True

    def _rename(temporary: Path, path: Path) -> None:
        os.replace(temporary, path)

    def _mark_in_use(descriptor: int) -> None:
        """Lock the file: the lock ends with the process, and is seen from containers and over NFS; a pid is not."""
        with suppress(OSError):  # a file system without locks: the pid in the name must do
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def _remove_unused(entry: Path) -> None:
        descriptor = os.open(entry, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            entry.unlink()
        finally:
            os.close(descriptor)
