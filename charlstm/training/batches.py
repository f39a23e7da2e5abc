"""Batches of fixed-length windows of the encoded text.

``stateful``, the alphabet in 3 streams, batch 3, windows of 4 (offset 0)::

    a b c d | e f g h | i         a window predicts each letter's successor; the state of each
    j k l m | n o p q | r         stream is carried from window to window, left to right, until the
    s t u v | w x y z | a         epoch ends; the next epoch starts at another letter of the ring.

Where a stream begins, the layers start from the zero state, but the memories of side inputs have read what comes before
it: they fill over thousands of tokens, and a network that trained with them all but empty could not make use of more.
If there are more streams than rows in a batch, the steps alternate between groups of streams. The order of the data
depends only on the seed, the epoch and the index in the epoch, so two numbers are enough to resume exactly.

The objective makes the inputs and targets of a window (`evaluation.objective`).

Records, batch 3, windows of 4 (⏎ ends a record, · is no target)::

    ⏎ A d a → A d a ⏎             records of similar length are read side by side, each from the
    ⏎ K i m → K i m ⏎             zero state, the longest in as many windows as it needs; the order
    ⏎ B o . → B o ⏎ ·             of all of them is new in each epoch
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from charlstm.config import DataConfig
from charlstm.corpora.records import record_ends
from charlstm.evaluation.objective import Causal, Objective, Records

NO_TARGET = -100
"""The target of a position behind the end of a record; torch's own default for what no loss counts."""


@dataclass(frozen=True)
class Batch:
    """The data of one step."""

    inputs: Tensor
    """Token ids, (B, T)."""
    targets: Tensor
    """The ids to predict, (B, T): for causal prediction the inputs one position later."""
    reset_mask: Tensor
    """Rows whose state is reset to zero before the step, (B,) bool."""
    group: int
    """The group of streams that the rows belong to; each group has its own carried state."""
    epoch: int
    index: int
    """The number of the batch in its epoch, from 0."""
    before: Tensor | None = None
    """Where streams begin, the ids of the tokens that the memories of side inputs have read before, (B, any number)."""

    @property
    def tokens(self) -> int:
        """The number of targets."""
        return int((self.targets != NO_TARGET).sum())


class Batches(Protocol):
    """The batches of a text: an endless sequence of epochs.

    Attributes:
        batch_size: B.
        shuffled: whether windows are independent and in random order, so that no state is carried on.
        groups: the number of groups of streams.
    """

    batch_size: int
    shuffled: bool
    groups: int

    def start_from(self, epoch: int, index: int) -> Iterator[Batch]:
        """Yield the batches from a given one on; ``(0, 0)`` is the first.

        Args:
            epoch: the epoch, from 0.
            index: the number of the batch in its epoch, from 0.

        Yields:
            Batches, without end.
        """

    def passes(self, epoch: int, index: int) -> float:
        """The passes over the text before a batch.

        Args:
            epoch: its epoch, from 0.
            index: its number in the epoch, from 0.
        """


def make_batches(ids: NDArray[Any], config: DataConfig, seed: int, objective: Objective, reach: int = 0) -> Batches:
    """Create the batches that a network with this objective is trained on.

    Args:
        ids: the training tokens, in memory or memory-mapped, (tokens,).
        config: the settings of windows.
        seed: the seed of their order and places.
        objective: what the network predicts.
        reach: the number of tokens back to which its side inputs know a text.

    Returns:
        The batches.
    """
    if isinstance(objective, Records):
        return RecordBatches(ids, objective.terminator, config, seed)
    return TbpttBatches(ids, config, seed, objective, reach)


def stream_groups(config: DataConfig) -> int:
    """Return the number of groups of streams, each of which has its own carried state.

    It is 1 for shuffled windows and for records.
    """
    alone = config.windows == "shuffled" or config.lists_records
    return 1 if alone else max(1, config.streams // config.batch_size)


_SHARE_BEFORE = 16
"""The part of a text that a stream has before it, at most: a network that always finds the place it reads in what it
remembers expects that of a new text, too."""


class TbpttBatches:
    """The batches of truncated back-propagation through a text, an endless sequence of epochs.

    The text is treated as a ring, and the streams of an epoch start at a random position, so each epoch cuts the text
    at other positions. Once per epoch a prediction crosses from the end of the text to its start.

    Args:
        ids: the training tokens, in memory or memory-mapped, (tokens,).
        config: the settings `batch_size`, `seq_len`, `streams`, `windows` and `reset_prob`.
        seed: the seed of window positions, and of random choices of the objective.
        objective: the objective, which makes inputs and targets; None is causal prediction.
        reach: the number of tokens before a stream, at most, that a batch has where it begins.

    Attributes:
        batch_size: see `Batches`.
        shuffled: see `Batches`.
        groups: see `Batches`.
        per_epoch: batches per epoch.
    """

    def __init__(
        self,
        ids: NDArray[Any],
        config: DataConfig,
        seed: int,
        objective: Objective | None = None,
        reach: int = 0,
    ) -> None:
        self._ids = ids
        self._seed = seed
        self._objective = objective or Causal()
        self._seq_len = config.seq_len
        self.batch_size = config.batch_size
        self.shuffled = config.windows == "shuffled"
        self.groups = stream_groups(config)
        self._reset_prob = config.reset_prob
        rows = self.batch_size * self.groups
        if self.shuffled:
            self._windows = max(1, len(ids) // self._seq_len)
            self.per_epoch = max(1, self._windows // self.batch_size)
        else:
            self._span = max(1, len(ids) // rows)
            # On the ring: nothing of the stream itself, and of a short text little enough that most of it stays new.
            self._before = min(reach, len(ids) - self._span, len(ids) // _SHARE_BEFORE)
            self.per_epoch = self.groups * -(-self._span // self._seq_len)

    def passes(self, epoch: int, index: int) -> float:
        """See `Batches`."""
        return epoch + index / self.per_epoch

    def start_from(self, epoch: int, index: int) -> Iterator[Batch]:
        """See `Batches`."""
        while True:
            offset = int(np.random.default_rng((self._seed, epoch)).integers(len(self._ids)))
            for number in range(index, self.per_epoch):
                yield (self._shuffled if self.shuffled else self._stateful)(epoch, number, offset)
            epoch, index = epoch + 1, 0

    def _stateful(self, epoch: int, index: int, offset: int) -> Batch:
        column, group = divmod(index, self.groups)
        begin = column * self._seq_len
        length = min(self._seq_len, self._span - begin)
        streams = np.arange(group * self.batch_size, (group + 1) * self.batch_size)
        starts = offset + streams * self._span + begin
        if column == 0:
            batch = self._batch(starts, length, np.ones(self.batch_size, bool), group, epoch, index)
            return replace(batch, before=self._tokens(starts - self._before, self._before)) if self._before else batch
        reset = np.random.default_rng((self._seed, epoch, index)).random(self.batch_size) < self._reset_prob
        return self._batch(starts, length, reset, group, epoch, index)

    def _shuffled(self, epoch: int, index: int, offset: int) -> Batch:
        windows = np.arange(index * self.batch_size, (index + 1) * self.batch_size) % self._windows
        starts = offset + permute(windows, self._windows, (self._seed, epoch)) * self._seq_len
        return self._batch(starts, self._seq_len, np.ones(self.batch_size, bool), 0, epoch, index)

    def _batch(
        self, starts: NDArray[np.int64], length: int, reset: NDArray[np.bool_], group: int, epoch: int, index: int
    ) -> Batch:
        ids = self._tokens(starts, length + 1).numpy()
        inputs, targets = self._objective.example(ids, (self._seed, epoch, index))
        return Batch(torch.from_numpy(inputs), torch.from_numpy(targets), torch.from_numpy(reset), group, epoch, index)

    def _tokens(self, starts: NDArray[np.int64], length: int) -> Tensor:
        """Return the ids of some passages of the ring, each of that length, (B, length)."""
        positions = (starts[:, None] + np.arange(length)) % len(self._ids)
        return torch.from_numpy(self._ids[positions].astype(np.int64))


_SORTED_TOGETHER = 32
"""Batches whose records are sorted by length together: a batch then has records of similar length, but not the same
ones in every epoch."""


class RecordBatches:
    """The batches of a text of records: each record is read from the zero state, the records in random order.

    Args:
        ids: the training tokens, in memory or memory-mapped, (tokens,).
        terminator: the tokens that end each record.
        config: the settings `batch_size` and `seq_len`.
        seed: the seed of the order.

    Attributes:
        batch_size: see `Batches`.
        shuffled: see `Batches`.
        groups: see `Batches`.
    """

    shuffled, groups = False, 1

    def __init__(self, ids: NDArray[Any], terminator: Sequence[int], config: DataConfig, seed: int) -> None:
        self._ids, self._start, self._seed = ids, terminator[-1], seed
        self._ends = record_ends(ids, terminator)
        self._begins = np.append(0, self._ends[:-1])
        self._seq_len, self.batch_size = config.seq_len, config.batch_size
        self._epoch, self._order, self._windows = -1, np.empty((0, 0), np.int64), np.empty(0, np.int64)

    def passes(self, epoch: int, index: int) -> float:
        """See `Batches`."""
        self._arrange(epoch)
        return epoch + index / int(self._windows[-1])

    def start_from(self, epoch: int, index: int) -> Iterator[Batch]:
        """See `Batches`."""
        while True:
            self._arrange(epoch)
            for number in range(index, int(self._windows[-1])):
                yield self._batch(epoch, number)
            epoch, index = epoch + 1, 0

    def _arrange(self, epoch: int) -> None:
        """Divide the records of an epoch into batches: (batches, B), and the windows of all up to each, (batches,)."""
        if epoch == self._epoch:
            return
        rng, count = np.random.default_rng((self._seed, epoch)), len(self._ends)
        order = np.resize(rng.permutation(count), -(-count // self.batch_size) * self.batch_size)
        lengths = (self._ends - self._begins)[order]
        # Sorted by length among neighbours in the random order: the first key is the last one here.
        neighbours = np.arange(len(order)) // (_SORTED_TOGETHER * self.batch_size)
        batches = order[np.lexsort((lengths, neighbours))].reshape(-1, self.batch_size)
        self._order = rng.permutation(batches)
        longest = (self._ends - self._begins)[self._order].max(1)
        self._windows = np.cumsum(-(-longest // self._seq_len))
        self._epoch = epoch

    def _batch(self, epoch: int, index: int) -> Batch:
        batch = int(np.searchsorted(self._windows, index, side="right"))
        window = index - (int(self._windows[batch - 1]) if batch else 0)
        begins, ends = self._begins[self._order[batch], None], self._ends[self._order[batch], None]
        length = min(self._seq_len, int((ends - begins).max()) - window * self._seq_len)
        places = np.arange(length) + window * self._seq_len
        positions = np.minimum(begins + places, ends - 1)
        before, here = (self._ids[np.maximum(at, 0)].astype(np.int64) for at in (positions - 1, positions))
        inputs = np.where(places == 0, self._start, before)
        targets = np.where(begins + places < ends, here, NO_TARGET)
        reset = torch.full((self.batch_size,), window == 0)
        return Batch(torch.from_numpy(inputs), torch.from_numpy(targets), reset, 0, epoch, index)


def permute(numbers: NDArray[np.int64], size: int, key: tuple[int, ...]) -> NDArray[np.int64]:
    """Apply a pseudo-random permutation of ``range(size)`` to some numbers, without storing the permutation.

    A Feistel network permutes a range of the smallest sufficient even power of two; results outside of
    ``range(size)`` go through it again until they fall inside (cycle walking; Black & Rogaway 2002).

    Args:
        numbers: integers below ``size``, (any length,).
        size: the size of the permutation.
        key: the seed of the permutation.

    Returns:
        The image of each number.
    """
    bits = max(1, (max(2, size) - 1).bit_length() + 1 >> 1)
    mask = (1 << bits) - 1
    keys = np.random.default_rng(key).integers(1, 1 << 31, 4) | 1
    image = numbers.copy()
    outside = np.ones(len(image), bool)
    while outside.any():
        left, right = image[outside] >> bits, image[outside] & mask
        for multiplier in keys:
            mixed = (right + multiplier) * multiplier
            left, right = right, left ^ ((mixed ^ mixed >> 15) * 0x2545F491 >> 7 & mask)
        image[outside] = left << bits | right
        outside = image >= size
    return image
