"""Memory of training: reuse of freed blocks, and one error for running out of it."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Literal

from charlstm.errors import OutOfMemoryError, is_out_of_memory

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # of glibc's malloc.h


def keep_freed_memory() -> None:
    """Make the allocator of this process (glibc only) keep freed memory instead of returning it to the system.

    The setting lasts as long as the process, so a program should call this, not a library.

    Each step frees the large blocks that the next one allocates. By default glibc returns them to the system, which
    zeroes them again each time: a sixteenth of the time of a step for two networks of 512 units. Older versions accept
    no threshold above 32 MB, and setting any threshold disables their automatic one: so if neither value is accepted,
    no other may be set. Source: ``docs/decisions/memory-allocator.md``.
    """
    with suppress(TypeError, OSError, AttributeError):  # no C library, or not glibc
        libc = ctypes.CDLL(None)
        if libc.mallopt(_M_MMAP_THRESHOLD, 1 << 30) or libc.mallopt(_M_MMAP_THRESHOLD, 1 << 25):
            libc.mallopt(_M_TRIM_THRESHOLD, (1 << 31) - 1)


def give_back() -> None:
    """Let the C library return what was freed, so that it is not there to be used again (glibc only)."""
    with suppress(TypeError, OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)


def resident(key: Literal["VmRSS", "VmHWM"]) -> int:
    """Return the memory of this process in bytes, now or at its peak (Linux only).

    Args:
        key: the name of the figure in /proc.

    Raises:
        OSError: the system does not tell.
    """
    lines = Path("/proc/self/status").read_text("ascii").splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(key))


def forget_peak() -> None:
    """Let the peak start from what is resident now (Linux only).

    Raises:
        OSError: the system does not allow it.
    """
    Path("/proc/self/clear_refs").write_text("5", "ascii")


@contextmanager
def translate_oom() -> Iterator[None]:
    """Translate the various errors of torch and Python when memory runs out.

    Raises:
        OutOfMemoryError: it ran out in the ``with`` block.
    """
    try:
        yield
    except (MemoryError, RuntimeError) as fault:
        if not is_out_of_memory(fault):
            raise
        hint = "Lower `batch_size`, `seq_len`, `hidden_size` or `num_layers`; what was saved is kept."
        raise OutOfMemoryError("out of memory", hint=hint) from fault
