"""How the processes of a run find one another."""

from __future__ import annotations

import hashlib
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch
from torch import distributed

from charlstm.errors import CharlstmError, LostRankError

if TYPE_CHECKING:
    from torch._C._distributed_c10d import Store
from charlstm.training.distributed import IDLE_TIMEOUT, STEP_TIMEOUT, Ranks, translate_comm_errors


@contextmanager
def join(rank: int, world: int, local: int) -> Iterator[Ranks]:
    """Meet the other ranks, where torchrun's environment says (``MASTER_ADDR``, ``MASTER_PORT``).

    Args:
        rank: this process's number, from 0.
        world: how many there are.
        local: its number on its machine, from 0.

    Raises:
        LostRankError: one of the others has ended, or can no longer be reached.
    """
    from torch.distributed.rendezvous import rendezvous  # not there in every build of torch, nor needed by one process

    nccl = torch.cuda.is_available() and distributed.is_nccl_available()
    with translate_comm_errors():
        if nccl and local < torch.cuda.device_count():
            torch.cuda.set_device(local)
        backend = "cpu:gloo,cuda:nccl" if nccl else "gloo"
        found, _, _ = next(iter(rendezvous("env://", rank, world, timeout=IDLE_TIMEOUT)))
        store = _unwritten(found, rank, world)
        distributed.init_process_group(backend, store=store, rank=rank, world_size=world, timeout=IDLE_TIMEOUT)
        try:
            yield Ranks(rank, world, local, distributed.new_group(timeout=STEP_TIMEOUT))
        except LostRankError:  # with a peer gone, ending the groups might wait for it
            raise
        except CharlstmError:
            distributed.destroy_process_group()  # else gloo's threads now and then make an abort of leaving
            raise
        distributed.destroy_process_group()


def _unwritten(store: Store, rank: int, world: int) -> Store:
    """A corner of the store in which nothing has been written yet.

    torchrun has one store for all its restarts, and does not always say that it has restarted. The addresses that
    ended processes left in it would be taken for those of the living, and waited for. So each rank writes a name that
    nobody had before, and the corner is called by all of these, once all have seen the same ones.
    """
    from torch.distributed.distributed_c10d import PrefixStore

    store.set(f"charlstm/{rank}", uuid.uuid4().hex)
    while True:
        names = store.multi_get([f"charlstm/{other}" for other in range(world)])
        corner = hashlib.sha256(b" ".join(names)).hexdigest()
        store.set(f"charlstm/{corner}/{rank}", "seen")
        if store.check([f"charlstm/{corner}/{other}" for other in range(world)]):
            return PrefixStore(corner, store)
        time.sleep(0.05)
