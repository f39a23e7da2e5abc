"""Room for libraries in C: where they find too little memory as they load, they end the process and raise nothing."""

from __future__ import annotations

import mmap

NUMPY, TORCH = 140_000_000, 620_000_000
"""Bytes of addresses. On Linux without a GPU NumPy takes 120 million once it has multiplied, torch with NumPy 578."""


def check_room(size: int) -> None:
    """Check that this process may take so much memory, which a limit such as ``ulimit -v`` forbids.

    Args:
        size: bytes. They are asked for and given back at once, untouched, which takes no time and no memory.

    Raises:
        MemoryError: it may not.
    """
    try:
        mmap.mmap(-1, size).close()
    except OSError as fault:
        raise MemoryError from fault
