"""Memory of training: reuse of freed blocks, and one error for running out of it."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager, suppress

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
