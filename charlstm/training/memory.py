"""The memory of a training: kept from step to step, and running out of it told in one line."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import torch

from charlstm.errors import OutOfMemoryError

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # of glibc's malloc.h


def keep_freed_memory() -> None:
    """Let this process keep the memory it frees, on Linux; elsewhere nothing happens.

    Each step frees the large blocks that the next one asks for. glibc gives them back to the system, which clears them
    anew each time: a sixteenth of a step of two networks of 512 features. Older ones take no threshold above 32 MB, and
    any that is set ends their own raising of it: where neither is taken, nothing else may be set.
    """
    with suppress(TypeError, OSError, AttributeError):  # no C library to ask, or not glibc
        libc = ctypes.CDLL(None)
        if libc.mallopt(_M_MMAP_THRESHOLD, 1 << 30) or libc.mallopt(_M_MMAP_THRESHOLD, 1 << 25):
            libc.mallopt(_M_TRIM_THRESHOLD, (1 << 31) - 1)


@contextmanager
def translate_oom() -> Iterator[None]:
    """Turn torch's and Python's ways of running out of memory into `OutOfMemoryError`."""
    try:
        yield
    except (MemoryError, torch.OutOfMemoryError) as fault:
        raise _told() from fault
    except RuntimeError as fault:
        # On a CPU torch has no exception of its own for it, only this message.
        if "allocate memory" in str(fault):
            raise _told() from fault
        raise


def _told() -> OutOfMemoryError:
    return OutOfMemoryError(
        "out of memory", hint="Lower --batch-size, --seq-len, --hidden-size or --num-layers; what was saved is kept."
    )
