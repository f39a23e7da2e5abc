"""Several processes that train one network: whose rows are whose, and what all of them must know alike.

A process is a rank. All ranks walk through the same windows, and each learns from its rows of every batch::

    batch of 6, 2 ranks        rank 0 has rows 0 1 2        rank 1 has rows 3 4 5

Gradients are averaged over the ranks (`DistributedDataParallel`), so each step is the step one process would have taken
on the whole batch: order of the data, masks of dropout and schedule do not depend on how many there are. Whatever
depends on a clock, a file or a signal is decided by rank 0, or by all together, and then known to all: ranks that took
different turns would wait for each other for ever. Rank 0 alone evaluates and writes.

Everything small goes over gloo, and so do sparse gradients, which nccl cannot add; on GPUs the dense ones over nccl. A
rank that has gone is told as `LostRankError`.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import torch
from torch import Tensor, distributed, nn

from charlstm.config import RunConfig
from charlstm.errors import CharlstmError, ConfigError, LostRankError, UsageError
from charlstm.nn.model import State
from charlstm.nn.parameters import tables

if TYPE_CHECKING:
    pass


T = TypeVar("T")

STEP_TIMEOUT = timedelta(minutes=2)
"""No step takes that long: a rank that is silent for so long inside one has gone."""
IDLE_TIMEOUT = timedelta(days=1)
"""For what rank 0 does alone: encoding a large text, reading all of the validation text. torchrun and SLURM watch
over the processes meanwhile."""


class SharedError(CharlstmError):
    """A fault that rank 0 tells; the others have only to leave with its exit code."""

    def __init__(self, line: str, exit_code: int) -> None:
        super().__init__(line)
        self.exit_code = exit_code


class SyncedStep(NamedTuple):
    """What all ranks know after a step."""

    loss: float
    """Nats per token, the mean over the whole batch."""
    seconds: float
    """The step's, by rank 0's clock."""
    stop: bool
    """Whether any rank was asked to stop."""
    save: bool
    """Whether rank 0's clock says that it is time."""


@dataclass(frozen=True)
class Ranks:
    """This process among those that train together; by default it is alone, and nothing here does anything.

    Args:
        rank: its number, from 0.
        world: how many there are.
        local: its number on its machine, from 0: it has the GPU of that number.
        steps: the group of all of them in which nobody waits longer than a step; None if it is alone.
    """

    rank: int = 0
    world_size: int = 1
    local_rank: int = 0
    step_group: Any = None

    @property
    def is_rank_zero(self) -> bool:
        """Whether this is the one that evaluates, writes and prints."""
        return self.rank == 0

    def check(self, run: RunConfig) -> None:
        """Refuse settings that cannot be shared out.

        Raises:
            ConfigError: the batch does not divide by the ranks.
            UsageError: the device cannot be that of several ranks.
        """
        batch = run.data.batch_size
        if batch % self.world_size:
            near = max(1, round(batch / self.world_size)) * self.world_size
            raise ConfigError(
                f"a batch of {batch} does not divide by {self.world_size} processes",
                hint=f"Each learns from as many rows: --batch-size {near} would do"
                + (", where the text is long enough for it." if batch < self.world_size else "."),
            )
        self.device(run.train.device)

    def device(self, name: str) -> str:
        """The torch name of this rank's device: of ``cuda`` each rank on a machine has a GPU of its own.

        Raises:
            UsageError: the device cannot be that of several ranks.
        """
        if self.world_size == 1 or name == "cpu":
            return name
        if name != "cuda":
            raise UsageError(
                f"several processes cannot share {name}",
                hint="--device cuda gives each a GPU of its own, --device cpu works everywhere.",
            )
        return f"cuda:{self.local_rank}"

    def rows(self, batch: int) -> slice:
        """Which rows of a batch are this rank's."""
        share = batch // self.world_size
        return slice(self.rank * share, (self.rank + 1) * share)

    def wrap(self, model: nn.Module) -> nn.Module:
        """The model as it is to be called in training: with rank 0's weights, and gradients that are means over all.

        Of the sparse gradients `average_sparse` makes the means.
        """
        if self.world_size == 1:
            return model
        self.broadcast_weights(model)
        sparse = {id(weight) for weight in tables(model)}
        names = [name for name, weight in model.named_parameters() if id(weight) in sparse]
        kind = nn.parallel.DistributedDataParallel
        kind._set_params_and_buffers_to_ignore_for_model(model, names)  # type: ignore[no-untyped-call]
        return kind(model, process_group=self.step_group, gradient_as_bucket_view=True)

    def average_sparse(self, weights: Iterable[Tensor]) -> None:
        """Make the sparse gradients of weights means over all; the rows that any rank has read travel once."""
        if self.world_size == 1:
            return
        for weight in weights:
            assert weight.grad is not None
            total = weight.grad.coalesce().cpu()
            distributed.all_reduce(total, group=self.step_group)
            weight.grad = (total / self.world_size).to(weight.device)

    def broadcast_weights(self, model: nn.Module) -> None:
        """Give all ranks rank 0's weights.

        In training they have them already where all machines are of one kind. Processors that round differently drift
        apart, and SOAP soon makes much of the last bit: it steps as boldly where the gradient is nearly zero as where
        it is not.
        """
        if self.world_size > 1:
            for weight in model.parameters():
                distributed.broadcast(weight.detach(), src=0, group=self.step_group)

    def sync_step(self, loss: float, seconds: float, stop: bool, save: bool) -> SyncedStep:
        """Make known to all what each has met in a step: one small sum."""
        if self.world_size == 1:
            return SyncedStep(loss, seconds, stop, save)
        mine = [loss / self.world_size, seconds * self.is_rank_zero, stop, save and self.is_rank_zero]
        total = torch.tensor(mine, dtype=torch.float64)
        distributed.all_reduce(total, group=self.step_group)
        loss, seconds, stopping, saving = total.tolist()
        return SyncedStep(loss, seconds, stopping > 0, saving > 0)

    def on_rank_zero(self, work: Callable[[], T]) -> T:
        """Let rank 0 do something; all have what came of it, a fault too.

        Args:
            work: what to do; what it returns must be of a kind that can be pickled.

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
        result, told = outcome[0]
        if told is not None:
            raise SharedError(*told)
        made: T = result
        return made

    def broadcast_value(self, value: T) -> T:
        """Rank 0's value, on all."""
        return self.on_rank_zero(lambda: value)

    def local_first(self, work: Callable[[], T]) -> T:
        """Do something on every rank, on each machine by one rank before its others: these find what it cached.

        Raises:
            CharlstmError: ``work`` failed on any of them; rank 0 has the line to tell, with the machine's name.
        """
        if self.world_size == 1:
            return work()
        done: list[T] = []
        for turn in (self.local_rank == 0, self.local_rank != 0):
            fault: tuple[str, int] | None = None
            if turn:
                try:
                    done.append(work())
                except CharlstmError as raised:
                    fault = f"process {self.rank} on {socket.gethostname()}: {raised}", raised.exit_code
            self._raise_any(fault)
        return done[0]

    def _raise_any(self, mine: tuple[str, int] | None) -> None:
        faults: list[tuple[str, int] | None] = [None] * self.world_size
        distributed.all_gather_object(faults, mine)
        for told in faults:
            if told is not None:
                fault = CharlstmError(told[0]) if self.is_rank_zero else SharedError(*told)
                fault.exit_code = told[1]
                raise fault

    def gather_rows(self, state: State | None) -> State | None:
        """A state with the rows of all ranks, on the CPU of each; all must call it."""
        if self.world_size == 1 or state is None:
            return state
        return tuple(tuple(self._all_rows(part) for part in layer) for layer in state)

    def _all_rows(self, part: Tensor) -> Tensor:
        # Bytes: gloo has no bool, and knows nothing of the rarer types.
        mine = part.detach().cpu().contiguous()
        raw = mine.flatten().view(torch.uint8)
        parts = [torch.empty_like(raw) for _ in range(self.world_size)]
        distributed.all_gather(parts, raw, group=self.step_group)
        return torch.cat([rows.view(mine.dtype).view(mine.shape) for rows in parts])

    def shard(self, state: State | None) -> State | None:
        """This rank's rows of a whole state: undoes `gather_rows`."""
        if self.world_size == 1 or state is None:
            return state
        return tuple(tuple(part[self.rows(len(part))].clone() for part in layer) for layer in state)

    def barrier(self) -> None:
        """Wait until all are here."""
        if self.world_size > 1:
            distributed.all_gather_object([None] * self.world_size, None)


SINGLE_PROCESS = Ranks()


@contextmanager
def translate_comm_errors() -> Iterator[None]:
    """Turn the ways in which gloo, nccl and their store lose a peer into `LostRankError`."""
    try:
        yield
    except RuntimeError as fault:
        # Most are DistErrors. gloo's are plain: each names a file of its source, or what it was doing.
        lost = ("gloo", "Gloo", "NCCL communicator", "onnection closed by peer")
        if isinstance(fault, distributed.DistError) or any(word in str(fault) for word in lost):
            raise LostRankError(
                "another process of this run has ended, or cannot be reached",
                hint="What was saved is kept; the same command goes on from there if it has --resume auto.",
            ) from fault
        raise
