"""Data-parallel training in several processes: each computes its rows of a batch, and all take the same decisions.

Each process is a rank. All ranks iterate over the same batches, and each computes the gradient of its own rows::

    batch of 6, 2 ranks        rank 0 has rows 0 1 2        rank 1 has rows 3 4 5

Gradients are averaged over the ranks (`DistributedDataParallel`), so each step is the same as that of a single process
on the whole batch: the order of the data, the dropout masks and the schedule do not depend on the number of ranks.
Whatever depends on a clock, a file or a signal is decided by rank 0, or by all in one collective, and sent to all:
ranks that took different branches would deadlock. Only rank 0 evaluates and writes files.

Small values and sparse gradients, which nccl cannot add, are sent over gloo; on GPUs dense gradients are sent over
nccl. When a rank has ended, the others raise `LostRankError`.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, NamedTuple, TypeVar

import torch
from torch import Tensor, distributed, nn

from charlstm.config import RunConfig
from charlstm.errors import CharlstmError, ConfigError, LostRankError, UsageError
from charlstm.nn.parameters import sparse_tables
from charlstm.nn.state import State

T = TypeVar("T")

STEP_TIMEOUT = timedelta(minutes=2)
"""The timeout of a step: a rank that has not answered within it has ended or is disconnected."""
IDLE_TIMEOUT = timedelta(days=1)
"""The timeout of everything else, long enough for what rank 0 does alone: encoding a large text, scoring the validation
text. torchrun and SLURM watch the processes meanwhile."""


class SharedError(CharlstmError):
    """An error that rank 0 reports; the other ranks only exit with the same code.

    Args:
        line: the message.
        exit_code: the exit code of the process.
    """

    def __init__(self, line: str, exit_code: int) -> None:
        super().__init__(line)
        self.exit_code = exit_code


class SyncedStep(NamedTuple):
    """The values of a step that are the same on all ranks."""

    loss: float
    """Nats per token, the mean over the whole batch."""
    seconds: float
    """Seconds the step took, by rank 0's clock."""
    stop: bool
    """Whether any rank has been requested to stop."""
    save: bool
    """Whether a save is due by rank 0's clock."""


@dataclass(frozen=True)
class Ranks:
    """The rank of this process among those that train one network; by default a single process, without communication.

    Args:
        rank: this process's number, from 0.
        world_size: the number of processes.
        local_rank: this process's number on its machine, from 0; it uses the GPU of that number.
        step_group: the process group with the timeout of a step; None for a single process.
    """

    rank: int = 0
    world_size: int = 1
    local_rank: int = 0
    step_group: Any = None

    @property
    def is_rank_zero(self) -> bool:
        """Whether this is the rank that evaluates, writes and prints."""
        return self.rank == 0

    def check(self, run: RunConfig) -> None:
        """Check that this number of ranks can train with these settings.

        Raises:
            ConfigError: the batch size is not a multiple of the number of ranks, or a setting needs a single one.
            UsageError: several ranks cannot share the device.
        """
        batch = run.data.batch_size
        if batch % self.world_size:
            near = max(1, round(batch / self.world_size)) * self.world_size
            raise ConfigError(
                f"a batch of {batch} does not divide by {self.world_size} processes",
                hint=f"Each process trains on equally many rows; use `batch_size={near}`"
                + (" and a text that is long enough for it." if batch < self.world_size else "."),
            )
        if self.world_size > 1 and run.train.on_divergence == "rollback":
            raise ConfigError("`on_divergence='rollback'` needs a single process")
        self.device(run.train.device)

    def device(self, name: str) -> str:
        """Return torch's name of this rank's device; with ``"cuda"`` each rank on a machine has its own GPU.

        Raises:
            UsageError: several ranks cannot share the device.
        """
        if self.world_size == 1 or name == "cpu":
            return name
        if name != "cuda":
            raise UsageError(
                f"several processes cannot share {name}",
                hint="With `device='cuda'` each has its own GPU; `device='cpu'` works everywhere.",
            )
        return f"cuda:{self.local_rank}"

    def rows(self, batch: int) -> slice:
        """Return the rows of a batch of B rows that this rank trains on."""
        share = batch // self.world_size
        return slice(self.rank * share, (self.rank + 1) * share)

    def wrap(self, model: nn.Module) -> nn.Module:
        """Return the module to call in training: it has rank 0's weights and averages dense gradients over all ranks.

        `average_sparse` averages the sparse gradients.
        """
        if self.world_size == 1:
            return model
        self.broadcast_weights(model)
        sparse = {id(table.weight) for table in sparse_tables(model)}
        names = [name for name, weight in model.named_parameters() if id(weight) in sparse]
        kind = nn.parallel.DistributedDataParallel
        kind._set_params_and_buffers_to_ignore_for_model(model, names)  # type: ignore[no-untyped-call]
        return kind(model, process_group=self.step_group, gradient_as_bucket_view=True)

    def average_sparse(self, weights: Iterable[Tensor]) -> None:
        """Average the sparse gradients of weights over all ranks; each touched row is sent once."""
        if self.world_size == 1:
            return
        for weight in weights:
            assert weight.grad is not None
            total = weight.grad.coalesce().cpu()
            distributed.all_reduce(total, group=self.step_group)
            weight.grad = (total / self.world_size).to(weight.device)

    def broadcast_weights(self, model: nn.Module) -> None:
        """Send rank 0's weights to all ranks.

        On identical machines they are equal anyway. On processors that round differently they drift apart, and SOAP
        soon amplifies a difference in the last bit: its steps are as large for a tiny gradient as for a large one.
        """
        if self.world_size > 1:
            for weight in model.parameters():
                distributed.broadcast(weight.detach(), src=0, group=self.step_group)

    def sync_step(self, loss: float, seconds: float, stop: bool, save: bool) -> SyncedStep:
        """Combine the measurements of all ranks in a step, in one small all-reduce.

        Args:
            loss: nats per token, the mean over this rank's rows.
            seconds: how long the step took here.
            stop: whether this rank has been requested to stop.
            save: whether a save is due by this rank's clock.

        Returns:
            The same values on every rank.
        """
        if self.world_size == 1:
            return SyncedStep(loss, seconds, stop, save)
        mine = [loss / self.world_size, seconds * self.is_rank_zero, stop, save and self.is_rank_zero]
        total = torch.tensor(mine, dtype=torch.float64)
        distributed.all_reduce(total, group=self.step_group)
        loss, seconds, stopping, saving = total.tolist()
        return SyncedStep(loss, seconds, stopping > 0, saving > 0)

    def on_rank_zero(self, work: Callable[[], T]) -> T:
        """Call a function on rank 0 and return its result on all ranks; an error is raised on all, too.

        Args:
            work: the function; its result must be picklable.

        Returns:
            The result of rank 0's call.

        Raises:
            CharlstmError: on rank 0 what ``work`` raised, on the others `SharedError`.
        """
        if self.world_size == 1:
            return work()
        outcome: list[Any] = [None]
        fault: CharlstmError | None = None
        if self.is_rank_zero:
            try:
                outcome = [(work(), None)]
            except CharlstmError as raised:
                fault, outcome = raised, [(None, (str(raised), raised.exit_code))]
        distributed.broadcast_object_list(outcome, src=0, device=torch.device("cpu"))
        if fault is not None:
            raise fault
        result, error = outcome[0]
        if error is not None:
            raise SharedError(*error)
        typed: T = result
        return typed

    def broadcast_value(self, value: T) -> T:
        """Return rank 0's value on all ranks."""
        return self.on_rank_zero(lambda: value)

    def local_first(self, work: Callable[[], T]) -> T:
        """Call a function on every rank, on each machine first on local rank 0, so that the others can use its cache.

        Args:
            work: the function.

        Returns:
            The result of this rank's own call.

        Raises:
            CharlstmError: ``work`` failed on any rank; rank 0's error names the rank and its machine.
        """
        if self.world_size == 1:
            return work()
        results: list[T] = []
        for is_my_turn in (self.local_rank == 0, self.local_rank != 0):
            fault: tuple[str, int] | None = None
            if is_my_turn:
                try:
                    results.append(work())
                except CharlstmError as raised:
                    fault = f"process {self.rank} on {socket.gethostname()}: {raised}", raised.exit_code
            self._raise_any(fault)
        return results[0]

    def _raise_any(self, mine: tuple[str, int] | None) -> None:
        faults: list[tuple[str, int] | None] = [None] * self.world_size
        distributed.all_gather_object(faults, mine)
        for line, exit_code in filter(None, faults):
            fault = CharlstmError(line) if self.is_rank_zero else SharedError(line, exit_code)
            fault.exit_code = exit_code
            raise fault

    def gather_rows(self, state: State | None) -> State | None:
        """Return a state with the rows of all ranks, on the CPU; every rank must call it."""
        if self.world_size == 1 or state is None:
            return state
        return state.map(self._all_rows)

    def _all_rows(self, part: Tensor) -> Tensor:
        # As bytes: gloo has no bool and few of the rarer types.
        mine = part.detach().cpu().contiguous()
        raw = mine.flatten().view(torch.uint8)
        parts = [torch.empty_like(raw) for _ in range(self.world_size)]
        distributed.all_gather(parts, raw, group=self.step_group)
        return torch.cat([rows.view(mine.dtype).view(mine.shape) for rows in parts])

    def shard(self, state: State | None) -> State | None:
        """Return this rank's rows of a whole state: the inverse of `gather_rows`."""
        if self.world_size == 1 or state is None:
            return state
        return state.map(lambda part: part[self.rows(len(part))].clone())

    def barrier(self) -> None:
        """Wait until every rank has called this."""
        if self.world_size > 1:
            distributed.all_gather_object([None] * self.world_size, None)


SINGLE_PROCESS = Ranks()


@contextmanager
def translate_comm_errors() -> Iterator[None]:
    """Translate the errors of gloo, nccl and their store when a rank is lost.

    Raises:
        LostRankError: a rank was lost in the ``with`` block.
    """
    try:
        yield
    except RuntimeError as fault:
        # Most are DistErrors. gloo raises plain RuntimeErrors, whose text names a source file or an operation of gloo.
        lost = ("gloo", "Gloo", "NCCL communicator", "onnection closed by peer")
        if isinstance(fault, distributed.DistError) or any(word in str(fault) for word in lost):
            raise LostRankError(
                "another process of this run has ended, or cannot be reached",
                hint="What was saved is kept; with `resume='auto'` the same command continues from the last save.",
            ) from fault
        raise
