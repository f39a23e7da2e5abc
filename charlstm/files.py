"""Files written whole or not at all, and locks between processes.

`write_atomically` writes to a temporary file beside the target, flushes it to disk, renames it over the target and
flushes the folder. A process killed halfway leaves only its temporary file, which the next writer of the same target
removes.
"""

from __future__ import annotations

import errno
import os
import re
import shlex
import stat
import sys
import time
from collections.abc import Container, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeAlias

from charlstm.errors import CharlstmError, StorageError, UsageError

Bytes: TypeAlias = bytes | bytearray | memoryview
"""Anything that can be written as it is."""

_TEMPORARY = re.compile(r"\.(?P<name>.+)\.(?P<pid>\d{1,10})\.[0-9a-f]{8}\.tmp", re.DOTALL)

_REASONS: dict[int, tuple[str, str]] = {
    errno.ENOSPC: ("no space left on the disk", "Free some and run the same command again."),
    errno.EDQUOT: ("your disk quota is used up", "Free some space and run the same command again."),
    errno.EIO: ("the disk failed (input/output error)", "Check it, or choose another place."),
    errno.EFBIG: ("the file exceeds the size limit", "Choose another place, or raise the limit (ulimit -f)."),
    errno.EACCES: ("no permission", "Choose a place of your own, or have its permissions changed."),
    errno.EPERM: ("no permission", "Choose a place of your own, or have its permissions changed."),
    errno.ENOLCK: ("there are no locks on this disk", "Choose another place."),
    errno.ENOSYS: ("there are no locks on this disk", "Choose another place."),
    errno.EROFS: ("the disk is read-only", "Choose another place."),
    errno.ENOENT: ("its folder does not exist", "Create the folder first."),
    errno.EEXIST: ("something else has this name", "Choose another name or place."),
    errno.ENOTDIR: ("part of its path is a file, not a folder", "Choose another place."),
    errno.EISDIR: ("a folder has this name", "Choose another name."),
    errno.ENAMETOOLONG: ("the name is too long for this disk", "Choose a shorter one."),
}
"""For each error number: the reason in plain words, and what to do."""


def write_atomically(path: Path, data: Bytes | Iterable[Bytes]) -> None:
    """Write a whole file or nothing; an existing file stays until the new one is safely on disk.

    Args:
        path: the file; its folder must exist. A symbolic link is followed.
        data: its bytes, in one piece or several.

    Raises:
        StorageError: the disk is full, read-only or not writable by this user; nothing is left behind. Or the path is
            a device or a pipe, which a file would replace.
    """
    path = Path(os.path.realpath(path))
    # With os.path, since a method of Path raises for a name that is too long.
    if os.path.exists(path) and not (os.path.isfile(path) or os.path.isdir(path)):
        raise StorageError("is no file: a device or a pipe is not written to", where=path)
    pieces = (data,) if isinstance(data, Bytes) else data
    remove_leftovers(path.parent, (path.name,))
    try:
        temporary = path.with_name(f".{path.name}.{os.getpid()}.{os.urandom(4).hex()}.tmp")
        try:
            _write_and_flush(temporary, pieces)
            _rename(temporary, path)
        except BaseException:
            with suppress(OSError):
                temporary.unlink()
            raise
        _flush_folder(path.parent)
    except OSError as fault:
        raise storage_error(path, fault, "cannot be written") from fault


@contextmanager
def locked(path: Path, busy: CharlstmError) -> Iterator[None]:
    """Hold a lock between processes for the length of a ``with`` block; it ends with the process at the latest.

    Args:
        path: the lock file, created if missing; its folder must exist.
        busy: the error to raise if another process holds the lock.

    Raises:
        CharlstmError: ``busy``.
        StorageError: the folder is not writable.
    """
    from filelock import FileLock, Timeout  # takes a tenth of a second, and readers need no lock

    lock = FileLock(path, timeout=0)
    try:
        _check_lockable(path)
        lock.acquire()
    except Timeout as fault:
        if not _is_locked(path):  # filelock takes every error of the system for a lock that is held
            raise StorageError("cannot be locked", where=path.parent, hint="Check the disk.") from fault
        raise busy from fault
    except OSError as fault:
        raise storage_error(path.parent, fault, "cannot be locked") from fault
    try:
        yield
    finally:
        with suppress(OSError):  # at the latest it ends with this process
            lock.release()


def make_folder(folder: Path) -> None:
    """Create a folder and its parents if they are missing.

    Raises:
        StorageError: the system refuses.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as fault:
        raise storage_error(folder, fault, "cannot be created") from fault


def storage_error(path: Path, fault: OSError, failed: str) -> StorageError:
    """An operating system error in plain words.

    Args:
        path: the file or folder concerned.
        fault: the error.
        failed: what failed, such as ``"cannot be written"``.

    Returns:
        The error to raise.
    """
    reason, hint = _REASONS.get(fault.errno or 0, ((fault.strerror or str(fault)).lower(), ""))
    is_new = failed in ("cannot be written", "cannot be created", "cannot be made")
    if fault.errno == errno.ENOENT and is_new and os.path.isdir(path.parent):
        reason, hint = "nothing can be put into its folder", "Choose another place."  # such as /proc
    return StorageError(f"{failed}: {reason}", where=path, hint=hint)


def check_folder_of(path: Path) -> None:
    """Check before the work that there is a folder for a file that is to be written.

    Args:
        path: the file.

    Raises:
        UsageError: there is none, or part of its path is a file.
        StorageError: it cannot be looked into.
    """
    try:
        is_folder = stat.S_ISDIR(os.stat(path.parent).st_mode)
    except FileNotFoundError as fault:
        hint = f"mkdir -p {shlex.quote(str(path.parent))}"
        raise UsageError("its folder does not exist", where=path, hint=hint) from fault
    except NotADirectoryError:
        is_folder = False
    except OSError as fault:
        raise storage_error(path, fault, "cannot be written") from fault
    if not is_folder:
        raise UsageError("part of its path is a file, not a folder", where=path, hint="Choose another place.")


def remove_unless_in_use(path: Path) -> None:
    """Remove a file, unless it is a temporary file that is still being written.

    Raises:
        OSError: it is being written, or cannot be removed.
    """
    match = _TEMPORARY.fullmatch(path.name)
    if match is None:
        path.unlink()
    elif _alive(int(match["pid"])):
        raise BlockingIOError(errno.EWOULDBLOCK, "it is being written", str(path))
    else:
        _remove_unlocked(path)


def remove_leftovers(folder: Path, names: Container[str | None]) -> None:
    """Remove the temporary files that killed writers left; those that cannot be removed stay.

    Args:
        folder: where they are.
        names: of the files that they were to become.
    """
    with suppress(OSError):  # a folder may be writable but not listable
        for entry in folder.iterdir():
            if temporary_for(entry.name) in names:
                with suppress(OSError):  # already removed, or in use, perhaps on another machine
                    remove_unless_in_use(entry)


def temporary_for(name: str) -> str | None:
    """The name of the file that a temporary file was to become; None if ``name`` is not a temporary file's."""
    match = _TEMPORARY.fullmatch(name)
    return match["name"] if match else None


def _write_and_flush(temporary: Path, pieces: Iterable[Bytes]) -> None:
    # Not tempfile: its files are private to the user whatever the umask, and the name must contain the process's id.
    descriptor = os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY | getattr(os, "O_BINARY", 0), 0o666)
    with open(descriptor, "wb") as file:
        _mark_in_use(descriptor)
        for piece in pieces:
            file.write(piece)
        file.flush()
        os.fsync(descriptor)


def _flush_folder(folder: Path) -> None:
    """Make the new name itself survive a power cut, where the system can."""
    if sys.platform == "win32":  # a folder cannot be opened there
        return
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except PermissionError:  # a folder may be writable but not readable
        return
    try:
        os.fsync(descriptor)
    except OSError as fault:
        # Some network and FUSE file systems refuse this; the file itself has been flushed.
        if fault.errno not in {errno.EINVAL, errno.ENOTSUP, errno.EBADF}:
            raise
    finally:
        os.close(descriptor)


if sys.platform == "win32":
    # A file that another process has open cannot be removed there: trying to is the test.

    def _alive(pid: int) -> bool:
        return False

    def _mark_in_use(descriptor: int) -> None:
        pass

    def _check_lockable(path: Path) -> None:
        pass

    def _is_locked(path: Path) -> bool:
        return True

    def _remove_unlocked(entry: Path) -> None:
        entry.unlink()

    def _rename(temporary: Path, path: Path) -> None:
        # An open file cannot be replaced either: a process that is loading the model has it open for milliseconds.
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
        """Whether another process has this id. Our own does not count: in a container it is the same every time."""
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
        """Lock the file: unlike a process id, a lock ends with its process and is visible from containers and NFS."""
        with suppress(OSError):  # a file system without locks: the process id in the name must do
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def _check_lockable(path: Path) -> None:
        """Raise the system's error where there are no locks: filelock would take some for a lock that is held."""
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK, 0o666)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_UN)  # changes nothing: it is not locked through this descriptor
        finally:
            os.close(descriptor)

    def _is_locked(path: Path) -> bool:
        """Whether another process holds the lock, as far as the system can say."""
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            finally:
                os.close(descriptor)  # which also unlocks it
        except BlockingIOError:
            return True
        except OSError:
            return False
        return False

    def _remove_unlocked(entry: Path) -> None:
        descriptor = os.open(entry, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            entry.unlink()
        finally:
            os.close(descriptor)
