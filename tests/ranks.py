"""Trainings in two processes that share each batch; the events of every rank are left as JSON lines."""

import math
import multiprocessing
import os
import socket
from pathlib import Path

import torch

from charlstm.checkpoint import format as checkpoint_format
from charlstm.checkpoint.run import RESUME
from charlstm.events import from_json, to_json
from charlstm.training.rendezvous import join
from tests.training.test_training import run_through, training

WORLD = 2


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def in_two_processes(work, *args):
    """Call ``work(ranks, *args)`` in two processes that have joined; both must succeed."""
    context, port = multiprocessing.get_context("spawn"), free_port()
    processes = [context.Process(target=_joined, args=(work, rank, port, *args)) for rank in range(WORLD)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(100)
    assert [process.exitcode for process in processes] == [0] * WORLD


def _joined(work, rank, port, *args):
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port))
    torch.set_num_threads(1)
    with join(rank, WORLD, rank) as ranks:
        work(ranks, *args)


def train_all(ranks, folder, jobs):
    """Run trainings one after the other: ``name: (settings, stop after, whether to resume)``."""
    for name, (settings, stop_after, resumes) in jobs.items():
        # Each rank has its own folder, so that a file written by the wrong rank is noticed. Rank 0 has the run's file.
        saved = checkpoint_format.read(folder / "rank0" / name / RESUME) if resumes else None
        mine = folder / f"rank{ranks.rank}"
        mine.mkdir(exist_ok=True)
        trained = training(mine / name, **settings, resume=saved, ranks=ranks)
        events = run_through(trained, stop_after or math.inf)
        (folder / f"{name}-{ranks.rank}.jsonl").write_text("\n".join(to_json(event) for event in events))


def events_of(folder, name, rank=0):
    """The events of a training on one rank."""
    return [from_json(line) for line in Path(folder, f"{name}-{rank}.jsonl").read_text().splitlines()]
