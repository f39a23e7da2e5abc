"""Running out of memory, told in one line."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from charlstm.errors import OutOfMemoryError


@contextmanager
def telling_of_memory() -> Iterator[None]:
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
