"""One run in several processes: started by ``--nproc`` or by torchrun, which describes them in the environment.

Nothing below this file reads the environment: `joined` yields a `distributed.Ranks`, which the rest works with.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import typer

from charlstm.cli.spelling import error_line
from charlstm.cli.views.terminal import say
from charlstm.cpu import cores
from charlstm.errors import CharlstmError, DivergedError, LostRankError, UsageError

if TYPE_CHECKING:
    from charlstm.training.distributed import Ranks

_TIME_TO_SAVE = 120
"""Seconds that the processes have after a signal to save and end, before they are killed."""

_MOST_PROCESSES = 1024

_TORCHRUN = ("RANK", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT")
"""What torchrun sets besides WORLD_SIZE."""


def torchrun_ranks() -> tuple[int, int, int] | None:
    """Return this process's rank, the number of ranks, and its rank on this machine; None for a single process.

    Raises:
        UsageError: the environment announces several processes, but is incomplete or contradictory.
    """
    world_size = _integer("WORLD_SIZE") or 1
    if world_size <= 1:
        return None
    missing = [name for name in _TORCHRUN if not os.environ.get(name)]
    if missing:
        raise UsageError(
            f"the environment has WORLD_SIZE={world_size}, but no {', '.join(missing)}",
            hint="Start all processes with torchrun; for a single process, unset WORLD_SIZE.",
        )
    rank, local_rank = _integer("RANK") or 0, _integer("LOCAL_RANK") or 0
    if not 0 <= rank < world_size:
        raise UsageError(f"the environment has RANK={rank}, which is not in 0 to {world_size - 1}", hint=_UNSET)
    return rank, world_size, local_rank


_UNSET = "torchrun sets it; without torchrun, unset WORLD_SIZE."


def _integer(name: str) -> int | None:
    text = os.environ.get(name, "")
    try:
        return int(text) if text else None
    except ValueError:
        raise UsageError(f"{name}={text} in the environment is not a number", hint=_UNSET) from None


def is_secondary() -> bool:
    """Return whether another process of this run prints the messages."""
    try:
        ranks = torchrun_ranks()
    except UsageError:
        return False
    return ranks is not None and ranks[0] > 0


@contextmanager
def joined() -> Iterator[Ranks]:
    """Join the other processes of this run, if there are any; at the end wait for them.

    Rank 0 prints an error that all ranks have in common; any other is printed by the rank that met it.

    Yields:
        This process among them.

    Raises:
        CharlstmError, typer.Exit: as in the ``with`` block, or another process was lost.
    """
    torchrun = torchrun_ranks()
    if torchrun is not None:  # a lost process is reported in one line by us, not in pages by torch's C++ code
        os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "FATAL")
    from charlstm.cli.interrupts import load_torch

    load_torch()
    from charlstm.training import distributed
    from charlstm.training.rendezvous import join

    if torchrun is None:
        yield distributed.SINGLE_PROCESS
        return
    rank, all_joined = torchrun[0], False
    try:
        with join(*torchrun) as ranks:
            all_joined = True
            try:
                yield ranks
            except typer.Exit as leaving:
                code = leaving.exit_code
            else:
                code = 0
            ranks.barrier()  # torchrun stops the others when one ends, even one that still has something to print
    except CharlstmError as fault:
        if rank == 0:
            raise
        is_common = isinstance(fault, distributed.SharedError | DivergedError | LostRankError)
        if not (all_joined and is_common):
            say(f"charlstm: process {rank}: {error_line(fault)}")
        raise typer.Exit(fault.exit_code) from fault
    if code:
        raise typer.Exit(code)


def run_processes(nproc: int) -> None:
    """Run this very command in several processes on this machine, as torchrun does, until all have ended.

    Args:
        nproc: the number of processes.

    Raises:
        typer.Exit: one of them failed; with the exit code of the first that did.
    """
    from charlstm.cli.interrupts import load_torch

    load_torch()
    from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs, SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    # A failure is reported in one line by us; torchrun's own pages about it are switched off.
    logging.disable(logging.CRITICAL)
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, cores() // nproc)))
    with tempfile.TemporaryDirectory() as logs:
        config = LaunchConfig(
            min_nodes=1, max_nodes=1, nproc_per_node=nproc, max_restarts=0,
            run_id="charlstm", rdzv_backend="c10d", rdzv_endpoint="localhost:0", local_addr="localhost",
            logs_specs=DefaultLogsSpecs(log_dir=logs), shutdown_timeout=_TIME_TO_SAVE,
            signals_to_handle=",".join(_signals_to_pass_on()),
        )  # fmt: skip
        try:
            elastic_launch(config, sys.executable)("-m", "charlstm", *sys.argv[1:])
        except SignalException as asked:
            raise typer.Exit(128 + asked.sigval) from asked
        except ChildFailedError as fault:
            raise typer.Exit(_exit_code(fault)) from fault


def _signals_to_pass_on() -> list[str]:
    """The names of the signals that end all processes: torchrun would handle those that ``nohup`` ignores, too."""
    from charlstm.cli.interrupts import stop_signals

    quit_signal = [signal.Signals(signal.SIGQUIT)] if hasattr(signal, "SIGQUIT") else []
    return [number.name for number in (*stop_signals(), *quit_signal)]


def must_start_processes(nproc: int | None) -> bool:
    """Return whether ``--nproc`` asks for processes that have yet to be started.

    Args:
        nproc: the value of ``--nproc``; None if it was not given.

    Raises:
        UsageError: it is out of range, or contradicts the torchrun that started this process.
    """
    if nproc is None:
        return False
    if not 1 <= nproc <= _MOST_PROCESSES:
        raise UsageError(f"--nproc {nproc} must be 1 to {_MOST_PROCESSES}")
    if torchrun_ranks() is None:
        return nproc > 1
    if nproc != (_integer("LOCAL_WORLD_SIZE") or nproc):
        raise UsageError("torchrun has started the processes already", hint="Leave out --nproc.")
    return False


def _exit_code(fault: Any) -> int:
    """The exit code of the process that failed first; not of those that only lost it, or were stopped thereupon."""
    codes = {rank: failure.exitcode for rank, failure in sorted(fault.failures.items())}
    causes = [code for code in codes.values() if code > 1]
    if causes:
        return int(causes[0])
    for rank, code in codes.items():
        if code < 0 and code != -signal.SIGTERM:
            say(
                f"charlstm: process {rank} was killed (signal {-code}). What was saved is kept; "
                "with --resume auto the same command continues from the last save."
            )
            return 128 - int(code)
    return 1
