"""The memory of a training: kept from step to step, and running out of it as one line."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import torch

from charlstm.errors import OutOfMemoryError

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # of glibc's malloc.h


def keep_freed_memory() -> None:
    """Make this process keep the memory it frees, with glibc; elsewhere nothing happens.

    This lasts as long as the process, so it is for a program to call, not for a library.

    Each step frees the large blocks that the next one allocates. glibc returns them to the system, which zeroes them
    again each time: a sixteenth of a step of two networks of 512 features. Older versions accept no threshold above
    32 MB, and setting any threshold ends their own adjustment of it: if neither is accepted, nothing else may be set.
    """
    with suppress(TypeError, OSError, AttributeError):  # no C library, or not glibc
        libc = ctypes.CDLL(None)
        if libc.mallopt(_M_MMAP_THRESHOLD, 1 << 30) or libc.mallopt(_M_MMAP_THRESHOLD, 1 << 25):
            libc.mallopt(_M_TRIM_THRESHOLD, (1 << 31) - 1)


@contextmanager
def translate_oom() -> Iterator[None]:
    """Raise `OutOfMemoryError` for whatever torch and Python raise when memory runs out."""
    try:
        yield
    except (MemoryError, torch.OutOfMemoryError) as fault:
        raise _out_of_memory() from fault
    except RuntimeError as fault:
        # On a CPU torch raises no exception of its own for it, only this message.
        if "allocate memory" in str(fault):
            raise _out_of_memory() from fault
        raise


def _out_of_memory() -> OutOfMemoryError:
    return OutOfMemoryError(
        "out of memory", hint="Lower `batch_size`, `seq_len`, `hidden_size` or `num_layers`; what was saved is kept."
    )
