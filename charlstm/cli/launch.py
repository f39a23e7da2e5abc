"""Several processes for one run: started by ``--nproc``, or by torchrun or SLURM, which say so in the environment.

Below this file nobody knows of the environment; from `joined` on a process is a `distributed.Ranks`.
"""

from __future__ import annotations

import logging
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import typer

from charlstm.cli.views.terminal import say
from charlstm.cpu import cores
from charlstm.errors import CharlstmError, DivergedError, LostRankError, UsageError

if TYPE_CHECKING:
    from charlstm.training.distributed import Ranks

_TIME_TO_SAVE = 120
"""Seconds that processes have to save and leave after a signal, before they are killed."""


def place() -> tuple[int, int, int] | None:
    """This process's number, how many there are, and its number on this machine; None if it is the only one.

    Raises:
        UsageError: the environment names a number that is none.
    """
    world = _from_environment("WORLD_SIZE", 1)
    return (_from_environment("RANK", 0), world, _from_environment("LOCAL_RANK", 0)) if world > 1 else None


def _from_environment(name: str, usual: int) -> int:
    text = os.environ.get(name, "")
    try:
        return int(text) if text else usual
    except ValueError:
        raise UsageError(
            f"{name}={text} in the environment is no number", hint=f"torchrun sets it; else: unset {name}"
        ) from None


def is_quiet() -> bool:
    """Whether another process says what there is to say."""
    try:
        here = place()
    except UsageError:
        return False
    return here is not None and here[0] > 0


@contextmanager
def joined() -> Iterator[Ranks]:
    """Meet the other processes of this run, if there are any; at the end wait for them.

    A fault that all have in common is told by the first; what only one has met is told by it.
    """
    here = place()
    from charlstm.cli.interrupts import load_torch

    load_torch()
    from charlstm.training import distributed
    from charlstm.training.rendezvous import join

    if here is None:
        yield distributed.SINGLE_PROCESS
        return
    rank = here[0]
    try:
        with join(*here) as ranks:
            try:
                yield ranks
            except typer.Exit as leaving:
                code = leaving.exit_code
            else:
                code = 0
            ranks.barrier()  # or torchrun, seeing one leave, would stop the one that still has something to say
    except CharlstmError as fault:
        if rank == 0:
            raise
        if not isinstance(fault, distributed.SharedError | DivergedError | LostRankError):
            say(f"charlstm: process {rank}: {fault}")
        raise typer.Exit(fault.exit_code) from fault
    if code:
        raise typer.Exit(code)


def start(nproc: int) -> None:
    """Run this very command in ``nproc`` processes on this machine, by torchrun's own means, until all have ended.

    Args:
        nproc: how many.

    Raises:
        typer.Exit: they did not all end well; the code says why.
    """
    from charlstm.cli.interrupts import load_torch

    load_torch()
    from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs, SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    # One line of ours tells what is to be told; torchrun's pages about the same stay unsaid.
    logging.disable(logging.CRITICAL)
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, cores() // nproc)))
    with tempfile.TemporaryDirectory() as logs:
        config = LaunchConfig(
            min_nodes=1, max_nodes=1, nproc_per_node=nproc, max_restarts=0,
            run_id="charlstm", rdzv_backend="c10d", rdzv_endpoint="localhost:0", local_addr="localhost",
            logs_specs=DefaultLogsSpecs(log_dir=logs), shutdown_timeout=_TIME_TO_SAVE,
        )  # fmt: skip
        try:
            elastic_launch(config, sys.executable)("-m", "charlstm", *sys.argv[1:])
        except SignalException as asked:
            raise typer.Exit(128 + asked.sigval) from asked
        except ChildFailedError as fault:
            raise typer.Exit(_code_of(fault)) from fault


def check(nproc: int | None) -> bool:
    """Whether ``--nproc`` asks for processes that are still to be started.

    Raises:
        UsageError: it says something else than what started this process.
    """
    if nproc is None:
        return False
    if nproc < 1:
        raise UsageError(f"--nproc {nproc}: at least 1 process is needed")
    if place() is None:
        return nproc > 1
    if nproc != _from_environment("LOCAL_WORLD_SIZE", nproc):
        raise UsageError("torchrun has started the processes already", hint="Leave out --nproc.")
    return False


def _code_of(fault: Any) -> int:
    """The exit code of the process that failed first; those that only lost it, or were stopped then, do not count."""
    codes = {rank: failure.exitcode for rank, failure in sorted(fault.failures.items())}
    telling = [code for code in codes.values() if code > 1]
    if telling:
        return int(telling[0])
    for rank, code in codes.items():
        if code < 0 and code != -15:
            say(
                f"charlstm: process {rank} was killed (signal {-code}). What was saved is kept; "
                "the same command goes on from there if it has --resume auto."
            )
            return 128 - int(code)
    return 1
