"""What a process holds, as Linux tells it: memory, open files, threads."""

from __future__ import annotations

import contextlib
import ctypes
import os
import subprocess
import time
from pathlib import Path


def resident_memory(pid: int | str = "self") -> int:
    """Bytes of memory that a process holds."""
    pages = int(Path(f"/proc/{pid}/statm").read_text("ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def give_back_freed_memory() -> None:
    """Have the C library give back what was freed: in a process that has run many tests it is hundreds of megabytes.

    Without it, what leaks would come out of them, and the process would hold no more than before. A C library that
    keeps nothing back has no such call.
    """
    if trim := getattr(ctypes.CDLL(None), "malloc_trim", None):
        trim(0)


def open_files(pid: int | str = "self") -> int:
    """Descriptors that are open, without that of the question itself."""
    return len(os.listdir(f"/proc/{pid}/fd")) - (pid == "self")


def threads(pid: int | str = "self") -> int:
    """Threads that there are."""
    return len(os.listdir(f"/proc/{pid}/task"))


def processor_time(pid: int) -> tuple[int, int]:
    """Nanoseconds for which the first thread of a process has run, and for which it could have but others did."""
    ran, waited, _ = Path(f"/proc/{pid}/task/{pid}/schedstat").read_text("ascii").split()
    return int(ran), int(waited)


def highest_memory(process: subprocess.Popen[bytes]) -> float:
    """Megabytes that a process held at most, once it has ended.

    What `wait4` tells is never less than what its parent held when it began: here a process that has run many tests.
    """
    highest = 0
    while process.poll() is None:
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            lines = Path(f"/proc/{process.pid}/status").read_text("ascii").splitlines()
            highest = max([highest, *(int(line.split()[1]) for line in lines if line.startswith("VmHWM:"))])
        time.sleep(0.02)
    return highest * 1024 / 1e6
