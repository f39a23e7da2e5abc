"""Joins the processes of a run."""

from __future__ import annotations

import hashlib
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING

import torch
from torch import distributed

from charlstm.errors import CharlstmError, LostRankError
from charlstm.training.distributed import IDLE_TIMEOUT, STEP_TIMEOUT, Ranks, translate_comm_errors

if TYPE_CHECKING:
    from torch._C._distributed_c10d import Store

JOIN_TIMEOUT = timedelta(minutes=2)
"""The time a process waits for the others to start. torchrun and SLURM start all of them within seconds."""


@contextmanager
def join(rank: int, world_size: int, local_rank: int) -> Iterator[Ranks]:
    """Join the other ranks, at the address in torchrun's environment (``MASTER_ADDR``, ``MASTER_PORT``).

    Args:
        rank: this process's number, from 0.
        world_size: the number of processes.
        local_rank: this process's number on its machine, from 0.

    Yields:
        This process's rank.

    Raises:
        LostRankError: the others did not start within `JOIN_TIMEOUT`, or one has ended or cannot be reached.
    """
    nccl = torch.cuda.is_available() and distributed.is_nccl_available()
    if nccl and local_rank < torch.cuda.device_count():
        torch.cuda.set_device(local_rank)
    backend = "cpu:gloo,cuda:nccl" if nccl else "gloo"
    store = _meet(rank, world_size)
    with translate_comm_errors():
        distributed.init_process_group(backend, store=store, rank=rank, world_size=world_size, timeout=IDLE_TIMEOUT)
        try:
            yield Ranks(rank, world_size, local_rank, distributed.new_group(timeout=STEP_TIMEOUT))
        except LostRankError:  # with a peer gone, destroying the groups might wait for it
            raise
        except CharlstmError:
            distributed.destroy_process_group()  # otherwise gloo's threads occasionally abort the process at exit
            raise
        distributed.destroy_process_group()


def _meet(rank: int, world_size: int) -> Store:
    """Wait until all ranks have joined, and return the store they share."""
    from torch.distributed.rendezvous import rendezvous  # missing in some builds of torch; one process needs none

    seconds = JOIN_TIMEOUT.total_seconds()
    try:
        store, _, _ = next(iter(rendezvous("env://", rank, world_size, timeout=JOIN_TIMEOUT)))
        store.set_timeout(JOIN_TIMEOUT)  # torchrun's own store has another
        store = _unused_part(store, rank, world_size, time.monotonic() + seconds)
    except (distributed.DistError, TimeoutError) as fault:
        raise LostRankError(
            f"not all {world_size} processes of this run have started within {seconds:g} seconds",
            hint="Start all of them together; for a single process, unset WORLD_SIZE.",
        ) from fault
    store.set_timeout(IDLE_TIMEOUT)
    return store


def _unused_part(store: Store, rank: int, world_size: int, deadline: float) -> Store:
    """Return a part of the store that is still empty, the same for all ranks.

    torchrun keeps one store for all its restarts, and does not always announce a restart. Addresses left in it by ended
    processes would be mistaken for those of running ones. So each rank writes a unique name, and the part is named
    after all of them, once all ranks have read the same ones.

    Args:
        store: torchrun's, or one that rank 0 serves.
        rank: this process's number.
        world_size: the number of processes.
        deadline: when to give up, by `time.monotonic`.

    Raises:
        TimeoutError: the deadline has passed.
    """
    from torch.distributed.distributed_c10d import PrefixStore

    store.set(f"charlstm/{rank}", uuid.uuid4().hex)
    while time.monotonic() < deadline:
        names = store.multi_get([f"charlstm/{other}" for other in range(world_size)])
        part = hashlib.sha256(b" ".join(names)).hexdigest()
        store.set(f"charlstm/{part}/{rank}", "read")
        if store.check([f"charlstm/{part}/{other}" for other in range(world_size)]):
            return PrefixStore(part, store)
        time.sleep(0.05)
    raise TimeoutError
