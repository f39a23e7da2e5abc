"""Fewer threads on a busy machine: two that wait for each other on cores that others use are slower than one."""

from __future__ import annotations

from charlstm.cpu import cores, idle_cores


def yield_to_others() -> None:
    """Let torch and NumPy compute with as many threads as there are idle cores, at least one.

    It looks once, so it is for commands of seconds; training and writing measure all the time.
    """
    idle = idle_cores()
    if idle < cores():
        import torch

        from charlstm.engine.auto_threads import blas_threads

        torch.set_num_threads(idle)
        blas_threads().use(idle)
